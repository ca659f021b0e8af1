"""
Sprites: characters that move
=============================

:func:`~sklearn_daae.datasets.fetch_sprites` gives 178 frames of each of 672 characters,
which are split, not their frames: the characters of the test set are never seen in
training. The script draws eight of them, one in each row, in every animation. The
figures are those of the Liberated Pixel Cup, and are not passed on here.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_daae.datasets import fetch_sprites

sprites = fetch_sprites(subset="test", dtype="uint8")
print("data", sprites.data.shape, sprites.data.dtype)
for name, values in zip(sprites.target_names, sprites.target.T, strict=True):
    print(f"{name:8} {len(np.unique(values))} values")

# %%
# One row for each character
# --------------------------
# The fifth frame of each animation, seen from the front and from the left; "hurt" is
# drawn from the front alone.

front, left = (sprites.view_names.index(name) for name in ("front", "left"))
columns = [(animation, front) for animation in range(6)]
columns += [(animation, left) for animation in range(5)]
characters = np.random.default_rng(2).choice(np.unique(sprites.character), 8, False)
rows = []
for character in characters:
    frames = [
        sprites.images[
            (sprites.character == character)
            & (sprites.animation == animation)
            & (sprites.view == view)
            & (sprites.frame == 4)
        ][0]
        for animation, view in columns
    ]
    rows.append(np.concatenate(frames, axis=1))

figure, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
ax.imshow(np.concatenate(rows))
ax.set_xticks(
    60 * np.arange(len(columns)) + 30,
    [sprites.animation_names[animation] for animation, _ in columns],
    rotation=45,
)
ax.set_yticks(60 * np.arange(8) + 30, characters)
ax.set_ylabel("character")
ax.set_title("Sprites, test set, from the front and from the left")
plt.show()
