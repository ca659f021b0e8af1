"""
Finding what does not belong, by score_samples
==============================================

Trained on samples of one kind, an autoencoder reconstructs others badly:
`score_samples` is minus the squared error of each row. Here are measurements of cell
nuclei, of which only benign ones are seen in training; beside it, scikit-learn's
isolation forest.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_daae import DAAETransformer

X, y = load_breast_cancer(return_X_y=True)
benign, malignant = X[y == 1], X[y == 0]
X_train, X_benign = train_test_split(benign, test_size=0.4, random_state=0)
X_test = np.vstack([X_benign, malignant])
is_anomaly = np.arange(len(X_test)) >= len(X_benign)

# %%
# Measurements have no common range. The model maps each to one variance as it reads it,
# and its scores are errors in units of that.

detectors = {
    "DAAE": DAAETransformer(5, random_state=0),
    "isolation forest": IsolationForest(random_state=0),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
print("detector           area under the ROC curve")
for name, detector in detectors.items():
    scores = -detector.fit(X_train).score_samples(X_test)
    print(f"{name:<18} {roc_auc_score(is_anomaly, scores):.3f}")
    RocCurveDisplay.from_predictions(is_anomaly, scores, name=name, ax=left)
left.set_title("Malignant as anomalies")

errors = -detectors["DAAE"].score_samples(X_test)
bins = np.logspace(np.log10(errors.min()), np.log10(errors.max()), 40)
for label, which in {"benign": ~is_anomaly, "malignant": is_anomaly}.items():
    right.hist(errors[which], bins, alpha=0.6, label=label)
right.set(xscale="log", xlabel="squared error of the reconstruction", ylabel="samples")
right.set_title("DAAE: what score_samples tells")
right.legend()
figure.savefig("anomaly_detection.png", dpi=150)
