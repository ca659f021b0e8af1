"""Likelihoods, errors, and the match to the prior."""

import gzip
import pickle
import tracemalloc
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from sklearn_daae import AAETransformer, DAAETransformer, DAETransformer, VAETransformer
from sklearn_daae.metrics import (
    EstimatorScorer,
    parzen_log_likelihood,
    prior_distance,
    reconstruction_error,
    select_bandwidth,
    shift_robustness,
)

from .conftest import SHORT_TRAINING, SMALL, make

pd, pl = (pytest.importorskip(name) for name in ("pandas", "polars"))


@pytest.fixture(scope="module")
def mnist(data_home):
    """Return 1200 images of MNIST, in [0, 1]."""
    path = data_home / "mnist" / "train-images-idx3-ubyte.gz"
    with gzip.open(path) as file:
        pixels = np.frombuffer(file.read(16 + 1200 * 784), np.uint8, offset=16)
    return pixels.reshape(-1, 784) / 255


def direct(X, samples, h):
    """Return the log-likelihood by the formula, in float64."""
    n, d = samples.shape
    with np.errstate(over="ignore"):
        squares = np.square((X[:, None] - samples[None]) / h).sum(2)
    log_normaliser = np.log(n) + d * (np.log(2 * np.pi) / 2 + np.log(h))
    return logsumexp(-squares / 2, axis=1) - log_normaliser


@pytest.fixture(scope="module", params=["digits", "mnist"])
def images(request):
    """Return images to measure, and images that stand for samples."""
    X = request.getfixturevalue(request.param)
    X = X[0].astype(float) if request.param == "digits" else X
    return X[:200], X[200:]


@pytest.mark.parametrize("bandwidth", [0.129, 1.0])
def test_parzen_is_exact_on_images(images, bandwidth):
    X, samples = images
    found = parzen_log_likelihood(X, samples, bandwidth=bandwidth)
    assert found.shape == (200,)
    assert found.dtype == np.float64
    exact = KernelDensity(bandwidth=bandwidth, leaf_size=len(samples)).fit(samples)
    np.testing.assert_allclose(found, exact.score_samples(X), rtol=1e-6)
    np.testing.assert_allclose(found[:5], direct(X[:5], samples, bandwidth), rtol=1e-6)


def test_kernel_density_is_still_wrong_in_high_dimensions(mnist):
    """A canary: once it sings, scikit-learn has mended its trees.

    Then say so where `parzen_log_likelihood` is explained, and drop this test.
    """
    X, samples = mnist[:200], mnist[200:]
    exact = parzen_log_likelihood(X, samples, bandwidth=0.129).mean()
    by_tree = KernelDensity(bandwidth=0.129).fit(samples).score_samples(X).mean()
    assert by_tree > exact + 50


def test_parzen_far_from_zero():
    """Where distances by products would lose all of their digits."""
    random = np.random.default_rng(0)
    X, samples = random.normal(size=(2, 50, 3))
    near = parzen_log_likelihood(X, samples, bandwidth=0.3)
    far = parzen_log_likelihood(X + 1e7, samples + 1e7, bandwidth=0.3)
    np.testing.assert_allclose(near, far, rtol=1e-6)
    np.testing.assert_allclose(near, direct(X, samples, 0.3), rtol=1e-12)


CONTAINERS = {
    "list": np.ndarray.tolist,
    "objects": lambda X: X.astype(object),
    "longdouble": lambda X: X.astype(np.longdouble),
    "tensor": torch.from_numpy,
    "pandas": lambda X: pd.DataFrame(X).convert_dtypes(),
    "polars": pl.DataFrame,
    "pyarrow": lambda X: pytest.importorskip("pyarrow").table({"x": X[:, 0]}),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_parzen_keeps_the_digits_of_any_container(container):
    X, samples = np.array([[1e6 + 0.01], [1e6]]), np.array([[1e6]])
    kept = CONTAINERS[container]
    found = parzen_log_likelihood(kept(X), kept(samples), bandwidth=0.01)
    np.testing.assert_allclose(found, direct(X, samples, 0.01), rtol=1e-12)
    far = np.array([[1e6 + 10.0]])
    assert select_bandwidth(kept(samples), kept(far), bandwidths=[1, 9, 99]) == 9


def test_parzen_takes_what_numpy_lacks_and_refuses_what_are_no_numbers():
    tensor = torch.tensor([[0.0], [1.0]])
    found = parzen_log_likelihood(tensor.bfloat16(), tensor.bfloat16(), bandwidth=1.0)
    expected = parzen_log_likelihood(tensor, tensor, bandwidth=1.0)
    np.testing.assert_array_equal(found, expected)
    days = np.full((2, 1), np.datetime64("2026-01-01"))
    for wrong in (days, tensor.requires_grad_(), pl.DataFrame({"a": [1.0]}).lazy()):
        with pytest.raises(TypeError, match="samples: "):
            parzen_log_likelihood([[0.0]], wrong, bandwidth=1.0)


def spread_out(offset, spread, outlier=None):
    """Return rows and samples, of which some are equal or nearly so."""
    X, samples = offset + spread * np.random.default_rng(0).normal(size=(2, 20, 9))
    X[:5] = samples[:5]
    X[5:10] = np.nextafter(samples[5:10], np.inf)
    if outlier is not None:
        samples[15:] = outlier + spread * (samples[15:] - offset)
        X[15:] = samples[15:] + spread
    return X, samples


@pytest.mark.parametrize(
    "where",
    [(0, 1), (1e6, 0.01), (1e8, 0.01), (1e8, 1), (1, 0.01, 1e8), (-1e8, 0.1, 1e8)],
)
def test_parzen_is_right_at_any_ratio_of_scale_to_bandwidth(where):
    X, samples = spread_out(*where)
    for ratio in (1e-7, 1e-3, 1, 1e3, 1e6, 1e9):
        h = where[1] / ratio
        found = parzen_log_likelihood(X, samples, bandwidth=h)
        np.testing.assert_allclose(found, direct(X, samples, h), rtol=1e-6)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-155, 1, 1e155, 1e200, 1e307])
def test_parzen_is_right_where_squares_overflow(size):
    random = np.random.default_rng(0)
    X, samples = size * random.normal(size=(2, 20, 3))
    X[0] = samples[0]
    for h in (5e-324, 1e-310, size / 3, size, size * 3, 1.7e308):
        found = parzen_log_likelihood(X, samples, bandwidth=h)
        np.testing.assert_allclose(found, direct(X, samples, h), rtol=1e-6)


def test_bandwidths_of_all_sizes_at_once():
    X, samples = spread_out(0, 1)
    bandwidths = [1e-300, 1e-9, 1, 1e300]
    assert select_bandwidth(samples, X, bandwidths=bandwidths) == 1
    assert select_bandwidth(samples, X[4:6], bandwidths=bandwidths) == 1e-9
    assert select_bandwidth(samples, X[:1], bandwidths=bandwidths) == 1e-300


def test_parzen_takes_differences_only_where_products_would_not_do(images, monkeypatch):
    """Those take ten times as long."""
    pairs, cdist = [], torch.cdist

    def counted(x, samples, **options):
        pairs.append(len(x) * len(samples))
        return cdist(x, samples, **options)

    monkeypatch.setattr(torch, "cdist", counted)
    X, samples = images
    X, samples = np.vstack([X, samples[:100]]), samples.copy()
    parzen_log_likelihood(X, samples, bandwidth=0.1)
    assert not pairs
    samples[-1] = 1e7  # a sample far off makes no others inexact
    parzen_log_likelihood(X[:200], samples, bandwidth=0.1)
    assert sum(pairs) <= 200
    pairs.clear()
    monkeypatch.setattr("sklearn_daae.metrics._BLOCK_VALUES", 10 * len(samples))
    parzen_log_likelihood(X, samples, bandwidth=1e-5)
    assert 100 <= sum(pairs) <= 2000


def test_parzen_in_many_blocks(monkeypatch):
    random = np.random.default_rng(0)
    X, samples = random.normal(size=(2, 50, 3))
    bandwidths = [0.1, 0.3, 1.0]
    whole = parzen_log_likelihood(X, samples, bandwidth=0.3)
    chosen = select_bandwidth(samples, X, bandwidths=bandwidths)
    X_far, samples_far = spread_out(-1e8, 0.1, 1e8)
    whole_far = parzen_log_likelihood(X_far, samples_far, bandwidth=0.1)
    monkeypatch.setattr("sklearn_daae.metrics._BLOCK_VALUES", 7 * 50)
    np.testing.assert_allclose(
        parzen_log_likelihood(X, samples, bandwidth=0.3), whole, rtol=1e-12
    )
    monkeypatch.setattr("sklearn_daae.metrics._BLOCK_VALUES", 7 * 3)
    found = parzen_log_likelihood(X_far, samples_far, bandwidth=0.1)
    np.testing.assert_allclose(found, whole_far, rtol=1e-12)
    assert select_bandwidth(samples, X, bandwidths=bandwidths) == chosen


def test_parzen_of_few_samples_takes_little_memory():
    X = np.zeros((20_000, 3000), dtype=np.uint8)  # 480 MB of float64
    tracemalloc.start()
    parzen_log_likelihood(X, X[:2], bandwidth=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64, bool])
def test_parzen_takes_numbers_of_any_kind_and_far_outliers(dtype):
    X, samples = np.array([[0, 0], [100, 0]]).astype(dtype), np.zeros((3, 2), dtype)
    found = parzen_log_likelihood(X, samples, bandwidth=0.1)
    expected = direct(X.astype(float), samples.astype(float), 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("bandwidth", [0, -1.0, np.nan, np.inf])
def test_bandwidths_are_positive(bandwidth):
    with pytest.raises(ValueError, match="bandwidth"):
        parzen_log_likelihood([[0.0]], [[0.0]], bandwidth=bandwidth)
    with pytest.raises(ValueError, match="bandwidths"):
        select_bandwidth([[0.0]], [[0.0]], bandwidths=[1.0, bandwidth])


@pytest.mark.parametrize("kind", [int, np.int64, np.float16, np.float32])
def test_bandwidths_are_numbers_of_any_kind(kind):
    random = np.random.default_rng(0)
    X, samples = random.normal(size=(2, 20, 3))
    bandwidth = kind(2.1)
    found = parzen_log_likelihood(X, samples, bandwidth=bandwidth)
    expected = parzen_log_likelihood(X, samples, bandwidth=float(bandwidth))
    np.testing.assert_array_equal(found, expected)


def test_parzen_at_the_ends_of_what_a_float_holds():
    random = np.random.default_rng(0)
    X, samples = random.normal(size=(2, 20, 3))
    samples[0] = X[0]
    for bandwidth in (1e-10, 1e-5, 1e5, 1e100):
        with np.errstate(all="raise"):
            found = parzen_log_likelihood(X, samples, bandwidth=bandwidth)
        np.testing.assert_allclose(found, direct(X, samples, bandwidth), rtol=1e-6)
    # Where the squared bandwidth is nothing, so is the density, but at a sample.
    found = parzen_log_likelihood(X, samples, bandwidth=1e-200)
    assert found[0] > 0
    assert (found[1:] < -1e300).all()
    bandwidths = np.logspace(-10, 10, 21)
    assert select_bandwidth(samples[1:], X, bandwidths=bandwidths) == 1
    assert select_bandwidth(samples, X, bandwidths=0.5) == 0.5


def test_bandwidths_that_are_all_too_small():
    X = [[0.0], [1.0]]
    for bandwidths in ([1e-160, 1e-200], [9e-155]):  # and where the sum is out of range
        with pytest.raises(ValueError, match=r"bandwidths=\[.*\] are too small"):
            select_bandwidth([[0.0]], np.tile(X, (9, 1)), bandwidths=bandwidths)
    assert select_bandwidth([[0.0]], X, bandwidths=[1e-200, 1e-3]) == 1e-3


def test_parzen_refuses_another_space():
    with pytest.raises(ValueError, match="X has 2 features and samples have 3"):
        parzen_log_likelihood(np.ones((4, 2)), np.ones((4, 3)), bandwidth=1.0)


def test_select_bandwidth(images):
    X, samples = images
    bandwidths = np.logspace(-1, 0, 10)
    chosen = select_bandwidth(samples, X, bandwidths=bandwidths)
    means = [parzen_log_likelihood(X, samples, bandwidth=h).mean() for h in bandwidths]
    assert chosen == bandwidths[np.argmax(means)]
    assert isinstance(chosen, float)
    assert bandwidths[0] < chosen < bandwidths[-1]


def test_reconstruction_error_is_that_of_reconstruct(fitted, X):
    error = reconstruction_error(fitted, X, random_state=3)
    X_hat = fitted.reconstruct(X, corrupt=True, random_state=3)
    assert error == pytest.approx(((X_hat - X) ** 2).mean(), rel=1e-5)
    assert reconstruction_error(fitted, X, corrupt=False) == pytest.approx(
        -fitted.score(X), rel=1e-6
    )


def test_reconstruction_error_is_in_units_of_X(X):
    pixels = np.round(X * 255).astype(np.uint8)
    model = DAAETransformer(**SMALL, input_range=(0, 255)).fit(pixels)
    X_hat = model.reconstruct(pixels, corrupt=True, random_state=0)
    assert reconstruction_error(model, pixels, random_state=0) == pytest.approx(
        ((X_hat - pixels) ** 2).mean(), rel=1e-5
    )


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_reconstruction_error_of_any_size(X, size):
    """Squares that float32 cannot hold are neither 0 nor infinite."""
    X = X.astype(float)
    for settings in ({"scaling": "standard"}, {"input_range": (0, 1)}):
        plain = DAAETransformer(**{**SMALL, **settings}).fit(X)
        if "input_range" in settings:
            settings = {"input_range": (0, size)}
        model = DAAETransformer(**{**SMALL, **settings}).fit(size * X)
        error = reconstruction_error(model, size * X, random_state=0)
        expected = reconstruction_error(plain, X, random_state=0)
        assert error / size**2 == pytest.approx(expected, rel=1e-3)


class Identity(torch.nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.scale * x


def gaussian_model(**params):
    """Return a DAAE whose codes are X, at a learning rate that leaves them so."""
    settings = {**SMALL, "learning_rate": 1e-12, "max_epochs": 1, "scaling": None}
    settings |= {"n_components": 2, "encoder": Identity, "decoder": Identity}
    return DAAETransformer(**{**settings, **params})


def test_prior_distance_of_known_distributions():
    random = np.random.default_rng(0)
    X = random.normal(size=(20_000, 2))
    model = gaussian_model(sigma=0.75).fit(X)
    assert prior_distance(model, X, random_state=0) < 0.03
    # In every direction a shift of that direction's share; of a scale, all of it.
    shifted = prior_distance(model, X + np.array([1, 0]), random_state=0)
    assert shifted == pytest.approx(np.sqrt(1 / 2), abs=0.1)
    assert prior_distance(model, 3 * X, random_state=0) == pytest.approx(2, abs=0.05)
    # Corruption widens N(0, 1) to N(0, 1 + 0.75**2).
    wider = prior_distance(model, X, corrupt=True, random_state=0)
    assert wider == pytest.approx(0.25, abs=0.02)


def test_prior_distance_compares_with_the_model_s_prior():
    X = scipy.stats.uniform(-1, 2).rvs((20_000, 2), random_state=0)
    here = gaussian_model(prior="uniform").fit(X)
    there = gaussian_model().fit(X)
    assert prior_distance(here, X, random_state=0) < 0.03
    assert prior_distance(there, X, random_state=0) > 0.3


def test_prior_distance_draws_from_variational_posteriors(X):
    """Their means alone would not match the prior."""
    model = make(VAETransformer, beta=50.0, max_epochs=30).fit(X)
    assert model.transform(X).std() < 0.2
    assert prior_distance(model, X, random_state=0) < 0.3


def test_prior_distance_repeats_itself(fitted, X):
    if isinstance(fitted, DAETransformer):
        with pytest.raises(ValueError, match="matches its codes to no prior"):
            prior_distance(fitted, X)
        return
    first = prior_distance(fitted, X, corrupt=True, random_state=0)
    assert first == prior_distance(fitted, X, corrupt=True, random_state=0)
    assert first != prior_distance(fitted, X, corrupt=True, random_state=1)


@pytest.mark.parametrize("metric", [prior_distance, reconstruction_error])
def test_metrics_as_scorers(X, metric):
    scorer = EstimatorScorer(metric, random_state=0)
    scorer = pickle.loads(pickle.dumps(scorer))
    pipeline = make_pipeline(MinMaxScaler(clip=True), DAAETransformer(**SMALL), SVC())
    y = np.arange(len(X)) % 2
    scores = cross_validate(pipeline, X, y, cv=2, scoring=scorer, error_score="raise")
    assert (scores["test_score"] < 0).all()

    model = pipeline.fit(X, y)
    seen = model[0].transform(X)
    assert scorer(model, X, y) == -metric(model[1], seen, random_state=0)

    frozen = make_pipeline(model[0], FrozenEstimator(model[1]), SVC()).fit(X, y)
    assert scorer(frozen, X, y) == scorer(model, X, y)
    assert scorer(FrozenEstimator(model), X, y) == scorer(model, X, y)

    # Within a pipeline in a pipeline, and as the best of a search in a search.
    nested = make_pipeline(pipeline[:2], SVC()).fit(X, y)
    assert scorer(nested, X, y) == scorer(model, X, y)
    cv, grid = [(np.arange(200), np.arange(200, 300))], {"n_components": [2, 4]}
    search = GridSearchCV(
        DAAETransformer(**SMALL), grid, scoring=scorer, cv=cv, error_score="raise"
    ).fit(X)
    alone = [DAAETransformer(**{**SMALL, "n_components": k}) for k in (2, 4)]
    expected = [-metric(m.fit(X[:200]), X[200:], random_state=0) for m in alone]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected)
    assert scorer(search, X) == scorer(search.best_estimator_, X)
    search.set_params(cv=2)
    scores = cross_validate(search, X, cv=cv, scoring=scorer, error_score="raise")
    assert scores["test_score"] in np.array(expected)


def test_scorers_of_metrics_of_your_own(fitted, X):
    def likelihood(model, X, n_samples):
        samples = model.sample(n_samples, random_state=0)
        return parzen_log_likelihood(X, samples, bandwidth=0.3).mean()

    scorer = EstimatorScorer(likelihood, greater_is_better=True, n_samples=50)
    assert scorer(fitted, X) == likelihood(fitted, X, 50)
    assert repr(scorer) == (
        "EstimatorScorer(likelihood, greater_is_better=True, n_samples=50)"
    )
    nameless = EstimatorScorer(partial(prior_distance, random_state=0))
    assert "prior_distance" in repr(nameless)
    with pytest.raises(TypeError, match=r"metric=<function prior_.*'random_sate'"):
        EstimatorScorer(prior_distance, random_sate=0)


def test_scores_of_unsigned_metrics_do_not_wrap(fitted, X):
    scorer = EstimatorScorer(lambda model, X: np.uint8(3))
    assert scorer(fitted, X) == -3


def test_metrics_refuse_what_is_no_autoencoder(X):
    for estimator in (PCA(2).fit(X), make_pipeline(MinMaxScaler(), PCA(2)).fit(X)):
        with pytest.raises(TypeError, match="must be a fitted autoencoder of"):
            reconstruction_error(estimator, X)


def test_shift_robustness(digits):
    X, y = digits
    model = AAETransformer(**SMALL).fit(X)
    classifier = SVC().fit(model.transform(X), y)
    maps = shift_robustness(
        model, X, y, shifts=[-2, 0, 1], classifier=classifier, image_shape=(1, 8, 8)
    )
    assert maps.shifts.tolist() == [-2, 0, 1]
    assert maps.similarity.shape == maps.accuracy.shape == (3, 3)
    assert maps.similarity[1, 1] == 1
    assert maps.accuracy[1, 1] == classifier.score(model.transform(X), y)
    assert (np.delete(maps.similarity.ravel(), 4) < 0.999).all()


class KeepsWhatItSees(TransformerMixin, BaseEstimator):
    def __init__(self, image_shape=None, input_range=None):
        self.image_shape = image_shape
        self.input_range = input_range

    def fit(self, X, y=None):
        self.seen_ = []
        return self

    def transform(self, X):
        self.seen_.append(np.array(X))
        return np.asarray(X)


def test_shifts_go_downwards_and_to_the_right():
    X = np.arange(1, 2 * 3 * 4 * 5 + 1, dtype=np.uint8).reshape(2, 3 * 4 * 5)
    model = KeepsWhatItSees(image_shape=(3, 4, 5), input_range=(7, 255)).fit(X)
    maps = shift_robustness(model, X, shifts=[0, 2, -1, -9])
    assert "accuracy" not in maps
    images = X.reshape(2, 3, 4, 5)
    shifted = np.reshape(model.seen_[1:], (4, 4, 2, 3, 4, 5))  # down, right, image
    np.testing.assert_array_equal(shifted[0, 0], images)
    np.testing.assert_array_equal(shifted[1, 2][..., 2:, :4], images[..., :2, 1:])
    assert (shifted[1, 2][..., :2, :] == 7).all()  # entered at the top, and
    assert (shifted[1, 2][..., 4:] == 7).all()  # at the right
    assert (shifted[3] == 7).all()
    cosines = 1 - paired_cosine_distances(X, shifted[1, 2].reshape(X.shape))
    assert maps.similarity[1, 2] == pytest.approx(cosines.mean())


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16])
def test_what_enters_is_the_low_end_whatever_the_type_of_X(dtype):
    X = np.ones((2, 16), dtype)
    model = KeepsWhatItSees(image_shape=(1, 4, 4), input_range=(-1e5, 1)).fit(X)
    shift_robustness(model, X, shifts=[1])
    assert (model.seen_[1].reshape(2, 4, 4)[:, 0] == -1e5).all()
    assert (model.seen_[1].reshape(2, 4, 4)[:, 1:, 1:] == 1).all()


def test_shift_robustness_of_large_codes(X):
    model = KeepsWhatItSees(image_shape=(1, 8, 8)).fit(X)
    large = shift_robustness(model, 1e25 * X, shifts=[0, 1])
    plain = shift_robustness(model, X, shifts=[0, 1])
    np.testing.assert_allclose(large.similarity, plain.similarity, rtol=1e-6)


class Forgets(KeepsWhatItSees):
    """Has one code for all, but for rounding."""

    def transform(self, X):
        return np.float32([[0.3, -2]]) * (1 + 2e-7 * (np.asarray(X)[:, :1] > 0))


@pytest.mark.filterwarnings("error", SHORT_TRAINING)
def test_codes_that_carry_nothing_are_not_robust(X):
    model = Forgets(image_shape=(1, 8, 8)).fit(X)
    with pytest.warns(UndefinedMetricWarning, match="All images have the same code"):
        maps = shift_robustness(model, X, shifts=[0, 1])
    assert np.isnan(maps.similarity).all()
    # Of images that do not differ, codes need not.
    other = KeepsWhatItSees(image_shape=(1, 8, 8)).fit(X)
    for images in (X[:1], np.tile(X[:1], (3, 1))):
        maps = shift_robustness(other, images, shifts=[0, 1])
        assert maps.similarity[0, 0] == 1
        assert 0 < maps.similarity[1, 1] < 0.99


def test_shift_robustness_looks_into_pipelines(digits):
    X, y = digits
    model = AAETransformer(**SMALL, image_shape=(1, 8, 8), input_range=(-1, 1)).fit(X)
    alone = shift_robustness(model, X, shifts=[0, 3])
    of_0 = shift_robustness(
        KeepsWhatItSees(image_shape=(1, 8, 8)).fit(X), X, shifts=[0, 3]
    )
    assert not np.allclose(alone.similarity, of_0.similarity)
    svm = make_pipeline(clone(model), SVC()).fit(X, y)
    search = GridSearchCV(make_pipeline(clone(model)), {}, cv=2).fit(X)
    later = clone(model).set_params(input_range=np.array([-1, 1])).fit(X)
    later.set_params(input_range=None)
    for estimator in (make_pipeline(model), svm, search, later):
        maps = shift_robustness(estimator, X, shifts=[0, 3])
        np.testing.assert_array_equal(maps.similarity, alone.similarity)
    # What enters is what a scaler before it would see.
    scaled = make_pipeline(MinMaxScaler((-1, 1)), clone(model)).fit(X)
    assert shift_robustness(scaled, X, shifts=[0]).similarity == 1


@pytest.mark.filterwarnings("error", SHORT_TRAINING)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_shift_robustness_of_a_data_frame(X, library):
    names = [f"pixel {i}" for i in range(64)]
    if library == "pandas":
        frame = pd.DataFrame(X, columns=names)
    else:
        frame = pl.DataFrame(X, schema=names)
    by_name = ColumnTransformer([("all", MinMaxScaler((0, X.max())), names)])
    model = make_pipeline(by_name, PCA(3)).set_output(transform=library).fit(frame)
    maps = shift_robustness(model, frame, shifts=[0, 1], image_shape=(1, 8, 8))
    plain = make_pipeline(MinMaxScaler((0, X.max())), PCA(3)).fit(X)
    plain = shift_robustness(plain, X, shifts=[0, 1], image_shape=(1, 8, 8))
    np.testing.assert_allclose(maps.similarity, plain.similarity, rtol=1e-5)


def test_shift_robustness_refuses_what_are_no_images(fitted, X):
    with pytest.raises(ValueError, match="image_shape=None"):
        shift_robustness(fitted, X)
    with pytest.raises(ValueError, match=r"image_shape=\(1, 9, 9\) has 81 values"):
        shift_robustness(fitted, X, image_shape=(1, 9, 9))
    with pytest.raises(ValueError, match=r"image_shape=\(8, 8\) must be"):
        shift_robustness(fitted, X, image_shape=(8, 8))
    with pytest.raises(TypeError, match=r"shifts=0\.5 must be an integer"):
        shift_robustness(fitted, X, image_shape=(1, 8, 8), shifts=[0.5])
    with pytest.raises(TypeError, match="shifts=2 must be a sequence"):
        shift_robustness(fitted, X, image_shape=(1, 8, 8), shifts=2)
    with pytest.raises(ValueError, match=r"shifts=\[\] must hold one shift"):
        shift_robustness(fitted, X, image_shape=(1, 8, 8), shifts=[])
    with pytest.raises(ValueError, match="y=None"):
        shift_robustness(fitted, X, classifier=SVC(), image_shape=(1, 8, 8))
