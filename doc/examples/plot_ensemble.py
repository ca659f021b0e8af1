"""
Ten seeds, trained as one, and their codes side by side
=======================================================

Two trainings that differ in nothing but their seeds give two representations. A
classifier that sees the codes of ten of them makes fewer mistakes than with those of
any one. `fit_together` trains the ten in the time of about four; one model of as many
components is there to compare with.
"""

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer
from sklearn_daae.model_selection import fit_together

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

start = perf_counter()
DAAETransformer(8, random_state=0).fit(X_train)
of_one = perf_counter() - start

models = [DAAETransformer(8, random_state=seed) for seed in range(10)]
start = perf_counter()
fit_together(models, X_train)
of_all = perf_counter() - start
print(f"one model {of_one:.1f} s, ten as one {of_all:.1f} s")


# %%
# An `SVC` on the codes of one, two ... of them, and on those of one large model.


def accuracy(members):
    train, test = (
        np.hstack([model.transform(rows) for model in members])
        for rows in (X_train, X_test)
    )
    return SVC().fit(train, y_train).score(test, y_test)


alone = [accuracy([model]) for model in models]
side_by_side = [accuracy(models[:k]) for k in range(1, 11)]
large = accuracy([DAAETransformer(80, random_state=0).fit(X_train)])
print(f"one of 8 components: {np.mean(alone):.3f} on average")
print(f"ten of them: {side_by_side[-1]:.3f}; one of 80 components: {large:.3f}")

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.scatter(np.ones(10), alone, s=18, color="tab:gray", label="each alone")
ax.plot(range(1, 11), side_by_side, marker="o", label="codes side by side")
ax.axhline(large, ls="--", color="tab:red", label="one model of 80 components")
ax.set(
    xlabel="number of models of 8 components",
    ylabel="accuracy of an SVC on test digits",
    xticks=range(1, 11),
)
ax.legend(loc="lower right")
figure.savefig("ensemble.png", dpi=150)
