"""The display of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .._pipelines import find_autoencoder
from ._axes import leaves_no_figure, make_axes

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes


class LossCurveDisplay:
    """The mean of every loss over the epochs of training.

    It is recommended to use `from_estimator`.

    Parameters
    ----------
    history : list of dict of str to float
        One record an epoch, as an estimator's `history_`.

    name : str, default=None
        Of the model, for the legend.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where it is drawn.

    lines_ : list of matplotlib Line2D
        One per loss.

    See Also
    --------
    sklearn_daae.DAAETransformer : Has `history_` and `loss_curve_`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_daae import DAAETransformer
    >>> from sklearn_daae.inspection import LossCurveDisplay
    >>> X = np.random.default_rng(0).random((100, 20))
    >>> model = DAAETransformer(2, max_epochs=3, random_state=0).fit(X)
    >>> display = LossCurveDisplay.from_estimator(model)
    """

    def __init__(
        self, history: list[dict[str, float]], *, name: str | None = None
    ) -> None:
        self.history = history
        self.name = name

    @leaves_no_figure
    def plot(self, ax: Axes | None = None) -> Self:
        """Draw one line per loss.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : LossCurveDisplay
            This display, with its attributes `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        TypeError
            If `ax` is none of matplotlib's.
        """
        axes = make_axes(self, ax)
        self.lines_: list = []
        names = dict.fromkeys(name for record in self.history for name in record)
        names.pop("gradient_ratio", None)  # no loss, and of another size
        for name in names:
            epochs, losses = zip(
                *(
                    (epoch, record[name])
                    for epoch, record in enumerate(self.history, 1)
                    if name in record
                ),
                strict=True,
            )
            # A single epoch would make no line.
            marker = "o" if len(epochs) == 1 else None
            label = name.replace("_", " ")
            if self.name is not None:
                label = f"{self.name}: {label}"
            self.lines_ += axes.plot(epochs, losses, label=label, marker=marker)
        axes.set(xlabel="epoch", ylabel="mean loss", title="Training")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Axes | None = None
    ) -> Self:
        """Draw the losses of a fitted model.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that holds one
            A fitted model.

        name : str, default=None
            What to call it in the legend.

        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        NotFittedError
            If the model is not fitted.

        TypeError
            If `estimator` neither is nor holds a model of this package, or `ax` is
            none of matplotlib's.
        """
        model, _ = find_autoencoder(estimator, None)
        return cls(model.history_, name=name).plot(ax)
