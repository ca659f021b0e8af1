"""
Omniglot: characters of fifty alphabets
=======================================

:func:`~sklearn_daae.datasets.fetch_omniglot` gives the paper's three subsets: training
and testing drawings of the same characters, and an evaluation set of other alphabets.
Here are twelve characters of each of ten alphabets, one drawing of each.

.. image:: /images/gallery/omniglot.png
   :alt: Drawings of twelve characters of each of ten alphabets
   :width: 500px
"""

# sphinx_gallery_thumbnail_path = 'images/gallery/omniglot.png'

import matplotlib.pyplot as plt
import numpy as np

from sklearn_daae.datasets import fetch_omniglot

for subset in ("train", "test", "evaluation"):
    omniglot = fetch_omniglot(subset=subset, dtype="uint8")
    print(
        f"{subset}: {len(omniglot.data)} drawings of {len(set(omniglot.target))} "
        f"characters in {len(set(omniglot.alphabet))} alphabets"
    )

# %%
# One row for each alphabet
# -------------------------
# Ink has the high values, so the colour map is reversed.

omniglot = fetch_omniglot(subset="evaluation", dtype="uint8")
random = np.random.default_rng(0)
alphabets = np.unique(omniglot.alphabet)[::2]
figure, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
rows = []
for alphabet in alphabets:
    characters = np.unique(omniglot.target[omniglot.alphabet == alphabet])
    characters = random.choice(characters, 12, replace=False)
    chosen = [random.choice(np.flatnonzero(omniglot.target == c)) for c in characters]
    rows.append([*np.pad(omniglot.images[chosen], ((0, 0), (6, 6), (6, 6)))])
ax.imshow(np.block(rows), cmap="gray_r")
ax.set_xticks([])
names = [omniglot.alphabet_names[alphabet] for alphabet in alphabets]
ax.set_yticks(117 * np.arange(len(names)) + 58, [n.replace("_", " ") for n in names])
ax.set_title("Omniglot, evaluation set")
plt.show()
