"""
Finding what does not belong, by score_samples
==============================================

Trained on samples of one kind, an autoencoder reconstructs others badly:
:meth:`~sklearn_daae.DAAETransformer.score_samples` is minus the squared error of each
row. Here are digits, of which each in turn is not seen in training; beside it, PCA's
likelihood and scikit-learn's isolation forest; and of the last one what
:class:`~sklearn_daae.outliers.AutoencoderOutlierDetector` calls outliers. On tables of
few features the forest can be better than the error, and as good as the detector:
:doc:`/value` has the comparison.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_daae import DAAETransformer
from sklearn_daae.outliers import AutoencoderOutlierDetector

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
detectors = {
    "DAAE": DAAETransformer(10, random_state=0),
    "PCA": PCA(10, random_state=0),
    "isolation forest": IsolationForest(random_state=0),
}

# %%
# How well each score tells
# -------------------------
# Areas under the ROC curve: of all pairs of a digit that was seen and one that was not,
# how many a score puts in their order.

areas = {name: [] for name in detectors}
print("not seen  " + "  ".join(f"{name:>16}" for name in detectors))
for digit in range(10):
    is_anomaly = y_test == digit
    for name, detector in detectors.items():
        detector.fit(X_train[y_train != digit])
        scores = detector.score_samples(X_test)
        areas[name].append(roc_auc_score(is_anomaly, -scores))
    print(f"{digit:<10}" + "  ".join(f"{areas[name][-1]:16.3f}" for name in detectors))
print("mean      " + "  ".join(f"{np.mean(areas[name]):16.3f}" for name in detectors))

# %%
# Where to draw the line
# ----------------------
# The detector has the interface of scikit-learn's own: ``contamination=0.1`` puts a
# tenth of its training rows beyond its threshold. Of rows that the model has not seen
# more are beyond it, since it reconstructs its training rows better. So here the
# threshold is set on rows that were held out.

X_fit, X_held_out = train_test_split(X_train[y_train != 9], random_state=0)
detector = AutoencoderOutlierDetector(DAAETransformer(10), random_state=0).fit(X_fit)
line = np.quantile(detector.score_samples(X_held_out), 0.1)
is_beyond = detector.score_samples(X_test) < line
print(f"{is_beyond[y_test == 9].mean():.0%} of the nines are called outliers, ", end="")
print(f"and {is_beyond[y_test != 9].mean():.0%} of the digits that were seen")

# %%
# All ten digits, and the errors behind one of them
# -------------------------------------------------
# On the left, one column for each digit that was left out. On the right, the errors of
# the model that has not seen a nine: most nines have larger ones than most other
# digits, and where the two overlap no threshold parts them.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, marker in zip(areas, "o^s", strict=True):
    left.plot(areas[name], marker, label=name)
left.set(xticks=range(10), xlabel="digit not seen", ylabel="area under the ROC curve")
left.legend()

errors = -detectors["DAAE"].score_samples(X_test)
bins = np.logspace(np.log10(errors.min()), np.log10(errors.max()), 40)
for label, which in {"seen": ~is_anomaly, "nines": is_anomaly}.items():
    right.hist(errors[which], bins, alpha=0.6, density=True, label=label)
right.set(xscale="log", xlabel="squared error of the reconstruction", ylabel="density")
right.set_title("DAAE: what score_samples tells")
right.legend()
plt.show()
