"""
Begin a classifier from what digits without labels have taught
==============================================================

A model learns from all images, none of which is labelled. Its encoder then is the first
part of a classifier of few labels: as it is, and trained on with the rest.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier

from sklearn_daae import DAAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=500, stratify=y, random_state=0
)
model = DAAETransformer(16, random_state=0).fit(X_train)  # no labels

# %%
# Three classifiers, for as many labels each
# ------------------------------------------
# :class:`~sklearn.frozen.FrozenEstimator` keeps the model as it is.
# :meth:`~sklearn_daae.DAAETransformer.as_module` gives what its ``transform`` does as a
# torch module, with the scaling in it, for skorch's classifier to train on: a copy, so
# that the model stays the same.


def classifier(encode):
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        torch.nn.Sequential(encode, torch.nn.ReLU(), torch.nn.Linear(16, 10)),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        max_epochs=60,
        batch_size=32,
        train_split=None,
        verbose=0,
    )
    return make_pipeline(FunctionTransformer(np.float32), net)


def from_nothing():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 16)
    )


numbers = [50, 100, 200, 400]
accuracies = {
    "codes as they are": [],
    "encoder trained on": [],
    "encoder from nothing": [],
}
for n in numbers:
    pipelines = {
        "codes as they are": make_pipeline(
            FrozenEstimator(model), LogisticRegression(max_iter=2000)
        ),
        "encoder trained on": classifier(model.as_module("transform")),
        "encoder from nothing": classifier(from_nothing()),
    }
    for name, pipeline in pipelines.items():
        pipeline.fit(X_train[:n], y_train[:n])
        accuracies[name].append(pipeline.score(X_test, y_test))
    print(n, {name: round(values[-1], 3) for name, values in accuracies.items()})

# %%
# What the images without labels bring
# ------------------------------------
# The encoder that has seen all images and is trained on with the labels is the best for
# every number of labels. Codes as they are do not beat an encoder from nothing: sixteen
# numbers chosen without labels leave out some of what the labels ask for.

fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, values in accuracies.items():
    ax.plot(numbers, 100 * np.array(values), "o-", label=name)
ax.set(xlabel="labels", ylabel="accuracy in percent", title="Digits", xticks=numbers)
ax.legend()
plt.show()
