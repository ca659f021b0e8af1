"""The paper's figures that show what trained models make.

Each is called with the trained models by name and the parts of their data, and returns
a figure of matplotlib.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_daae._model.priors import ring
from sklearn_daae.inspection import (
    LatentSpaceDisplay,
    PriorMatchDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)

IMAGE_SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "omniglot": (1, 105, 105),
    "sprites": (3, 60, 60),
    "celeba": (3, 64, 64),
    "faces": (1, 64, 64),
}


def _axes(n, size=4.5):
    """Return a figure and a row of n axes."""
    figure, axes = plt.subplots(
        1, n, figsize=(size * n, size), layout="constrained", squeeze=False
    )
    return figure, axes[0]


def _draw_states(model, dataset, axes, steps, *, n_samples=64, Z=None):
    """Draw the same chains after different numbers of steps, one block for each."""
    chain = model.sample(
        n_samples if Z is None else 1,
        0,
        n_steps=max(steps),
        return_chain=True,
        Z=Z,
    )
    # Ink is dark where it is on paper.
    cmap = "gray_r" if dataset == "omniglot" else "gray"
    for ax, t in zip(axes, steps, strict=True):
        SampleDisplay(
            chain[t], image_shape=IMAGE_SHAPES[dataset], value_range=(0, 1)
        ).plot(ax, cmap=cmap)
        ax.set_title(f"$x^{{({t})}}$")


def prior_match(models, dataset, data):
    """Figure 2: codes, codes of corrupted data and the prior."""
    figure, axes = _axes(len(models))
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        PriorMatchDisplay.from_estimator(model, data["test"][0], random_state=0, ax=ax)
        ax.set_title(name)
    return figure


def states(models, dataset, data, *, steps):
    """Figures 4, 6 and 11: samples, and the same chains after some steps."""
    (model,) = models.values()
    figure, axes = _axes(len(steps))
    _draw_states(model, dataset, axes, steps)
    return figure


def samples(models, dataset, data):
    """Figure 5: samples of several models, as each is sampled."""
    figure, axes = _axes(len(models))
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        SampleDisplay.from_estimator(
            model,
            n_samples=64,
            random_state=0,
            image_shape=IMAGE_SHAPES[dataset],
            ax=ax,
        )
        ax.set_title(name)
    return figure


def reconstructions(models, dataset, data):
    """Figure 7: test images, corrupted and reconstructed."""
    (model,) = models.values()
    return ReconstructionDisplay.from_estimator(
        model,
        data["test"][0],
        n_samples=12,
        random_state=0,
        image_shape=IMAGE_SHAPES[dataset],
    ).figure_


def codes_and_states(models, dataset, data, *, steps):
    """Figures 12 and 13: the prior, codes by class, and chains after some steps.

    With the ring prior, chains start from normal codes, away from it.
    """
    (model,) = models.values()
    X, y = data["test"]
    figure, axes = _axes(2 + len(steps), 4)
    Z = None
    if model.prior == "ring":
        Z = np.random.default_rng(0).normal(size=(64, model.n_components))
        draws = ring(5000, 2, torch.Generator().manual_seed(0))
        LatentSpaceDisplay(draws.numpy()).plot(axes[0])
        axes[0].set_title("Prior")
    else:
        PriorMatchDisplay.from_estimator(
            model, X, component=0, random_state=0, ax=axes[0]
        )
    LatentSpaceDisplay.from_estimator(
        model, X, y, corrupt=True, random_state=0, ax=axes[1]
    )
    axes[1].set_title("Codes of corrupted test images")
    _draw_states(model, dataset, axes[2:], steps, Z=Z)
    return figure


DRAW = {
    "fig2": prior_match,
    "fig4": partial(states, steps=(0, 9)),
    "fig5": samples,
    "fig6": partial(states, steps=(0, 5, 20)),
    "fig7": reconstructions,
    "fig11": partial(states, steps=(0, 1)),
    "fig12": partial(codes_and_states, steps=(0, 5)),
    "fig13": partial(codes_and_states, steps=(0, 9)),
}
