"""
Taking noise away
=================

A DAAE is trained on clean digits that it corrupts itself;
:meth:`~sklearn_daae.DAAETransformer.reconstruct` then cleans digits that come with
noise. Beside it, a PCA of as many components.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from sklearn_daae import DAAETransformer
from sklearn_daae.inspection import ReconstructionDisplay

X = (load_digits().data / 16).astype(np.float32)
X_train, X_test = train_test_split(X, test_size=0.3, random_state=0)

model = DAAETransformer(
    16,
    sigma=0.4,
    image_shape=(1, 8, 8),
    random_state=0,
).fit(X_train)
pca = PCA(16).fit(X_train)

# %%
# What it makes of noise
# ----------------------
# Digits that the model has not seen; the same with noise; and what it makes of that.
# The strokes come back, softer than they were. Where noise has covered most of a
# stroke, what comes back may be another digit.

figure, ax = plt.subplots(figsize=(8, 2.2), layout="constrained")
ReconstructionDisplay.from_estimator(
    model, X_test, n_samples=12, random_state=0, ax=ax, cmap="gray_r"
)
ax.set_title("Digits that the DAAE has not seen")
plt.show()

# %%
# How much noise it takes
# -----------------------
# The squared error of what is cleaned, by the standard deviation of the noise.

levels = np.linspace(0, 0.8, 9)
noise = np.random.default_rng(0).normal(size=X_test.shape).astype(np.float32)
errors = {"the noisy digits": [], "PCA": [], "DAAE": []}
for level in levels:
    X_noisy = X_test + level * noise
    cleaned = {
        "the noisy digits": X_noisy,
        "PCA": pca.inverse_transform(pca.transform(X_noisy)),
        "DAAE": model.reconstruct(X_noisy),
    }
    for name, X_hat in cleaned.items():
        errors[name].append(((X_hat - X_test) ** 2).mean())
print("noise   " + "   ".join(f"{name:>16}" for name in errors))
for i, level in enumerate(levels):
    print(f"{level:.1f}     " + "   ".join(f"{errors[n][i]:16.4f}" for n in errors))

# %%
# Digits with hardly any noise are best left alone: sixteen numbers cannot hold all of
# them. From there on the DAAE is better than both, by more the more noise there is.

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, values in errors.items():
    ax.plot(levels, values, label=name)
ax.axvline(model.sigma, color="0.8", zorder=0)
ax.set(xlabel="noise (trained for: grey line)", ylabel="squared error", ylim=(0, 0.1))
ax.legend()
plt.show()
