"""The examples: the order they are shown in, and which can be run here."""

ORDER = [
    "plot_digits_pipeline",
    "plot_sampling",
    "plot_denoising",
    "plot_interpolation",
    "plot_priors",
    "plot_choosing_m",
    "plot_grid_search",
    "plot_ensemble",
    "plot_anomaly_detection",
    "plot_missing_values",
    "plot_weights",
    "plot_time_series",
    "plot_text",
    "plot_fine_tuning",
    "plot_mnist",
    "plot_omniglot",
    "plot_sprites",
    "plot_celeba",
    "grid_on_a_cluster",
]
# These would download gigabytes.
OF_DATA_SETS = {"plot_mnist", "plot_omniglot", "plot_sprites", "plot_celeba"}


def can_run(name, data_home):
    """Tell whether an example draws something, of data that are at hand."""
    if name in OF_DATA_SETS:
        return (data_home / name.removeprefix("plot_")).is_dir()
    return name.startswith("plot_")


def in_order(file):
    """Return the key by which sphinx-gallery sorts files."""
    return ORDER.index(str(file).removesuffix(".py"))
