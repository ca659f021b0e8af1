"""Displays of samples: reconstructed, drawn from a model, and interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from .._checks import check_flag, check_number
from .._pipelines import find_autoencoder
from .._random import RandomState, private_generator
from ._axes import import_pyplot
from ._grid import GridDisplay, range_of, shape_to_draw

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


class ReconstructionDisplay(GridDisplay):
    """Samples, what the corruption makes of them, and their reconstructions.

    One column per sample. It is recommended to use :meth:`from_estimator`.

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

    See Also
    --------
    SampleDisplay : Draws new samples.
    sklearn_daae.DAAETransformer.reconstruct : Gives reconstructions.

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
        original: ArrayLike,
        reconstructed: ArrayLike,
        *,
        corrupted: ArrayLike | None = None,
        image_shape: tuple[int, int, int] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.original = original
        self.reconstructed = reconstructed
        self.corrupted = corrupted
        self.image_shape = image_shape
        self.value_range = value_range

    def _cells(self):
        """Return one column per sample."""
        rows = {
            "original": self.original,
            "corrupted": self.corrupted,
            "reconstructed": self.reconstructed,
        }
        rows = {name: X for name, X in rows.items() if X is not None}
        X = np.stack([*rows.values()])
        return X, "Reconstructions", [*rows], []

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_samples: int = 10,
        corrupt: bool = True,
        random_state: RandomState = None,
        image_shape: tuple[int, int, int] | None = None,
        ax: Axes | None = None,
        cmap: str | Colormap | None = "gray",
    ) -> Self:
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
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid, `n_samples` is below 1, or `image_shape` is not that of
            the rows.

        TypeError
            If `estimator` neither is nor holds a model of this package,
            `n_samples` is no integer, `corrupt` is no bool, or `ax` is none of
            matplotlib's.
        """
        import_pyplot(cls)  # before the work
        check_number("n_samples", n_samples, least=1)
        check_flag("corrupt", corrupt)
        rows: Any = X
        model, rows = find_autoencoder(estimator, rows[:n_samples])
        image_shape = shape_to_draw(image_shape, model)
        corrupt = corrupt and not model.net_.objective.corruption.is_identity
        # One seed, so that what is reconstructed is what is shown.
        seed = int(private_generator(random_state).integers(2**31))
        reconstructed = model.reconstruct(rows, corrupt=corrupt, random_state=seed)
        corrupted = model.corrupt(rows, seed) if corrupt else None
        original = rows.toarray() if issparse(rows) else rows
        original = np.asarray(original, dtype=np.float32)
        display = cls(
            original,
            reconstructed,
            corrupted=corrupted,
            image_shape=image_shape,
            value_range=range_of(model, original),
        )
        return display.plot(ax, cmap=cmap)


class SampleDisplay(GridDisplay):
    """Samples drawn from a model, or states of the Markov chains they come from.

    Samples in a block; chains in a row each, from left to right. It is recommended to
    use :meth:`from_estimator`.

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

    See Also
    --------
    ReconstructionDisplay : Draws reconstructions of data.
    sklearn_daae.DAAETransformer.sample : Gives samples.

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

    def __init__(
        self,
        samples: ArrayLike,
        *,
        steps: Sequence[int] | None = None,
        image_shape: tuple[int, int, int] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.samples = samples
        self.steps = steps
        self.image_shape = image_shape
        self.value_range = value_range

    def _cells(self):
        """Return a block of samples; or each chain in a row, from left to right."""
        X = np.asarray(self.samples)
        if X.ndim == 3:
            steps = range(len(X)) if self.steps is None else self.steps
            labels = [f"$x^{{({t})}}$" for t in steps]
            return X.swapaxes(0, 1), "Markov chains", [], labels
        n_columns = math.ceil(math.sqrt(len(X)))
        n_rows = math.ceil(len(X) / n_columns)
        block = np.full((n_rows * n_columns, X.shape[1]), np.nan)
        block[: len(X)] = X
        return block.reshape(n_rows, n_columns, -1), "Samples", [], []

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_samples: int | None = None,
        steps: int | Sequence[int] | None = None,
        X: ArrayLike | None = None,
        Z: ArrayLike | None = None,
        random_state: RandomState = None,
        image_shape: tuple[int, int, int] | None = None,
        ax: Axes | None = None,
        cmap: str | Colormap | None = "gray",
    ) -> Self:
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
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        ValueError
            If `steps` is empty or has a negative number, `n_samples` is below 1, both
            `X` and `Z` are given or one of them is not valid, or `image_shape` is not
            that of the rows.

        TypeError
            If `estimator` neither is nor holds a model of this package,
            `n_samples` or a step is no integer, or `ax` is none of matplotlib's.
        """
        import_pyplot(cls)  # before the work
        model, X = find_autoencoder(estimator, X)
        image_shape = shape_to_draw(image_shape, model)
        chosen: Any = steps
        is_chain = np.ndim(chosen) == 1
        if n_samples is None:
            own = 10 if is_chain else 100
            n_samples = own if X is None and Z is None else 1
        if is_chain:
            chosen = [*chosen]
            if not chosen:
                raise ValueError("steps=[] must name at least one step of the chains.")
        for t in chosen if is_chain else [chosen or 0]:
            check_number("steps", t, least=0)
        samples = model.sample(
            n_samples,
            random_state,
            n_steps=max(chosen) if is_chain else chosen,
            return_chain=is_chain,
            X=X,
            Z=Z,
        )
        samples = samples[chosen] if is_chain else samples
        display = cls(
            samples,
            steps=chosen if is_chain else None,
            image_shape=image_shape,
            value_range=range_of(model, samples),
        )
        return display.plot(ax, cmap=cmap)


class InterpolationDisplay(GridDisplay):
    """What lies between two samples: codes on a straight line between theirs, decoded.

    It is recommended to use :meth:`from_estimator`.

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

    See Also
    --------
    SampleDisplay : Draws new samples.
    LatentSpaceDisplay : Draws codes.

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

    def __init__(
        self,
        samples: ArrayLike,
        *,
        image_shape: tuple[int, int, int] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.samples = samples
        self.image_shape = image_shape
        self.value_range = value_range

    def _cells(self):
        """Return the samples in a row."""
        labels = [f"{share:.2g}" for share in np.linspace(0, 1, len(self.samples))]
        return np.asarray(self.samples)[None], "Interpolation", [], labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        Z: ArrayLike | None = None,
        n_points: int = 9,
        image_shape: tuple[int, int, int] | None = None,
        ax: Axes | None = None,
        cmap: str | Colormap | None = "gray",
    ) -> Self:
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
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        ValueError
            If not two rows of `X` or two codes `Z` are given, or not valid ones,
            `n_points` is below 2, or `image_shape` is not that of the rows.

        TypeError
            If `estimator` neither is nor holds a model of this package,
            `n_points` is no integer, or `ax` is none of matplotlib's.
        """
        import_pyplot(cls)  # before the work
        check_number("n_points", n_points, least=2)
        if (X is None) == (Z is None):
            raise ValueError("Give either X, two samples, or Z, two codes.")
        model, X = find_autoencoder(estimator, X)
        image_shape = shape_to_draw(image_shape, model)
        ends = Z if X is None else model.transform(X)
        ends = model._check_codes(ends)
        if len(ends) != 2:
            raise ValueError(
                f"An interpolation has 2 ends, but {len(ends)} were given."
            )
        samples = model.inverse_transform(np.linspace(ends[0], ends[1], n_points))
        display = cls(
            samples, image_shape=image_shape, value_range=range_of(model, samples)
        )
        return display.plot(ax, cmap=cmap)
