"""Displays of codes: by class, and beside the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.utils import check_consistent_length, column_or_1d

from .._checks import check_flag, check_number
from .._pipelines import find_autoencoder
from .._random import RandomState, private_generator
from ._axes import import_pyplot, leaves_no_figure, make_axes

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


class LatentSpaceDisplay:
    """Encodings in two dimensions, coloured by class.

    It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, 2)
        The encodings, or their projection.

    y : array-like of shape (n_samples,), default=None
        Classes, or numbers to colour by: those of more than 20 values.

    axis_names : (str, str), default=("component 1", "component 2")
        What the two dimensions are.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    collections_ : list of matplotlib PathCollection
        The points: one collection per class.

    See Also
    --------
    PriorMatchDisplay : Draws codes beside draws from the prior.
    sklearn_daae.DAAETransformer.transform : Gives codes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import LatentSpaceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = DAAETransformer(max_epochs=1, random_state=0).fit(X / 16)
    >>> display = LatentSpaceDisplay.from_estimator(model, X / 16, y)
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        codes: ArrayLike,
        *,
        y: ArrayLike | None = None,
        axis_names: Sequence[str] = ("component 1", "component 2"),
    ) -> None:
        self.codes = codes
        self.y = y
        self.axis_names = axis_names

    @leaves_no_figure
    def plot(
        self, ax: Axes | None = None, *, cmap: str | Colormap | None = None
    ) -> Self:
        """Draw one point per sample.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default=None
            Of classes or numbers. None is "tab10" for up to 10 classes, else "viridis".

        Returns
        -------
        display : LatentSpaceDisplay
            This display, with its attributes `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        ValueError
            If `codes` are not of two dimensions.

        TypeError
            If `ax` is none of matplotlib's.
        """
        plt = import_pyplot(type(self))
        axes = make_axes(self, ax)
        style = {"s": 8, "alpha": 0.7, "linewidths": 0}
        codes = np.asarray(self.codes)
        if codes.ndim != 2 or codes.shape[1] != 2:
            raise ValueError(
                f"codes of shape {codes.shape} must be of shape (n_samples, 2) to be "
                "drawn in a plane. Give two of their components, or use "
                "from_estimator, which takes their first principal components."
            )
        y = None if self.y is None else column_or_1d(self.y)
        classes = np.unique([] if y is None else y)
        if y is None:
            self.collections_ = [axes.scatter(*codes.T, **style)]
        elif len(classes) > 20 and y.dtype.kind in "iuf":
            points = axes.scatter(*codes.T, c=y, cmap=cmap or "viridis", **style)
            self.collections_ = [points]
            self.figure_.colorbar(points, ax=axes, label="y")
        else:
            # The ten of tab10 are told apart as they are, by number.
            by_number = cmap is None and len(classes) <= 10
            colours = plt.get_cmap(cmap or ("tab10" if by_number else "viridis"))
            places = range(10) if by_number else np.linspace(0, 1, len(classes))
            self.collections_ = [
                axes.scatter(
                    *codes[y == c].T, color=colours(place), label=str(c), **style
                )
                for c, place in zip(classes, places, strict=False)
            ]
            # Beside the axes where the figure makes room for it, as those of ours do.
            has_room = self.figure_.get_layout_engine() is not None
            axes.legend(
                loc="upper left" if has_room else "upper right",
                bbox_to_anchor=(1, 1),
                markerscale=2,
                frameon=not has_room,
                ncols=1 + (len(classes) - 1) // 20,
            )
        axes.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], aspect="equal")
        axes.set_title("Latent space")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        corrupt: bool = False,
        random_state: RandomState = None,
        ax: Axes | None = None,
        cmap: str | Colormap | None = None,
    ) -> Self:
        """Encode X and draw its codes; their first principal components, if wider.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that holds one
            A fitted model.

        X : array-like of shape (n_samples, n_features)
            Clean data.

        y : array-like of shape (n_samples,), default=None
            Classes, or numbers to colour by: those of more than 20 values.

        corrupt : bool, default=False
            Whether to corrupt X first.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        cmap : str or matplotlib Colormap, default=None
            Of classes or numbers. None is "tab10" for up to 10 classes, else "viridis".

        Returns
        -------
        display : LatentSpaceDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid, `y` has another length, or codes have one component
            alone.

        TypeError
            If `estimator` neither is nor holds a model of this package, or
            `corrupt` is no bool, or `ax` is none of matplotlib's.
        """
        import_pyplot(cls)  # before the work
        check_flag("corrupt", corrupt)
        model, X = find_autoencoder(estimator, X)
        Z = model._trained.encode(
            model._rows(X), corrupt=corrupt, random_state=random_state
        )
        check_consistent_length(Z, y)
        if Z.shape[1] == 1:
            raise ValueError(
                "Codes of one component cannot be drawn in a plane. PriorMatchDisplay "
                "draws them."
            )
        if Z.shape[1] == 2:
            return cls(Z, y=y).plot(ax, cmap=cmap)
        names = "principal component 1", "principal component 2"
        Z = PCA(2, random_state=0).fit_transform(Z)
        return cls(Z, y=y, axis_names=names).plot(ax, cmap=cmap)


class PriorMatchDisplay:
    """Histograms of encodings, of encodings of corrupted data, and of the prior.

    The paper's Figure 2: the encodings of an iDAAE should follow the prior, those of a
    DAAE do so for corrupted data. It is recommended to use :meth:`from_estimator`.

    Parameters
    ----------
    encodings : ndarray of shape (n_samples, n_components)
        Draws of q(z | x).

    prior : ndarray of shape (n_samples, n_components)
        Draws from the prior.

    corrupted_encodings : ndarray of shape (n_samples, n_components), default=None
        Draws of q(z | C(x)).

    component : int, default=None
        Which component to draw, from 0. None draws all of them together.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    patches_ : dict of str to list of matplotlib Patch
        The histograms, by name.

    See Also
    --------
    sklearn_daae.metrics.prior_distance : Says in one number how far they are apart.
    LatentSpaceDisplay : Draws codes by class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import PriorMatchDisplay
    >>> X = np.random.default_rng(0).random((100, 20))
    >>> model = DAAETransformer(2, max_epochs=1, random_state=0).fit(X)
    >>> display = PriorMatchDisplay.from_estimator(model, X)
    """

    def __init__(
        self,
        encodings: ArrayLike,
        prior: ArrayLike,
        *,
        corrupted_encodings: ArrayLike | None = None,
        component: int | None = None,
    ) -> None:
        self.encodings = encodings
        self.prior = prior
        self.corrupted_encodings = corrupted_encodings
        self.component = component

    @leaves_no_figure
    def plot(self, ax: Axes | None = None, *, bins: int | ArrayLike = 60) -> Self:
        """Draw the histograms, as densities.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        bins : int or sequence of float, default=60
            Number or edges of the bins.

        Returns
        -------
        display : PriorMatchDisplay
            This display, with its attributes `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        ValueError
            If there are no such bins.

        TypeError
            If `ax` is none of matplotlib's.
        """
        axes = make_axes(self, ax)
        given = {
            "prior": self.prior,
            "encodings": self.encodings,
            "encodings of corrupted data": self.corrupted_encodings,
        }
        component = self.component
        which = slice(None) if component is None else component
        codes = {
            name: np.asarray(Z)[:, which].ravel()
            for name, Z in given.items()
            if Z is not None
        }
        edges = np.histogram_bin_edges(np.concatenate([*codes.values()]), bins)
        styles: tuple[dict, ...] = (
            {"histtype": "stepfilled", "color": "0.8"},
            {"histtype": "step", "color": "C0", "linewidth": 1.5},
            {"histtype": "step", "color": "C1", "linewidth": 1.5},
        )
        self.patches_ = {}
        for (name, values), style in zip(codes.items(), styles, strict=False):
            # A density of all values, those beyond the bins included.
            heights = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
            *_, self.patches_[name] = axes.hist(
                edges[:-1], edges, weights=heights, label=name, **style
            )
        axes.set(xlabel="z" if component is None else f"z, component {component}")
        axes.set(ylabel="density", title="Match to the prior")
        axes.margins(y=0.45)  # room for the legend
        axes.legend(loc="upper left")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        corrupt: bool = True,
        component: int | None = None,
        random_state: RandomState = None,
        ax: Axes | None = None,
        bins: int | ArrayLike = 60,
    ) -> Self:
        """Encode X, and draw the codes beside as many draws from the prior.

        Parameters
        ----------
        estimator : estimator of this package with a prior, or Pipeline that holds one
            A fitted model.

        X : array-like of shape (n_samples, n_features)
            Clean data.

        corrupt : bool, default=True
            Whether to draw encodings of corrupted data as well. Where the model
            corrupts nothing, there are none.

        component : int, default=None
            Which component to draw, from 0. None draws all of them together.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption and draws at every call.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        bins : int or sequence of float, default=60
            Number or edges of the bins.

        Returns
        -------
        display : PriorMatchDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        ValueError
            If the model has no prior, as a DAE, X is not valid, or there is no such
            component, or no such bins.

        TypeError
            If `estimator` neither is nor holds a model of this package,
            `component` is no integer, `corrupt` is no bool, or `ax` is none of
            matplotlib's.
        """
        import_pyplot(cls)  # before the work
        check_flag("corrupt", corrupt)
        model, X = find_autoencoder(estimator, X)
        seeds = private_generator(random_state).integers(2**31, size=3).tolist()
        model._require_prior()  # before the work
        if component is not None:
            last = model._n_features_out - 1
            check_number("component", component, least=0)
            if component > last:
                raise ValueError(
                    f"component={component!r} must be at most {last}: components are "
                    "counted from 0."
                )
        ask, rows = model._trained, model._rows(X)
        codes = ask.encode(rows, draw=True, random_state=seeds[1])
        prior = ask.draw_prior(len(codes), seeds[0])
        corrupted = None
        if corrupt and not model.net_.objective.corruption.is_identity:
            corrupted = ask.encode(rows, corrupt=True, draw=True, random_state=seeds[2])
        display = cls(codes, prior, corrupted_encodings=corrupted, component=component)
        return display.plot(ax, bins=bins)
