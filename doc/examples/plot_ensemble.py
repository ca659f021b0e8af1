"""
Ten seeds, trained as one, and their codes side by side
=======================================================

What a picture of two-dimensional codes shows, it should show in several trainings.
:func:`~sklearn_daae.model_selection.fit_together` trains five of each of two kinds as
one. At the defaults the seeds agree: for few rows, networks begin as their principal
components (the option "shortcut"). Without that, each seed lays the digits out in its
own way, and five of them side by side tell a classifier more than any of them alone. If
that is all that is wanted, one model of as many components tells it the most.
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

# %%
# Ten trainings as one
# --------------------
# The ten together take less time than ten times what one takes.

start = perf_counter()
DAAETransformer(2, random_state=0).fit(X_train)
of_one = perf_counter() - start

networks = {
    "with a shortcut": "mlp",
    "without": ("mlp", {"shortcut": False}),
}
models = {
    name: [DAAETransformer(2, network=network, random_state=i) for i in range(5)]
    for name, network in networks.items()
}
start = perf_counter()
fit_together([model for members in models.values() for model in members], X_train)
of_all = perf_counter() - start
print(f"one model {of_one:.1f} s, the ten together {of_all:.1f} s")

# %%
# What codes of two numbers tell
# ------------------------------
# How well a classifier tells test digits apart by the codes of one model, and by those
# of five side by side.


def accuracy(members):
    train, test = (
        np.hstack([model.transform(rows) for model in members])
        for rows in (X_train, X_test)
    )
    return SVC().fit(train, y_train).score(test, y_test)


for name, members in models.items():
    alone = [accuracy([model]) for model in members]
    print(f"{name}: each {min(alone):.1%} to {max(alone):.1%}, ", end="")
    print(f"side by side {accuracy(members):.1%}")
large = DAAETransformer(10, random_state=0).fit(X_train)
print(f"one of as many components: {accuracy([large]):.1%}")

# %%
# The codes of the test digits
# ----------------------------
# A colour for each of 0 to 9. In the first row every seed has each digit in the same
# place; what lies where in the second is an accident of the seed.

figure, axes = plt.subplots(2, 5, figsize=(11, 4.8), layout="constrained")
for row, (name, members) in zip(axes, models.items(), strict=True):
    row[0].set_ylabel(name)
    for ax, model in zip(row, members, strict=True):
        dots = ax.scatter(*model.transform(X_test).T, c=y_test, cmap="tab10", s=5)
        ax.set(title=f"seed {model.random_state}", xticks=[], yticks=[])
        ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
figure.legend(*dots.legend_elements(), loc="outside right center")
plt.show()
