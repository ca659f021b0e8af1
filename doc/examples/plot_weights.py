"""
Have rare rows count
====================

Of one digit there are ten times as few drawings as of the others. With
``sample_weight`` it counts as if there were as many.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_daae import DAAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=600, stratify=y, random_state=0
)
rare = 8
kept = (y_train != rare) | (np.cumsum(y_train == rare) % 10 == 0)
X_train, y_train = X_train[kept], y_train[kept]
weight = compute_sample_weight("balanced", y_train)
print("drawings of each digit:", np.bincount(y_train))

# %%
# With and without weights
# ------------------------
# The squared error of the reconstructions of test images, of the rare digit and of all
# others, over three seeds.

errors = {"without weights": [], "with weights": []}
for seed in range(3):
    for name, used in zip(errors, (None, weight), strict=True):
        model = DAAETransformer(6, random_state=seed)
        model.fit(X_train, sample_weight=used)
        error = -model.score_samples(X_test)
        is_rare = y_test == rare
        errors[name].append((error[is_rare].mean(), error[~is_rare].mean()))
for name, values in errors.items():
    print(name, np.round(np.mean(values, axis=0), 3))

# %%
# What the rare digit gains, and what the others pay
# --------------------------------------------------
# The rare digit is reconstructed better, and the others a little worse: six numbers are
# shared out anew. The lines on the bars are standard deviations over the seeds.

fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for i, (name, values) in enumerate(errors.items()):
    mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
    ax.bar(np.arange(2) + 0.4 * i, mean, 0.4, yerr=spread, label=name)
ax.set_xticks([0.2, 1.2], [f"the digit {rare}", "the others"])
ax.set(ylabel="squared error", title="Reconstructions of test images")
ax.legend()
plt.show()
