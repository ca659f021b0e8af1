"""The numbers that the paper's tables print, of a trained model.

Each measure is called with a model and the parts of its data, and returns numbers by
name. Where it draws at random, it does so from a seed of its own, so that a measure
taken again is the same.
"""

from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KernelDensity
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import gen_batches

from benchmarks.paper.baselines import add_noise
from benchmarks.paper.tables import OMNIGLOT_STEPS
from sklearn_daae.metrics import (
    parzen_log_likelihood,
    prior_distance,
    select_bandwidth,
)

BANDWIDTHS = np.logspace(-1, 0, 10)

# With four more between each two of them, for the samples that are tuned.
FINE_BANDWIDTHS = np.logspace(-1, 0, 46)


def in_batches(function, X, batch_size=4096):
    """Apply a function of rows, and of the number of their batch, to all of X."""
    batches = enumerate(gen_batches(len(X), batch_size))
    return np.concatenate([function(X[rows], i) for i, rows in batches])


def mean_and_error(values):
    """Return the mean and its standard error."""
    values = np.asarray(values, dtype=np.float64)
    error = values.std() / np.sqrt(len(values))
    return {"mean": float(values.mean()), "standard_error": float(error)}


def reconstruction(model, data):
    """Tables I and IV: the squared error of test rows that were corrupted.

    Beside it the cross-entropy, which Table I's column of CelebA seems to be, and the
    squared error of rows as they are. Models that were trained with a corruption of
    their own face the noise of the others.
    """

    def denoised(X, seed):
        if getattr(model, "corruption", "gaussian") != "gaussian":
            return model.reconstruct(add_noise(X, model.sigma, seed))
        return model.reconstruct(X, corrupt=True, random_state=seed)

    def errors(X, seed):
        X_hat = denoised(X, seed)
        p = np.clip(X_hat, 1e-6, 1 - 1e-6)
        cross_entropy = -(X * np.log(p) + (1 - X) * np.log(1 - p))
        columns = np.square(X_hat - X), cross_entropy, (model.reconstruct(X) - X) ** 2
        return np.stack([column.mean(1) for column in columns], axis=1)

    squared_errors, *others = in_batches(errors, data["test"][0]).T
    cross_entropy, clean = (mean_and_error(values)["mean"] for values in others)
    return {
        **mean_and_error(squared_errors),
        "cross_entropy": cross_entropy,
        "clean": clean,
    }


def svc_accuracy(Z, y, Z_test, y_test, *, gamma):
    """Return the accuracy in percent of an RBF support vector classifier."""
    if Z.shape[1] <= 1000:
        return 100 * SVC(gamma=gamma).fit(Z, y).score(Z_test, y_test)
    # Of wide rows, kernels as matrix products: hours less than libsvm's own.
    gamma = {"scale": 1 / (Z.shape[1] * Z.var()), "auto": 1 / Z.shape[1]}[gamma]
    classifier = SVC(kernel="precomputed").fit(rbf_kernel(Z, gamma=gamma), y)
    return 100 * classifier.score(rbf_kernel(Z_test, Z, gamma=gamma), y_test)


def classification(model, data):
    """Tables II and VI: `SVC()` on the codes of the training rows, on test rows.

    With the default of `gamma` when the paper was written, one over the number of
    components, and with today's.
    """
    (X, y), (X_test, y_test) = data["train"], data["test"]
    codes = model.transform(X), y, model.transform(X_test), y_test
    return {
        "gamma=1/n": svc_accuracy(*codes, gamma="auto"),
        "gamma='scale'": svc_accuracy(*codes, gamma="scale"),
    }


def transfer(model, data):
    """Table II: a linear SVC on the first 20 characters of the evaluation set.

    Each of their 20 drawings is left out in turn, of all characters at once. The paper
    says no more than linear. Of PCA's codes `SVC(kernel="linear")`, which tells each
    pair of characters apart, comes near to what it prints, and `LinearSVC`, which tells
    each from all others, does not: it stands beside it.
    """
    X, y = data["evaluation"]
    rows = np.flatnonzero(np.isin(y, np.unique(y)[:20]))
    Z, y = model.transform(X[rows]), y[rows]
    # The drawings of a character stand together, in their order.
    drawing = np.arange(len(y)) % 20

    def accuracy(classifier):
        scores = [
            clone(classifier)
            .fit(Z[drawing != i], y[drawing != i])
            .score(Z[drawing == i], y[drawing == i])
            for i in range(20)
        ]
        return 100 * float(np.mean(scores))

    return {
        "accuracy": accuracy(SVC(kernel="linear")),
        "LinearSVC": accuracy(LinearSVC(random_state=0)),
    }


def attributes(model, data):
    """Figures 8 to 10 and 15: a linear SVM for each attribute, on test rows.

    Hinge loss and an L2 penalty of 0.01, of which scikit-learn takes the half.
    """
    (X, y), (X_test, y_test) = data["train"], data["test"]
    Z, Z_test = model.transform(X), model.transform(X_test)
    accuracies = []
    for has_it, truth in zip(y.T, y_test.T, strict=True):
        classifier = SGDClassifier(loss="hinge", alpha=0.02, random_state=0)
        score = classifier.fit(Z, has_it).score(Z_test, truth)
        accuracies.append(100 * float(score))
    return {"accuracies": accuracies}


def identity(model, data):
    """Tell faces apart by identity, with a linear SVC, on held-out photographs."""
    (X, y), (X_test, y_test) = data["train"], data["test"]
    classifier = LinearSVC(random_state=0).fit(model.transform(X), y.argmax(1))
    score = classifier.score(model.transform(X_test), y_test.argmax(1))
    return {"accuracy": 100 * float(score)}


def prior_match(model, data):
    """Figure 2: the sliced Wasserstein distance of codes from the prior."""
    X = data["test"][0]
    return {
        name: prior_distance(model, X, corrupt=corrupt, random_state=0)
        for name, corrupt in (("codes", False), ("corrupted_codes", True))
    }


def samples(model, n_samples, t, seed):
    """Return x(t) of chains; with the ring prior, of those that start from a normal.

    So the paper draws them (Figure 13): the ring is what it starts away from.
    """
    if getattr(model, "prior", None) == "ring":
        Z = np.random.default_rng(seed).normal(size=(n_samples, model.n_components))
        return model.sample(random_state=seed, n_steps=t, Z=Z)
    return model.sample(n_samples, seed, n_steps=t)


def steps_of(model, steps):
    """Return the steps of the chain at which a model is sampled."""
    is_chain = hasattr(model, "max_epochs") and hasattr(model, "sigma")
    return steps if is_chain else steps[:1]


def log_likelihood(
    model,
    data,
    *,
    steps,
    n_samples,
    select,
    tests,
    see=np.asarray,
    bandwidths=BANDWIDTHS,
):
    """Table V, Figure 3 and section VI-D2: exact Parzen log-likelihoods, in nats.

    Parameters
    ----------
    model : estimator
        The trained model.

    data : dict of str to (X, y)
        The parts of the data.

    steps : sequence of int
        Steps t of the chain to take samples at; of models without a chain, the first.

    n_samples : int
        What the Parzen window stands on.

    select : str
        The part that the bandwidth is chosen on.

    tests : sequence of str
        The parts whose likelihood is told. That of `select` itself is told on fresh
        samples.

    see : callable
        What rows are seen as.

    bandwidths : ndarray
        Of which it is the best on `select`.
    """
    rows = {part: see(data[part][0]) for part in {select, *tests}}
    numbers = {}
    for t in steps_of(model, steps):
        first = see(samples(model, n_samples, t, 0))
        bandwidth = select_bandwidth(first, rows[select], bandwidths=bandwidths)
        for part in tests:
            window = first
            if part == select:
                window = see(samples(model, n_samples, t, 1))
            values = parzen_log_likelihood(rows[part], window, bandwidth=bandwidth)
            key = f"x({t})" if len(tests) == 1 else f"{part}, x({t})"
            numbers[key] = {**mean_and_error(values), "bandwidth": bandwidth}
    return numbers


def default_kernel_density(model, data, *, steps, n_samples):
    """Return what the paper's Table V was made with, of 500 test rows.

    scikit-learn's `KernelDensity`, whose search by a tree is wrong in so many
    dimensions: a check of why the table cannot be compared.
    """
    numbers = {}
    for t in steps_of(model, steps):
        window = samples(model, n_samples, t, 0)
        density = KernelDensity(bandwidth=BANDWIDTHS[1]).fit(window)
        values = density.score_samples(data["test"][0][:500])
        numbers[f"x({t})"] = {**mean_and_error(values), "bandwidth": BANDWIDTHS[1]}
    return numbers


def to_grey(X):
    """Return colour images as grey ones, weighted as by scikit-image's `rgb2gray`."""
    weights = np.float32([0.2125, 0.7154, 0.0721])
    return in_batches(
        lambda rows, _: np.einsum("nci,c->ni", rows.reshape(len(rows), 3, -1), weights),
        X,
    )


def _of_digits(n_samples):
    """Return the measures of appendix E."""
    likelihood = partial(
        log_likelihood,
        steps=(0, 1, 5),
        n_samples=n_samples,
        select="validation",
        tests=["test"],
    )
    return {
        "reconstruction": reconstruction,
        "classification": classification,
        "log_likelihood": likelihood,
        "fine_log_likelihood": partial(likelihood, bandwidths=FINE_BANDWIDTHS),
        "kernel_density": partial(
            default_kernel_density, steps=(0, 5), n_samples=n_samples
        ),
    }


_FACES = {
    "reconstruction": reconstruction,
    "attributes": attributes,
    "prior_match": prior_match,
}

# What is measured on each data set.
MEASURES = {
    "digits": _of_digits(1000),
    "mnist": _of_digits(10_000),
    "mnist_tuning": _of_digits(10_000),
    "omniglot": {
        "reconstruction": reconstruction,
        "classification": classification,
        "transfer": transfer,
        "log_likelihood": partial(
            log_likelihood,
            steps=OMNIGLOT_STEPS,
            n_samples=1000,
            select="test",
            tests=["evaluation", "test"],
        ),
    },
    "sprites": {
        "reconstruction": reconstruction,
        "log_likelihood": partial(
            log_likelihood,
            steps=(0, 1, 5),
            n_samples=1000,
            select="validation",
            tests=["test"],
            see=to_grey,
        ),
    },
    "celeba": _FACES,
    "faces": {**_FACES, "identity": identity},
}
