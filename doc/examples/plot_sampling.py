"""
Drawing digits from a denoising adversarial autoencoder
=======================================================

A DAAE matches the codes of *corrupted* samples to the prior. A draw from the prior is
therefore decoded and then refined by steps of a Markov chain: corrupt, encode, decode
(equation 3 of the paper). :meth:`~sklearn_daae.DAAETransformer.sample` does both. Here
are its chains on handwritten digits, and what the steps do to the likelihood of digits
that were held out.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_daae import DAAETransformer
from sklearn_daae.inspection import SampleDisplay
from sklearn_daae.metrics import parzen_log_likelihood, select_bandwidth

X = (load_digits().data / 16).astype(np.float32)
X_train, X_rest = train_test_split(X, test_size=0.4, random_state=0)
X_validation, X_test = train_test_split(X_rest, test_size=0.5, random_state=0)

model = DAAETransformer(
    10,
    sigma=0.4,
    image_shape=(1, 8, 8),
    adversarial_weight=0.3,
    max_epochs=100,
    random_state=0,
).fit(X_train)

# %%
# What a step is worth
# --------------------
# The log-likelihood of held-out digits under a Parzen window on 2000 samples x(t), the
# bandwidth chosen on other digits. The bars are standard errors.

steps = [0, 1, 2, 5, 10]
means, errors = [], []
chain = model.sample(2000, random_state=1, n_steps=max(steps), return_chain=True)
print("t    bandwidth   log-likelihood (nats)")
for t in steps:
    bandwidth = select_bandwidth(
        chain[t], X_validation, bandwidths=np.logspace(-1, 0, 10)
    )
    values = parzen_log_likelihood(X_test, chain[t], bandwidth=bandwidth)
    means.append(values.mean())
    errors.append(values.std() / np.sqrt(len(values)))
    print(f"{t:<4} {bandwidth:9.3f}   {means[-1]:8.2f} +- {errors[-1]:.2f}")

# %%
# Chains, from left to right
# --------------------------
# Each row on the left is one chain, from x(0), the decoded draw from the prior. The
# first step gains most, and is the default; what later ones gain lies within the
# standard errors.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 4), layout="constrained", width_ratios=[1, 1.2]
)
SampleDisplay.from_estimator(
    model, n_samples=6, steps=steps, random_state=0, ax=left, cmap="gray_r"
)
left.set_title("Six chains of a DAAE")
right.errorbar(steps, means, errors, marker="o", capsize=3)
right.set(xlabel="step t", ylabel="log-likelihood of test digits (nats)")
right.set_title("Their likelihood")
plt.show()
