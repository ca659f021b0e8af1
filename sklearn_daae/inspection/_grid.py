"""Samples in a grid: images, or lines where there is no `image_shape`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._checks import check_image_shape
from ._axes import leaves_no_figure, make_axes

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


class GridDisplay:
    """Draws samples in a grid of cells, on one axes.

    A subclass keeps `image_shape` and `value_range`, and gives the `_cells`.
    """

    image_shape: tuple[int, int, int] | None
    value_range: tuple[float, float] | None
    lines_: list

    @leaves_no_figure
    def plot(
        self, ax: Axes | None = None, *, cmap: str | Colormap | None = "gray"
    ) -> Self:
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : object
            This display, with its attributes `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        ValueError
            If `image_shape` is not that of the samples.

        TypeError
            If `ax` is none of matplotlib's.
        """
        X, title, row_labels, column_labels = self._cells()
        n_rows, n_columns, _ = X.shape
        if self.image_shape is None:
            figsize = 1.3 * n_columns + 0.8, 1.0 * n_rows + 0.8
        else:
            _check_drawable(self.image_shape, X.shape[2])
            _, height, width = self.image_shape
            cell = max(0.3, min(0.9, 9 / n_columns))
            figsize = cell * n_columns + 0.8, cell * n_rows * height / width + 0.8
        # Wide enough for the title.
        axes = make_axes(self, ax, (max(3, figsize[0]), figsize[1]))
        self.im_, self.lines_ = None, []
        if self.image_shape is None:
            centres = self._draw_lines(X, axes)
        else:
            centres = self._draw_images(X, axes, cmap)
        axes.set_yticks(centres[0] if len(row_labels) else [], row_labels)
        axes.set_xticks(centres[1] if len(column_labels) else [], column_labels)
        axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        return self

    def _cells(self) -> Any:
        """Return samples by row and column, a title, and labels of rows and columns."""
        raise NotImplementedError

    def _draw_images(self, X, ax, cmap):
        """Draw one picture of all images, and return the centres of its cells."""
        low, high = self.value_range or (np.nanmin(X), np.nanmax(X))
        n_channels, height, width = self.image_shape
        n_rows, n_columns, _ = X.shape
        gap = max(1, width // 14)
        # Channels last; two for what a grey picture needs: the values and the gaps.
        images = X.reshape(n_rows, n_columns, n_channels, height, width)
        images = images.transpose(0, 3, 1, 4, 2)
        shape = n_rows, height + gap, n_columns, width + gap, n_channels
        canvas = np.full(shape, np.nan)
        canvas[:, :height, :, :width] = images
        canvas = canvas.reshape(n_rows * shape[1], n_columns * shape[3], n_channels)
        canvas = canvas[: canvas.shape[0] - gap, : canvas.shape[1] - gap]
        if n_channels == 1:
            canvas = np.ma.masked_invalid(canvas[..., 0])
        else:
            alpha = ~np.isnan(canvas[..., :1])
            colours = np.clip((canvas - low) / ((high - low) or 1), 0, 1)
            canvas = np.concatenate([np.nan_to_num(colours), alpha], axis=-1)
        self.im_ = ax.imshow(
            canvas, cmap=cmap, vmin=low, vmax=high, interpolation="nearest"
        )
        return [
            np.arange(n) * (size + gap) + (size - 1) / 2
            for n, size in ((n_rows, height), (n_columns, width))
        ]

    def _draw_lines(self, X, ax):
        """Draw each sample as a line in its cell, and return the cells' centres."""
        # All that there is, noise included, so that no line leaves its cell.
        low, high = np.nanmin(X), np.nanmax(X)
        n_rows, n_columns, n_features = X.shape
        across = np.linspace(0, 0.9, n_features)
        for i in range(n_rows):
            for j in range(n_columns):
                if np.isnan(X[i, j]).all():
                    continue
                up = 0.8 * (X[i, j] - low) / ((high - low) or 1)
                self.lines_ += ax.plot(j + across, i + 0.8 - up, color="C0", lw=1)
        ax.set(xlim=(-0.1, n_columns), ylim=(n_rows, -0.2))
        return np.arange(n_rows) + 0.4, np.arange(n_columns) + 0.45


def shape_to_draw(image_shape, model):
    """Return the shape given, or the model's own where it can be drawn."""
    if image_shape is None:
        own = model.image_shape
        return None if own is None or own[0] not in (1, 3) else tuple(own)
    _check_drawable(image_shape, model.n_features_in_)
    return tuple(image_shape)


def _check_drawable(image_shape, n_features):
    """Refuse a shape that is not that of so many features, or cannot be drawn."""
    check_image_shape(image_shape)
    if math.prod(image_shape) != n_features or image_shape[0] not in (1, 3):
        raise ValueError(
            f"image_shape={image_shape!r} must be (channels, height, width) of the "
            f"{n_features} features, with 1 channel (grey) or 3 (RGB)."
        )


def range_of(model, X):
    """Return what is black and what is white in the space of X."""
    input_range = model.net_.structure["input_range"]
    if input_range is not None:
        return tuple(map(float, input_range))
    if model.reconstruction_loss_ == "bce":
        return 0.0, 1.0
    return float(np.nanmin(X)), float(np.nanmax(X))
