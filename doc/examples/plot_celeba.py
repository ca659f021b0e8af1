"""
CelebA: faces with attributes
=============================

:func:`~sklearn_daae.datasets.fetch_celeba` gives the aligned faces at 64 x 64, and
forty attributes of each. Their terms forbid passing them on, so there is no picture
here. The script draws eight faces with each of six attributes of the paper, for those
who have the data.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_daae.datasets import fetch_celeba

faces = fetch_celeba(subset="test", dtype="uint8")
print("data", faces.data.shape, faces.data.dtype)

# %%
# One row for each attribute
# --------------------------
# ``target`` has a column of 0 and 1 for each of ``target_names``.

names = ["Bangs", "Blond_Hair", "Male", "Mouth_Slightly_Open", "Wavy_Hair"]
names.append("Wearing_Hat")
rows = []
for name in names:
    has_it = faces.target[:, faces.target_names.index(name)] == 1
    print(f"{name:20} {100 * has_it.mean():5.1f} %")
    rows.append(np.concatenate([*faces.images[has_it][:8]], axis=1))

figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
ax.imshow(np.concatenate(rows))
ax.set_xticks([])
ax.set_yticks(64 * np.arange(6) + 32, [name.replace("_", " ") for name in names])
ax.set_title("CelebA, test set")
plt.show()
