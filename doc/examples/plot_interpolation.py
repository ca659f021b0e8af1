"""
Between two digits
==================

Codes on the straight line between those of two digits, decoded: where the codes follow
a prior without gaps, most of what lies between two digits looks like a digit, too. And
how the training went: a discriminator that tells codes from draws of the prior no
better than by chance has a loss of 2 log 2, and codes that follow the prior are no
further from its draws than other draws are.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_daae import DAAETransformer
from sklearn_daae.inspection import InterpolationDisplay, LossCurveDisplay

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

model = DAAETransformer(
    10,
    sigma=0.25,
    image_shape=(1, 8, 8),
    max_epochs=100,
    random_state=0,
).fit(X)

# %%
# Five pairs of digits
# --------------------
# The first two of the data set, the next two, and so on. A two bends into a three, and
# an eight opens into a nine; between nought and one, and between six and seven, there
# are one or two pale blends.

figure, axes = plt.subplots(5, 1, figsize=(6, 4), layout="constrained")
for ax, pair in zip(axes, np.arange(10).reshape(5, 2), strict=True):
    InterpolationDisplay.from_estimator(model, X[pair], ax=ax, cmap="gray_r")
    ax.set(title="", xticks=[])
figure.suptitle("From one digit to another, by their codes")
plt.show()

# %%
# The losses
# ----------
# The grey line is 2 log 2. Here the discriminator does better than chance, and yet the
# codes are about as far from draws of the prior as batches of draws are from each
# other.

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
LossCurveDisplay.from_estimator(model, ax=ax)
ax.axhline(2 * np.log(2), color="0.8", zorder=0)
ax.legend(loc="center right")
plt.show()

last = model.history_[-1]
print("after the last epoch: " + ", ".join(f"{k} {v:.3f}" for k, v in last.items()))
