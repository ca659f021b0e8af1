"""
Taking noise away
=================

A DAAE is trained on clean digits that it corrupts itself; `reconstruct` then cleans
digits with real noise. Beside it, a PCA of as many components.
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

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 3), layout="constrained", width_ratios=[1.7, 1]
)
ReconstructionDisplay.from_estimator(
    model, X_test, n_samples=12, random_state=0, ax=left, cmap="gray_r"
)
left.set_title("Digits that the DAAE has not seen")

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
for name, values in errors.items():
    right.plot(levels, values, label=name)
right.axvline(model.sigma, color="0.8", zorder=0)
right.set(
    xlabel="noise (trained for: grey line)", ylabel="squared error", ylim=(0, 0.1)
)
right.legend(
    loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, columnspacing=1
)
figure.savefig("denoising.png", dpi=150)

print("noise   " + "   ".join(f"{name:>16}" for name in errors))
for i, level in enumerate(levels):
    print(f"{level:.1f}     " + "   ".join(f"{errors[n][i]:16.4f}" for n in errors))
