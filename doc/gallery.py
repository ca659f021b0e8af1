"""What the gallery of examples shows, and in which order."""

import os
from pathlib import Path

# Read by `conf.py`, and by the tests.
ORDER = [
    "plot_digits_pipeline.py",
    "plot_denoising.py",
    "plot_sampling.py",
    "plot_interpolation.py",
    "plot_priors.py",
    "plot_choosing_m.py",
    "plot_grid_search.py",
    "plot_ensemble.py",
    "plot_anomaly_detection.py",
    "plot_missing_values.py",
    "plot_weights.py",
    "plot_time_series.py",
    "plot_text.py",
    "plot_fine_tuning.py",
    "plot_mnist.py",
    "plot_omniglot.py",
    "plot_sprites.py",
    "plot_celeba.py",
    "grid_on_a_cluster.py",
]

# These download what is not there, or cannot be downloaded by a script. Where it is
# not, the site shows them without running them.
OF_DATA_SETS = [
    "plot_mnist.py",
    "plot_omniglot.py",
    "plot_sprites.py",
    "plot_celeba.py",
]


def can_run(name):
    """Tell whether an example draws something, of data that are at hand."""
    if name in OF_DATA_SETS:
        home = os.environ.get("SKLEARN_DAAE_DATA")
        data_set = name.removeprefix("plot_").removesuffix(".py")
        return bool(home) and Path(home, data_set).is_dir()
    return name.startswith("plot_")


def in_order(file):
    """Return the key by which sphinx-gallery sorts files."""
    return ORDER.index(str(file))
