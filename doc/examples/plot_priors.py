"""
Three priors for a two-dimensional code
=======================================

The adversary shapes the codes into any distribution that can be drawn from. Here they
are matched to a normal one, a uniform one, and ten Gaussians on a ring, without the
labels that colour them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_daae import AAETransformer
from sklearn_daae.inspection import LatentSpaceDisplay, SampleDisplay
from sklearn_daae.metrics import prior_distance

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

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
figure.savefig("priors.png", dpi=150)
