"""
A grid search with several scores
=================================

What :meth:`~sklearn_daae.iDAAETransformer.score` ranks by is the reconstruction, and
that is best with the least corruption. What a search is for may be something else: the
accuracy of a classifier on the codes, or how well they match the prior. One search can
look at all of them, and choose by one.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sklearn_daae import iDAAETransformer
from sklearn_daae.metrics import EstimatorScorer, prior_distance, reconstruction_error
from sklearn_daae.model_selection import GridSearchCV

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

# %%
# Three scores in one search
# --------------------------
# :class:`~sklearn_daae.metrics.EstimatorScorer` makes a ``scoring`` of what is a
# function of a fitted model and rows; it finds the model in the pipeline. ``refit``
# names the score by which the best is chosen.

idaae = iDAAETransformer(10, random_state=0)
grid = {"daae__sigma": [0.1, 0.25, 0.5], "daae__M": [2, 5]}
search = GridSearchCV(
    Pipeline([("daae", idaae), ("svm", SVC())]),
    grid,
    scoring={
        "accuracy": "accuracy",
        "match to the prior": EstimatorScorer(prior_distance, random_state=0),
        "reconstruction": EstimatorScorer(
            reconstruction_error, corrupt=False, random_state=0
        ),
    },
    refit="accuracy",
    cv=2,
).fit(X, y)
print("the best by accuracy:", search.best_params_)

# %%
# The scores disagree
# -------------------
# Lighter is better in each of the three. The accuracies lie within a few digits of each
# other; the distance from the prior and the error rise with ``sigma``, the error of
# clean digits most of all. Nobody but the user can say which of them counts.

titles = {
    "accuracy": "accuracy of an SVC",
    "match to the prior": "minus the distance from the prior",
    "reconstruction": "minus the squared error",
}
sigmas, Ms = grid["daae__sigma"], grid["daae__M"]
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for ax, (name, title) in zip(axes, titles.items(), strict=True):
    # The grid runs through the names in alphabetical order: M, then sigma.
    scores = search.cv_results_[f"mean_test_{name}"].reshape(len(Ms), len(sigmas))
    ax.imshow(scores, cmap="viridis")
    middle = (scores.min() + scores.max()) / 2
    for (i, j), score in np.ndenumerate(scores):
        colour = "black" if score > middle else "white"
        ax.text(j, i, f"{score:.3g}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(sigmas)), sigmas)
    ax.set_yticks(range(len(Ms)), Ms)
    ax.set(title=title, xlabel="sigma", ylabel="M")
plt.show()
