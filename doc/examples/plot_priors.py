"""
Three priors for a two-dimensional code
=======================================

The adversary shapes the codes into any distribution that can be drawn from. Here they
are matched to a normal one, a uniform one, and ten Gaussians on a ring, without the
labels that colour them. Codes of two numbers are for looking at; for features, take
more.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_daae import AAETransformer
from sklearn_daae.inspection import LatentSpaceDisplay, SampleDisplay
from sklearn_daae.metrics import prior_distance

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

# %%
# One model for each prior
# ------------------------
# ``prior`` takes a name, a name and its options, a distribution of :mod:`scipy.stats`,
# or a function of your own. More ``adversarial_weight`` than the default matches the
# prior better, at the cost of the reconstruction. Above are the codes; below, draws
# from the prior that were decoded.

priors = {
    "normal": "normal",
    "uniform": "uniform",
    "ring": ("ring", {"n_modes": 10, "radius": 4.0, "scale": 0.5}),
}
figure, axes = plt.subplots(
    2, len(priors), figsize=(10, 7), layout="constrained", height_ratios=[1.2, 1]
)
print("prior      distance of the codes from it")
for (name, prior), (above, below) in zip(priors.items(), axes.T, strict=True):
    model = AAETransformer(
        2,
        prior=prior,
        image_shape=(1, 8, 8),
        adversarial_weight=0.3,
        max_epochs=100,
        random_state=0,
    ).fit(X)
    print(f"{name:<10} {prior_distance(model, X, random_state=0):.3f}")
    LatentSpaceDisplay.from_estimator(model, X, y, ax=above)
    above.set_title(f"{name}: codes")
    if name != "ring":
        above.get_legend().remove()
    SampleDisplay.from_estimator(
        model, n_samples=64, random_state=0, ax=below, cmap="gray_r"
    )
    below.set_title("decoded draws")
plt.show()

# %%
# The codes take the form of each prior, a disc, a square and a ring, and digits of a
# kind stay together although no label was seen. They do not take one Gaussian of the
# ring each: nothing asks them to.
