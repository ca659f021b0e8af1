"""Where displays draw."""


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
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax
