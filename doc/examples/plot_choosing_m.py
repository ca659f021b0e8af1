"""
Choosing M by the match to the prior
====================================

An iDAAE averages the codes of M corruptions of each sample, and matches the averages to
the prior (Algorithm 2 of the paper). With M = 1, a DAAE, it is the codes of *corrupted*
digits that follow the prior; the more corruptions are averaged, the nearer come the
codes of the digits as they are, those that
:meth:`~sklearn_daae.iDAAETransformer.transform` gives. The paper looks at histograms
for it, its Figure 2; the sliced Wasserstein distance,
:func:`~sklearn_daae.metrics.prior_distance`, says it in one number, here the mean of
two trainings for each M.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_daae import iDAAETransformer
from sklearn_daae.inspection import PriorMatchDisplay
from sklearn_daae.metrics import prior_distance

X = (load_digits().data / 16).astype(np.float32)

# %%
# Strong noise, of one level
# --------------------------
# ``sigma=1`` is as much noise as there is signal. ``corruption_level="fixed"`` gives
# every row all of it, as in the paper; at the defaults, half of the rows have less. The
# histograms show the codes of the second training.

figure, axes = plt.subplots(
    1, 3, figsize=(11, 3.4), sharex=True, sharey=True, layout="constrained"
)
print("distances from the prior, of codes of")
print("M          digits          corrupted digits")
for M, ax in zip([1, 5, 20], axes, strict=True):
    distances = []
    for seed in range(2):
        model = iDAAETransformer(
            10,
            M=M,
            sigma=1.0,
            corruption_level="fixed",
            random_state=seed,
        ).fit(X)
        distances.append(
            [prior_distance(model, X, corrupt=c, random_state=0) for c in (False, True)]
        )
    means, deviations = np.mean(distances, axis=0), np.std(distances, axis=0)
    cells = (f"{m:.2f} ± {d:.2f}" for m, d in zip(means, deviations, strict=True))
    print(f"{M:<10} " + "     ".join(cells))
    PriorMatchDisplay.from_estimator(
        model, X, random_state=0, ax=ax, bins=np.linspace(-4, 4, 61)
    )
    ax.set_title(f"M = {M}: distance of the encodings {means[0]:.2f}")
for ax in axes[1:]:
    ax.get_legend().remove()
    ax.set_ylabel("")
plt.show()

# %%
# From M = 1 to M = 20 the codes of clean digits (blue) come nearer to the prior (grey),
# and those of corrupted ones (orange) move away from it. Most of that is done at 5. A
# step costs ``M`` encodings, so 5 is the default.
