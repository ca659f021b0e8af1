"""
MNIST: digits in the paper's split
==================================

:func:`~sklearn_daae.datasets.fetch_mnist` downloads MNIST once, and afterwards maps the
decoded images into memory, in a fraction of a second. Here are ten of each digit.

.. image:: /images/gallery/mnist.png
   :alt: Ten training images of each digit, a row for each
   :width: 400px
"""

# sphinx_gallery_thumbnail_path = 'images/gallery/mnist.png'

import matplotlib.pyplot as plt
import numpy as np

from sklearn_daae.datasets import fetch_mnist

mnist = fetch_mnist(subset="train")
print("data", mnist.data.shape, "from", mnist.data.min(), "to", mnist.data.max())
print("images of each digit:", np.bincount(mnist.target))

# %%
# One row of images for each digit
# --------------------------------
# ``images`` are the rows of ``data`` in their shape, 28 x 28, without a copy.

rows = [mnist.images[mnist.target == digit][:10] for digit in range(10)]
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.imshow(np.block([[*row] for row in rows]), cmap="gray")
ax.set_xticks([])
ax.set_yticks(28 * np.arange(10) + 14, mnist.target_names)
ax.set_title("MNIST, training images")
plt.show()
