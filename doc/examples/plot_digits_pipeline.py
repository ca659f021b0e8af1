"""
Denoised representations of handwritten digits in a pipeline
============================================================

Ten learned components in place of the ten of :class:`~sklearn.decomposition.PCA`, in
front of the same classifier, on clean and on noisy images; a small grid search over the
corruption level ``sigma`` and the integration steps ``M``; and what the model makes of
digits: corrupted, reconstructed, and drawn anew.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer, iDAAETransformer
from sklearn_daae.model_selection import GridSearchCV

X, y = load_digits(return_X_y=True)  # pixels from 0 to 16
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)

# %%
# Three representations, one classifier
# -------------------------------------
# Nothing is set but the number of components. All are trained on clean images; the last
# column is the accuracy on test images with noise, of a quarter of the pixels' range.

X_noisy = X_test + np.random.default_rng(0).normal(0, 4, X_test.shape)
representations = {
    "PCA": PCA(n_components=10),
    "DAAE": DAAETransformer(n_components=10, random_state=0),
    "iDAAE": iDAAETransformer(n_components=10, random_state=0),
}
print("10 components and SVC()   seconds   accuracy   on noisy images")
for name, representation in representations.items():
    start = time.perf_counter()
    model = Pipeline([("representation", representation), ("svm", SVC())])
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    clean, noisy = (model.score(images, y_test) for images in (X_test, X_noisy))
    print(f"{name:<23}   {seconds:7.1f}   {clean:8.1%}   {noisy:15.1%}")

# %%
# A grid over sigma and M
# -----------------------
# Every option of the estimators is within reach of a search. This one trains its
# candidates side by side. Where they differ by less than the folds do, keep the
# defaults.

search = GridSearchCV(
    Pipeline([("daae", iDAAETransformer(10, random_state=0)), ("svm", SVC())]),
    {"daae__sigma": [0.25, 0.5, 1.0], "daae__M": [2, 5]},
    cv=2,
)
search.fit(X_train, y_train)
print("\nsigma   M   accuracy in 2-fold cross-validation")
results = search.cv_results_
for params, score in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"{params['daae__sigma']:<5}   {params['daae__M']}   {score:.1%}")
best = search.best_params_
print(f"best: sigma={best['daae__sigma']}, M={best['daae__M']}")

# %%
# What the model makes of digits
# ------------------------------
# Test images; the same with noise; the noise taken away; and new digits, of which the
# prior's draws are decoded directly, as an iDAAE allows.

idaae = representations["iDAAE"]
shown = X_test[:12]
rows = {
    "original": shown,
    "corrupted": idaae.corrupt(shown, random_state=0),
    "reconstructed": idaae.reconstruct(shown, corrupt=True, random_state=0),
    "sampled": idaae.sample(12, random_state=0),
}
figure, axes = plt.subplots(len(rows), 1, figsize=(9, 3.6), layout="constrained")
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    strip = np.pad(images.reshape(-1, 8, 8), ((0, 0), (0, 0), (0, 1)), "maximum")
    strip[:, :, -1] = np.nan  # a gap between two digits
    ax.imshow(np.hstack(list(strip)), cmap="gray_r", vmin=0, vmax=16)
    ax.set_ylabel(name, rotation=0, ha="right", va="center")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
figure.suptitle("iDAAE on 8 x 8 digits, its defaults")
figure.savefig("digits_pipeline.png", dpi=150)
plt.show()
