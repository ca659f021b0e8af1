"""What each table and figure of the paper is made of."""

from typing import NamedTuple

from benchmarks.paper.protocols import protocols


class Part(NamedTuple):
    """What a table or figure needs of one data set."""

    dataset: str
    models: tuple[str, ...]
    measures: tuple[str, ...] = ()


def _tuned(dataset, recipe):
    """Return the models that we tuned for one end."""
    names = protocols()[dataset].tuned
    return tuple(name for name in names if name.endswith(f"_{recipe}"))


# Of the chains of Omniglot's models, whose likelihood is measured and shown.
OMNIGLOT_STEPS = (0, 1, 5, 9, 50)

_OURS = ("AAE", "DAAE", "iDAAE")
_MNIST = ("AAE", "DAAE", "DAAE_ring2d", "iDAAE_M5", "iDAAE_M25")
_OTHERS = ("DAE", "VAE", "DVAE", "PCA")
_DEFAULTS = {d: _tuned(d, "defaults") for d in protocols()}
_ATTRIBUTES = (*_OURS, "VAE", "beta-VAE", "PCA", "pixels")
_OMNIGLOT = Part(
    "omniglot", (*_OURS, *_OTHERS, *_DEFAULTS["omniglot"]), ("log_likelihood",)
)
_DAAES = ("DAAE_sigma0.1", "DAAE", "DAAE_sigma1.0")
_IDAAES = ("iDAAE_sigma0.1", "iDAAE_M5", "iDAAE")

TABLES = {
    "table1": [
        Part(
            "mnist",
            (*_MNIST, "ALICE", *_OTHERS, *_DEFAULTS["mnist"]),
            ("reconstruction",),
        ),
        Part("sprites", (*_OURS, *_OTHERS, *_DEFAULTS["sprites"]), ("reconstruction",)),
        Part(
            "omniglot", (*_OURS, *_OTHERS, *_DEFAULTS["omniglot"]), ("reconstruction",)
        ),
        Part(
            "celeba",
            (
                *("AAE", "DAAE_sigma0.1", "iDAAE_sigma0.1", "PCA_sigma0.1"),
                *("AAE_summed", "DAAE_sigma0.1_summed", "iDAAE_sigma0.1_summed"),
                *("AAE_defaults", "DAAE_sigma0.1_defaults", "iDAAE_sigma0.1_defaults"),
            ),
            ("reconstruction",),
        ),
    ],
    "table2": [
        Part(
            "omniglot",
            (
                *(*_OURS, *_OTHERS, "pixels"),
                *(*_DEFAULTS["omniglot"], *_tuned("omniglot", "features")),
            ),
            ("classification", "transfer"),
        ),
    ],
    "table4": [
        Part(
            "mnist",
            (
                *(*_MNIST, *_OTHERS),
                *(*_DEFAULTS["mnist"], *_tuned("mnist", "reconstruction")),
            ),
            ("reconstruction",),
        )
    ],
    "table5": [
        Part("mnist", (*_MNIST, *_OTHERS), ("log_likelihood", "kernel_density")),
        Part("mnist", _DEFAULTS["mnist"], ("log_likelihood",)),
        Part("mnist", _tuned("mnist", "samples"), ("fine_log_likelihood",)),
    ],
    "table6": [
        Part(
            "mnist",
            (
                *(*_MNIST, *_OTHERS, "pixels"),
                *(*_DEFAULTS["mnist"], *_tuned("mnist", "features")),
            ),
            ("classification",),
        )
    ],
    "sprites": [
        Part(
            "sprites",
            (*_OURS, *_OTHERS, *_DEFAULTS["sprites"]),
            ("reconstruction", "log_likelihood"),
        )
    ],
    "fig2": [Part("celeba", ("DAAE", "iDAAE"), ("prior_match",))],
    "fig3": [_OMNIGLOT],
    "fig4": [Part("omniglot", ("DAAE",))],
    "fig5": [Part("celeba", ("AAE", "iDAAE_M5"))],
    "fig6": [Part("celeba", ("DAAE_sigma1.0",))],
    "fig7": [Part("celeba", ("iDAAE_sigma0.1",))],
    "fig8": [Part("celeba", _ATTRIBUTES, ("attributes",))],
    "fig9": [Part("celeba", _ATTRIBUTES, ("attributes",))],
    "fig10": [Part("celeba", _DAAES, ("attributes",))],
    "fig11": [
        Part("mnist", ("DAAE",)),
        Part("omniglot", ("DAAE",)),
        Part("sprites", ("DAAE",)),
        Part("celeba", ("DAAE",)),
    ],
    "fig12": [Part("mnist", ("DAAE",))],
    "fig13": [Part("mnist", ("DAAE_ring2d",))],
    "fig15": [Part("celeba", _IDAAES, ("attributes",))],
}

# What is not the paper's, and not among "all": settings compared on held-out data.
TUNING = {
    "tuning": [
        Part(
            "mnist_tuning",
            tuple(protocols()["mnist_tuning"].models),
            ("classification", "reconstruction", "log_likelihood"),
        )
    ]
}

# Data sets that stand in for those of the paper: small, or free.
STAND_INS = {"digits": "mnist", "faces": "celeba"}
