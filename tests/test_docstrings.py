"""Docstrings agree with the code."""

import ast
import inspect
import pydoc
import re
import sys
import textwrap
from itertools import filterfalse
from pathlib import Path

import pytest
import sklearn.model_selection
from sklearn.experimental import enable_iterative_imputer  # noqa: F401

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
from sklearn_daae._sklearn_compat import with_sections_of

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


def test_every_fitted_attribute_is_documented(fitted):
    documented = set(entries(sections(type(fitted))["Attributes"]))
    properties = {
        name for name in dir(type(fitted)) if re.fullmatch(r"[a-z]\w*_", name)
    }
    found = {name for name in vars(fitted) if name.endswith("_")} | properties
    assert documented == found | {"feature_names_in_"}
    for name in documented - {"feature_names_in_"}:
        getattr(fitted, name)


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


MODULES = [
    *(sklearn_daae, datasets, distributed, impute, inspection, metrics),
    *(model_selection, onnx, outliers),
]
PUBLIC = [f"{module.__name__}.{name}" for module in MODULES for name in module.__all__]


def own_members(cls):
    """Yield the names and values of a class's public functions and properties of ours.

    A function has none.
    """
    for base in getattr(cls, "__mro__", ()):
        if base.__module__.startswith("sklearn_daae"):
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    value = getattr(value, "fget", getattr(value, "__func__", value))
                    if inspect.isfunction(value):
                        yield name, value


def found(name):
    """Return what a full name stands for."""
    module = max((m for m in sys.modules if name.startswith(f"{m}.")), key=len)
    value = sys.modules[module]
    for part in name.removeprefix(f"{module}.").split("."):
        value = inspect.getattr_static(value, part)
        value = getattr(value, "fget", getattr(value, "__func__", value))
    return value


# What several classes inherit is there once, by the name that the first has for it.
MEMBERS = [(name, *own) for name in PUBLIC for own in own_members(found(name))]
METHODS = {member: f"{name}.{own}" for name, own, member in reversed(MEMBERS)}.values()

# What the house has ways of its own for: a summary of one line may say it all (ES01),
# and results have names (RT02), as in scikit-learn.
OWN_WAYS = {"ES01", "RT02"}
# The methods that all models are used by have an example each. Others, and properties,
# need not have one (EX01), nor point elsewhere (SA01): their class does.
MAIN = {
    *("fit", "partial_fit", "transform", "inverse_transform", "reconstruct"),
    *("corrupt", "sample", "score_samples", "as_module", "as_published", "save"),
}


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_docstrings_are_valid_numpydoc(name):
    """Above all, parameters stand in the order of the signature (PR03)."""
    numpydoc = pytest.importorskip("numpydoc.validate")
    ways = set(OWN_WAYS)
    if name in METHODS:
        is_main = name.rpartition(".")[2] in MAIN and "Transformer." in name
        ways |= set() if is_main else {"SA01", "EX01"}
    errors = numpydoc.validate(name)["errors"]
    assert [error for error in errors if error[0] not in ways] == []


def is_borrowed(name):
    """Tell whether parameters are scikit-learn's, with its words: those of searches."""
    return inspect.isclass(found(name)) and name.startswith(model_selection.__name__)


@pytest.mark.parametrize("name", [*filterfalse(is_borrowed, PUBLIC), *METHODS])
def test_parameters_are_documented_with_their_defaults(name):
    value = found(name)
    documented = entries(sections(value).get("Parameters", ""))
    parameters = list(inspect.signature(value).parameters.values())
    if name in METHODS:  # but for self or cls
        parameters = parameters[1:]
    assert [name.lstrip("*") for name in documented] == [p.name for p in parameters]
    for parameter, kind in zip(parameters, documented.values(), strict=True):
        default = re.search(r"default=(.+)$", kind)
        if parameter.default is parameter.empty or kind == "Ignored":
            assert default is None, parameter
        else:
            assert default, parameter
            told = default[1]
            if told not in ("nan", "range(-4, 5)"):  # which are no literals
                told = repr(ast.literal_eval(told))
            assert told == repr(parameter.default), parameter


# How the names begin of what refuses a value; and what refuses a model that is not
# fitted, or an X that is not valid.
REFUSES = ("check_", "_check_", "_require", "_validate", "validate_", "find_autoenc")
ASKS = {"_trained", "_rows"}


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_what_may_raise_says_so(name):
    value = documented = found(name)
    if inspect.isclass(value):
        value = vars(value).get("__init__")
    if not inspect.isfunction(value) or value.__module__ == "builtins":
        return
    try:
        source = inspect.getsource(inspect.unwrap(value))
    except OSError:  # of a dataclass, which checks nothing
        return
    nodes = [*ast.walk(ast.parse(textwrap.dedent(source)))]
    names = {n.id for n in nodes if isinstance(n, ast.Name)}
    names |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    may_raise = any(isinstance(node, ast.Raise) for node in nodes) or names & ASKS
    is_attribute = name.endswith("_")  # which is there once a model is fitted
    if not is_attribute and (may_raise or any(n.startswith(REFUSES) for n in names)):
        assert "Raises" in sections(documented)


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_references_lead_somewhere(name):
    value = found(name)
    document = inspect.getdoc(value)
    assert not re.findall(":(?:ref|term):", document)
    documentation = Path(__file__).parents[1] / "doc"
    for page in re.findall(":doc:`/([^`]+)`", document):
        page = page.replace("auto_examples/", "examples/")
        found_in = [documentation / f"{page}{suffix}" for suffix in (".md", ".py")]
        assert not documentation.exists() or any(map(Path.exists, found_in)), page
    if is_borrowed(name):
        return
    targets = re.findall(r":(?:class|func|meth):`~?([^`]+)`", document)
    targets += re.findall(r"^(\S+) : ", sections(value).get("See Also", ""), re.M)
    parts = name.split(".")
    homes = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    for target in targets:
        tried = [target, *(f"{home}.{target}" for home in homes)]
        assert any(pydoc.locate(one) is not None for one in tried), target


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_tells_its_types(name):
    """Which mypy checks: it ships with `py.typed`."""
    public = found(name)
    own = [member for _, member in own_members(public)]
    for function in own if inspect.isclass(public) else [public]:
        function = inspect.unwrap(function)
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        for parameter in [*signature.parameters.values()][1:]:
            assert parameter.annotation is not parameter.empty, (function, parameter)


def test_docstrings_of_searches_are_put_together_in_any_python():
    """Since 3.13, docstrings have lost their indentation when a class is made."""
    theirs = sklearn.model_selection.GridSearchCV.__doc__
    ours = """Search.

    Of ours.

    Examples
    --------
    >>> 1 + 1
    2
    """
    document = with_sections_of(theirs, ours)
    assert document == with_sections_of(
        inspect.cleandoc(theirs), inspect.cleandoc(ours)
    )
    titles = SECTION.split(document)[1::2]
    assert [*dict.fromkeys(titles)] == titles
    assert {"Parameters", "Attributes", "Examples"} <= {*titles}
    assert document.endswith("--------\n>>> 1 + 1\n2\n")


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
    if not issubclass(Estimator, DAETransformer):
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
