"""Where displays draw."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

_Plot = TypeVar("_Plot", bound=Callable)


def import_pyplot(display):
    """Return matplotlib.pyplot.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{display.__name__} draws with matplotlib, which is not installed. "
            "Install it by: pip install 'sklearn-daae[plot]'"
        ) from error
    return plt


def make_axes(display, ax, figsize=None):
    """Give a display its `ax_` and `figure_`: those of `ax`, or of a new figure."""
    plt = import_pyplot(type(display))
    if ax is not None and not hasattr(ax, "figure"):
        raise TypeError(f"ax={ax!r} must be matplotlib's Axes, or None.")
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def leaves_no_figure(plot: _Plot) -> _Plot:
    """Have a `plot` that fails close the figure that it has made."""

    @wraps(plot)
    def wrapper(self, *args, **kwargs):
        plt = import_pyplot(type(self))
        before = plt.get_fignums()
        try:
            return plot(self, *args, **kwargs)
        except BaseException:
            for number in set(plt.get_fignums()).difference(before):
                plt.close(number)
            raise

    return cast(_Plot, wrapper)
