"""Docstrings agree with the code."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import sklearn_daae
from sklearn_daae import (
    AAETransformer,
    ALICETransformer,
    DAETransformer,
    VAETransformer,
    datasets,
    distributed,
    iDAAETransformer,
    impute,
    inspection,
    metrics,
    model_selection,
    onnx,
    outliers,
)

from .conftest import ADVERSARIAL, ESTIMATORS, VARIATIONAL

SECTION = re.compile(r"\n(\w[\w ]*)\n-+\n")


def sections(documented):
    """Return the sections of a numpydoc docstring by title."""
    parts = SECTION.split(inspect.getdoc(documented))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section):
    """Return the documented names with their types."""
    lines = re.findall(r"^(\S[^:\n]*) : (.+)$", section, re.MULTILINE)
    return {name: kind for names, kind in lines for name in names.split(", ")}


def test_every_parameter_is_documented_with_its_default(Estimator):
    documented = entries(sections(Estimator)["Parameters"])
    parameters = dict(inspect.signature(Estimator).parameters)
    assert list(documented) == list(parameters)
    for name, parameter in parameters.items():
        default = re.search(r"default=(.+)$", documented[name])
        if name == "random_state":
            continue
        assert default, name
        assert ast.literal_eval(default[1]) == parameter.default, name


def test_every_fitted_attribute_is_documented(fitted):
    documented = set(entries(sections(type(fitted))["Attributes"]))
    properties = {
        name for name in dir(type(fitted)) if re.fullmatch(r"[a-z]\w*_", name)
    }
    found = {name for name in vars(fitted) if name.endswith("_")} | properties
    assert documented == found | {"feature_names_in_"}
    for name in documented - {"feature_names_in_"}:
        getattr(fitted, name)


def test_every_public_method_documents_its_parameters(Estimator):
    for name in (
        *("fit", "partial_fit", "transform", "inverse_transform", "corrupt"),
        *("reconstruct", "sample", "score_samples", "score"),
    ):
        method = getattr(Estimator, name)
        documented = entries(sections(method)["Parameters"])
        parameters = list(inspect.signature(method).parameters)[1:]
        assert list(documented) == [p for p in parameters if p in documented], name
        assert set(parameters) - set(documented) <= {"y"}, name


def test_shared_parameters_are_documented_in_the_same_words():
    """Each docstring stands for itself, and none falls behind the others."""
    texts = {}
    for Estimator in ESTIMATORS:
        section = sections(Estimator)["Parameters"]
        for entry in re.split(r"\n(?=\S)", section):
            name, text = entry.split(" : ", 1)
            texts.setdefault(name, set()).add(text.strip())
    several = {name for name, found in texts.items() if len(found) > 1}
    # A discriminator, one of pairs, and a variational model have other things to say.
    changed = {"network", "prior", "reconstruction_loss", "encoder, decoder"}
    assert several == {*changed, "discriminator", "adversarial_loss"}


# What the house has ways of its own for: sections that many pages need not have
# (SA01, EX01, ES01), results by name (RT02), and sentences that begin with a name of
# code, or need no more than a type (PR08, RT03, RT04).
OWN_WAYS = {"SA01", "EX01", "ES01", "RT02", "PR08", "RT03", "RT04"}
MODULES = [
    *(sklearn_daae, datasets, distributed, impute, inspection, metrics),
    *(model_selection, onnx, outliers),
]
PUBLIC = [f"{module.__name__}.{name}" for module in MODULES for name in module.__all__]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_valid_numpydoc(name):
    """Above all, parameters stand in the order of the signature (PR03)."""
    numpydoc = pytest.importorskip("numpydoc.validate")
    errors = numpydoc.validate(name)["errors"]
    assert [error for error in errors if error[0] not in OWN_WAYS] == []


def own_methods(cls):
    """Return the public functions and properties of a class that are ours."""
    for base in cls.__mro__:
        if base.__module__.startswith("sklearn_daae"):
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    value = getattr(value, "fget", getattr(value, "__func__", value))
                    if inspect.isfunction(value):
                        yield value


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_tells_its_types(name):
    """Which mypy checks: it ships with `py.typed`."""
    module, _, name = name.rpartition(".")
    public = getattr(sys.modules[module], name)
    for function in own_methods(public) if inspect.isclass(public) else [public]:
        function = inspect.unwrap(function)
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        for parameter in [*signature.parameters.values()][1:]:
            assert parameter.annotation is not parameter.empty, (function, parameter)


def test_public_modules_say_what_is_public():
    package = Path(sklearn_daae.__file__).parent
    found = {
        path.stem
        for path in package.iterdir()
        if not path.name.startswith(("_", ".")) and path.name != "py.typed"
    }
    assert found == {module.__name__.rpartition(".")[2] for module in MODULES[1:]}
    for module in MODULES:
        assert all(hasattr(module, name) for name in module.__all__)


def test_only_public_names_are_exported():
    others = {"Checkpoint", "load", "save"}
    assert set(sklearn_daae.__all__) == {E.__name__ for E in ESTIMATORS} | others
    for name in sklearn_daae.__all__:
        assert name in dir(sklearn_daae)


def test_the_api_has_its_defaults(Estimator):
    """The names and values that code outside this repository is written against."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(Estimator).parameters.items()
    }
    expected = {
        "n_components": 10,
        "reconstruction_loss": "auto",
        "encoder_layer_sizes": "auto",
        "decoder_layer_sizes": "auto",
        "network": "mlp",
        "image_shape": None,
        "encoder": None,
        "decoder": None,
        "scaling": "auto",
        "input_range": None,
        "missing_values": None,
        "optimizer": ("adam", {"betas": (0.5, 0.99)}),
        "learning_rate": 1e-3,
        "learning_rate_decay": 1.0,
        "averaging": True,
        "batch_size": "auto",
        "max_epochs": "auto",
        "early_stopping": False,
        "validation": "random",
        "validation_fraction": 0.1,
        "n_iter_no_change": 10,
        "tol": 1e-4,
        "warm_start": False,
        "callbacks": None,
        "device": "auto",
        "precision": "float32",
        "verbose": 0,
        "random_state": None,
    }
    if Estimator not in (AAETransformer, VAETransformer, ALICETransformer):
        expected |= {"sigma": 0.5, "corruption": "gaussian"}
        expected |= {"corruption_level": "mixed"}
    if Estimator is not DAETransformer:
        expected |= {"prior": "normal"}
    if Estimator in VARIATIONAL:
        expected |= {"beta": 1.0}
    if Estimator in ADVERSARIAL:
        expected |= {"update": "joint", "adversarial_weight": "auto"}
    if Estimator is ALICETransformer:
        expected |= {"cycle_loss": "explicit", "cycle_weight": 10.0}
    if Estimator in (*ADVERSARIAL, ALICETransformer):
        expected |= {
            "adversarial_loss": "non_saturating",
            "discriminator_layer_sizes": "auto",
            "discriminator": None,
            "discriminator_optimizer": None,
            "discriminator_learning_rate": None,
        }
    if Estimator is iDAAETransformer:
        expected |= {"M": 5}
    assert defaults == expected
    positional = [
        name
        for name, parameter in inspect.signature(Estimator).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == ["n_components"]


def test_version_stands_in_the_changelog():
    changelog = Path(__file__).parents[1] / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("installed without the repository")
    assert f"## [{sklearn_daae.__version__}]" in changelog.read_text()
