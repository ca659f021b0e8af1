"""Bad input is refused before training, with a message that says what to do."""

import numpy as np
import pytest

from sklearn_daae import AAETransformer, DAAETransformer, iDAAETransformer

from .conftest import ESTIMATORS, SMALL, make


@pytest.fixture(autouse=True)
def no_training(monkeypatch, fitted):
    """Fail if any training starts. (The fitted models are made first.)"""

    def refuse(*args, **kwargs):
        raise AssertionError("training has begun")

    monkeypatch.setattr("sklearn_daae._training.train", refuse)


def bad_X():
    X = np.random.default_rng(0).random((20, 64))
    with_nan, with_infinity = X.copy(), X.copy()
    with_nan[3, 5], with_infinity[3, 5] = np.nan, np.inf
    return {
        "NaN": (with_nan, ValueError, "Input X contains NaN"),
        "infinity": (with_infinity, ValueError, "Input X contains infinity"),
        "too large": (X * 1e300, ValueError, r"too large for dtype\('float32'\)"),
        "strings": (np.full((20, 64), "a"), ValueError, "could not convert string"),
        "1-D": (X[0], ValueError, "Expected 2D array, got 1D array"),
        "3-D": (X[None], ValueError, "dim 3"),
        "no rows": (X[:0], ValueError, "0 sample"),
        "no columns": (X[:, :0], ValueError, "0 feature"),
        "complex": (X * 1j, ValueError, "Complex data not supported"),
        "None": (None, ValueError, "Expected 2D array"),
    }


@pytest.mark.parametrize("kind", bad_X())
@pytest.mark.parametrize(
    "method", ["fit", "partial_fit", "transform", "reconstruct", "score", "corrupt"]
)
def test_bad_X(fitted, X, kind, method):
    bad, error, message = bad_X()[kind]
    before, Z = vars(fitted).copy(), fitted.transform(X)
    with pytest.raises(error, match=message):
        getattr(fitted, method)(bad)
    assert vars(fitted) == before
    np.testing.assert_array_equal(fitted.transform(X), Z)

    unfitted = make(type(fitted))
    if "fit" in method:
        with pytest.raises(error, match=message):
            getattr(unfitted, method)(bad)
        assert not [name for name in vars(unfitted) if name.endswith("_")]


def test_wrong_number_of_features(fitted, X):
    for method in ("partial_fit", "transform", "reconstruct", "score", "corrupt"):
        with pytest.raises(ValueError, match=r"X has 63 features, but .* 64 features"):
            getattr(fitted, method)(X[:, :63])
    with pytest.raises(ValueError, match=r"X has 5 features, but .* n_components=4"):
        fitted.inverse_transform(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        fitted.inverse_transform(np.zeros(4))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fitted.inverse_transform(np.full((2, 4), np.nan))


def test_X_outside_the_unit_interval(fitted, X):
    for model in (fitted, DAAETransformer(**SMALL, reconstruction_loss="bce")):
        with pytest.raises(
            ValueError, match=r"'bce'.* needs all of X in \[0, 1\].*0 to 2"
        ):
            model.partial_fit(2 * X)


BAD_PARAMETERS = [
    ("n_components", 0, "an int in the range"),
    ("n_components", 2.5, "an int in the range"),
    ("sigma", -0.1, r"a float in the range \[0.0, inf\)"),
    ("sigma", np.nan, r"a float in the range \[0.0, inf\)"),
    ("M", 0, r"an int in the range \[1, inf\)"),
    ("M", 2.0, r"an int in the range \[1, inf\)"),
    ("corruption", "blur", "'gaussian', 'masking', 'salt_and_pepper'"),
    ("prior", "cauchy", "'normal', 'uniform', 'ring'"),
    ("adversarial_weight", -1, "a float in the range"),
    ("adversarial_loss", "wasserstein", "(?=.*'minimax')(?=.*'non_saturating')"),
    ("reconstruction_loss", "l1", "(?=.*'auto')(?=.*'bce')(?=.*'mse')"),
    ("encoder_layer_sizes", (10, 0), r"integers from 1 up, for example \(1000, 1000\)"),
    ("decoder_layer_sizes", [2.5], "integers from 1 up"),
    ("discriminator_layer_sizes", ((2, 2), (2, 2)), "integers from 1 up"),
    ("encoder_layer_sizes", None, "encoder_layer_sizes"),
    ("optimizer", "lbfgs", "'adam', 'rmsprop'"),
    ("optimizer", None, "'adam', 'rmsprop'"),
    ("optimizer", ("adam", {"momentum": 1}), "refuses: .*momentum"),
    ("optimizer", ("adam", {"lr": 1}), "learning rate is a parameter"),
    ("optimizer", ("adam",), "pair"),
    ("optimizer", ("adam", 0.9), "pair"),
    ("optimizer", (["adam"], {}), "pair"),
    ("discriminator_optimizer", "lbfgs", "'adam', 'rmsprop'"),
    ("learning_rate", 0, "a float in the range"),
    ("learning_rate_decay", 1.5, "a float in the range"),
    ("batch_size", 0, "an int in the range"),
    ("max_epochs", 0, "an int in the range"),
    ("validation_fraction", 1.0, "a float in the range"),
    ("n_iter_no_change", 0, "an int in the range"),
    ("tol", -1, "a float in the range"),
    ("callbacks", "progress", "an instance of 'list'"),
    ("callbacks", [3], "skorch callbacks.*holds 3.*set_callbacks"),
    ("device", "gpu", "Devices here: .*cpu.*device='auto'"),
    ("device", "meta", "Devices here: .*cpu"),
    ("device", "cuda:99", "Devices here: .*cpu"),
    ("precision", "float16", "(?=.*'bfloat16')(?=.*'float32')"),
    ("random_state", "seed", "random_state"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_PARAMETERS)
def test_bad_parameters(X, name, value, message):
    Estimator = iDAAETransformer if name == "M" else DAAETransformer
    model = make(Estimator, **{name: value})
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message) as error:
            getattr(model, method)(X)
        assert name in str(error.value)
        assert not [name for name in vars(model) if name.endswith("_")]


def test_positional_and_unknown_parameters():
    for Estimator in ESTIMATORS:
        assert Estimator(3).n_components == 3
        with pytest.raises(TypeError, match="positional"):
            Estimator(3, 0.5)
        with pytest.raises(TypeError, match="gamma"):
            Estimator(gamma=1)
    with pytest.raises(ValueError, match="Invalid parameter 'M'"):
        DAAETransformer().set_params(M=3)
    with pytest.raises(ValueError, match="Invalid parameter 'sigma'"):
        AAETransformer().set_params(sigma=0.5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n_samples": 0}, ValueError),
        ({"n_samples": 1.5}, TypeError),
        ({"n_steps": -1}, ValueError),
        ({"n_steps": "many"}, TypeError),
        ({"random_state": "seed"}, ValueError),
    ],
)
def test_bad_arguments_of_sample(fitted, arguments, error):
    (name,) = arguments
    with pytest.raises(error, match=name if name != "random_state" else "seed"):
        fitted.sample(**arguments)
