"""Displays of samples: images, or lines where there is no `image_shape`."""

import math
from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from .._base import find_autoencoder
from .._parameters import check_image_shape
from .._random import private_generator
from ._axes import import_pyplot, make_axes


class _GridDisplay:
    """Draws samples in a grid of cells, on one axes.

    A subclass keeps `image_shape` and `value_range`, and calls `_draw`.
    """

    def _draw(self, X, ax, cmap, title, *, row_labels=(), column_labels=()):
        """Draw X of shape (n_rows, n_columns, n_features); cells of NaN stay empty."""
        n_rows, n_columns, _ = X.shape
        if self.image_shape is None:
            figsize = 1.3 * n_columns + 0.8, 1.0 * n_rows + 0.8
        else:
            _, height, width = self.image_shape
            cell = max(0.3, min(0.9, 9 / n_columns))
            figsize = cell * n_columns + 0.8, cell * n_rows * height / width + 0.8
        ax = make_axes(self, ax, figsize)
        self.im_, self.lines_ = None, []
        if self.image_shape is None:
            centres = self._draw_lines(X, ax)
        else:
            centres = self._draw_images(X, ax, cmap)
        ax.set_yticks(centres[0] if len(row_labels) else [], row_labels)
        ax.set_xticks(centres[1] if len(column_labels) else [], column_labels)
        ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
        ax.spines[:].set_visible(False)
        ax.set_title(title)
        return self

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


def _shape_to_draw(image_shape, model):
    """Return the shape given, or the model's own where it can be drawn."""
    if image_shape is None:
        own = model.image_shape
        return None if own is None or own[0] not in (1, 3) else tuple(own)
    check_image_shape(image_shape)
    if math.prod(image_shape) != model.n_features_in_ or image_shape[0] not in (1, 3):
        raise ValueError(
            f"image_shape={image_shape!r} must be (channels, height, width) of the "
            f"{model.n_features_in_} features, with 1 channel (grey) or 3 (RGB)."
        )
    return tuple(image_shape)


def _range_of(model, X):
    """Return what is black and what is white in the space of X."""
    if model.input_range is not None:
        return tuple(map(float, model.input_range))
    if model.reconstruction_loss_ == "bce":
        return 0.0, 1.0
    return float(np.min(X)), float(np.max(X))


class ReconstructionDisplay(_GridDisplay):
    """Samples, what the corruption makes of them, and their reconstructions.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    original : ndarray of shape (n_samples, n_features)
        Clean samples.

    reconstructed : ndarray of shape (n_samples, n_features)
        Their reconstructions.

    corrupted : ndarray of shape (n_samples, n_features), default=None
        What was reconstructed, where it was not the original.

    image_shape : (int, int, int), default=None
        Channels (1 or 3), height and width. None draws lines.

    value_range : (float, float), default=None
        What is black and what is white in images. None takes the least and the greatest
        value.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    im_ : matplotlib AxesImage or None
        The picture of all images.

    lines_ : list of matplotlib Line2D
        The lines, where there is no `image_shape`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import ReconstructionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = DAAETransformer(max_epochs=1, random_state=0).fit(X[:100] / 16)
    >>> display = ReconstructionDisplay.from_estimator(
    ...     model, X[:100] / 16, image_shape=(1, 8, 8)
    ... )
    """

    def __init__(
        self,
        original,
        reconstructed,
        *,
        corrupted=None,
        image_shape=None,
        value_range=None,
    ):
        self.original = original
        self.reconstructed = reconstructed
        self.corrupted = corrupted
        self.image_shape = image_shape
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw one column per sample.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : ReconstructionDisplay
        """
        rows = {
            "original": self.original,
            "corrupted": self.corrupted,
            "reconstructed": self.reconstructed,
        }
        rows = {name: X for name, X in rows.items() if X is not None}
        X = np.stack([*rows.values()])
        return self._draw(X, ax, cmap, "Reconstructions", row_labels=[*rows])

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        n_samples=10,
        corrupt=True,
        random_state=None,
        image_shape=None,
        ax=None,
        cmap="gray",
    ):
        """Reconstruct the first rows of X and draw them.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that holds one
            A fitted model.

        X : array-like of shape (n_rows, n_features)
            Clean data.

        n_samples : int, default=10
            How many rows to draw.

        corrupt : bool, default=True
            Whether to corrupt them first. Where the model corrupts nothing, there is
            nothing to show of it.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        image_shape : (int, int, int), default=None
            Channels (1 or 3), height and width. None takes the estimator's; if that is
            None, too, lines are drawn.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : ReconstructionDisplay
        """
        import_pyplot(cls)  # before the work
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        model, X = find_autoencoder(estimator, X[:n_samples])
        image_shape = _shape_to_draw(image_shape, model)
        corrupt = corrupt and not model.net_.objective.corruption.is_identity
        # One seed, so that what is reconstructed is what is shown.
        seed = int(private_generator(random_state).integers(2**31))
        reconstructed = model.reconstruct(X, corrupt=corrupt, random_state=seed)
        corrupted = model.corrupt(X, seed) if corrupt else None
        X = np.asarray(X, dtype=np.float32)
        display = cls(
            X,
            reconstructed,
            corrupted=corrupted,
            image_shape=image_shape,
            value_range=_range_of(model, X),
        )
        return display.plot(ax, cmap=cmap)


class SampleDisplay(_GridDisplay):
    """Samples drawn from a model, or states of the Markov chains they come from.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features) or \
            (n_states, n_samples, n_features)
        Samples; or states of chains.

    steps : sequence of int, default=None
        The times t of the states.

    image_shape : (int, int, int), default=None
        Channels (1 or 3), height and width. None draws lines.

    value_range : (float, float), default=None
        What is black and what is white in images. None takes the least and the greatest
        value.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    im_ : matplotlib AxesImage or None
        The picture of all images.

    lines_ : list of matplotlib Line2D
        The lines, where there is no `image_shape`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import SampleDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = DAAETransformer(max_epochs=1, random_state=0).fit(X[:100] / 16)
    >>> display = SampleDisplay.from_estimator(
    ...     model, n_samples=5, steps=[0, 1, 5], image_shape=(1, 8, 8)
    ... )
    """

    def __init__(self, samples, *, steps=None, image_shape=None, value_range=None):
        self.samples = samples
        self.steps = steps
        self.image_shape = image_shape
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw samples in a block; or each chain in a row, from left to right.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : SampleDisplay
        """
        X = np.asarray(self.samples)
        if X.ndim == 3:
            steps = range(len(X)) if self.steps is None else self.steps
            labels = [f"$x^{{({t})}}$" for t in steps]
            X, title = X.swapaxes(0, 1), "Markov chains"
            return self._draw(X, ax, cmap, title, column_labels=labels)
        n_columns = math.ceil(math.sqrt(len(X)))
        n_rows = math.ceil(len(X) / n_columns)
        block = np.full((n_rows * n_columns, X.shape[1]), np.nan)
        block[: len(X)] = X
        return self._draw(block.reshape(n_rows, n_columns, -1), ax, cmap, "Samples")

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        n_samples=None,
        steps=None,
        X=None,
        Z=None,
        random_state=None,
        image_shape=None,
        ax=None,
        cmap="gray",
    ):
        """Draw samples from a model, and draw them.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that holds one
            A fitted model.

        n_samples : int, default=None
            Number of samples, or of chains; with `X` or `Z`, from each of their rows.
            None is 100 samples or 10 chains, and with `X` or `Z` one.

        steps : int or sequence of int, default=None
            After how many steps of the Markov chain to draw samples; a sequence shows
            several states of each chain side by side. None is the `n_steps` of
            `sample`.

        X : array-like of shape (n_rows, n_features), default=None
            Data to start the chains from.

        Z : array-like of shape (n_rows, n_components), default=None
            Codes to start the chains from.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same samples at every call.

        image_shape : (int, int, int), default=None
            Channels (1 or 3), height and width. None takes the estimator's; if that is
            None, too, lines are drawn.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : SampleDisplay
        """
        import_pyplot(cls)  # before the work
        model, X = find_autoencoder(estimator, X)
        image_shape = _shape_to_draw(image_shape, model)
        is_chain = np.ndim(steps) == 1
        if n_samples is None:
            own = 10 if is_chain else 100
            n_samples = own if X is None and Z is None else 1
        if is_chain:
            steps = [*steps]
            if not steps:
                raise ValueError("steps=[] must name at least one step of the chains.")
        for t in steps if is_chain else [steps or 0]:
            check_scalar(t, "steps", Integral, min_val=0)
        samples = model.sample(
            n_samples,
            random_state,
            n_steps=max(steps) if is_chain else steps,
            return_chain=is_chain,
            X=X,
            Z=Z,
        )
        samples = samples[steps] if is_chain else samples
        display = cls(
            samples,
            steps=steps if is_chain else None,
            image_shape=image_shape,
            value_range=_range_of(model, samples),
        )
        return display.plot(ax, cmap=cmap)


class InterpolationDisplay(_GridDisplay):
    """What lies between two samples: codes on a straight line between theirs, decoded.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    samples : ndarray of shape (n_points, n_features)
        The decoded codes, from one end to the other.

    image_shape : (int, int, int), default=None
        Channels (1 or 3), height and width. None draws lines.

    value_range : (float, float), default=None
        What is black and what is white in images. None takes the least and the greatest
        value.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    im_ : matplotlib AxesImage or None
        The picture of all images.

    lines_ : list of matplotlib Line2D
        The lines, where there is no `image_shape`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import InterpolationDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = DAAETransformer(max_epochs=1, random_state=0).fit(X[:100] / 16)
    >>> display = InterpolationDisplay.from_estimator(
    ...     model, X[:2] / 16, image_shape=(1, 8, 8)
    ... )
    """

    def __init__(self, samples, *, image_shape=None, value_range=None):
        self.samples = samples
        self.image_shape = image_shape
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw the samples in a row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : InterpolationDisplay
        """
        labels = [f"{share:.2g}" for share in np.linspace(0, 1, len(self.samples))]
        X = np.asarray(self.samples)[None]
        return self._draw(X, ax, cmap, "Interpolation", column_labels=labels)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X=None,
        *,
        Z=None,
        n_points=9,
        image_shape=None,
        ax=None,
        cmap="gray",
    ):
        """Interpolate between the codes of two samples, or two codes.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that holds one
            A fitted model.

        X : array-like of shape (2, n_features), default=None
            The samples at both ends.

        Z : array-like of shape (2, n_components), default=None
            The codes at both ends, instead.

        n_points : int, default=9
            Number of samples, both ends included.

        image_shape : (int, int, int), default=None
            Channels (1 or 3), height and width. None takes the estimator's; if that is
            None, too, lines are drawn.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default="gray"
            Of images of one channel.

        Returns
        -------
        display : InterpolationDisplay
        """
        import_pyplot(cls)  # before the work
        check_scalar(n_points, "n_points", Integral, min_val=2)
        if (X is None) == (Z is None):
            raise ValueError("Give either X, two samples, or Z, two codes.")
        model, X = find_autoencoder(estimator, X)
        image_shape = _shape_to_draw(image_shape, model)
        ends = Z if X is None else model.transform(X)
        ends = model._validated_codes(ends)
        if len(ends) != 2:
            raise ValueError(
                f"An interpolation has 2 ends, but {len(ends)} were given."
            )
        samples = model.inverse_transform(np.linspace(*ends, n_points))
        display = cls(
            samples, image_shape=image_shape, value_range=_range_of(model, samples)
        )
        return display.plot(ax, cmap=cmap)
