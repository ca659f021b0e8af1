"""What a representation is worth: in front of classifiers, on damaged rows, in images.

Rows are damaged in three ways: by Gaussian noise of half of each feature's standard
deviation, or of a quarter of the range of images; by 30 % of missing values, which the
training means stand in for; and by 20 % of salt and pepper, each feature's least or
greatest value, or those of all pixels.
"""

import numpy as np
from scipy.ndimage import median_filter
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

DAMAGES = ("noise", "missing", "salt and pepper")


def damaged(X, X_train, is_image, seed):
    """Return copies of X by the name of what was done to them."""
    random = np.random.default_rng(seed)
    mean, deviation = X_train.mean(axis=0), X_train.std(axis=0)
    low, high = X_train.min(axis=0), X_train.max(axis=0)
    sigma = deviation / 2
    if is_image:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        sigma = (high - low) / 4
    u = random.random(X.shape)
    copies = {
        "noise": X + sigma * random.normal(size=X.shape),
        "missing": np.where(random.random(X.shape) < 0.3, mean, X),
        "salt and pepper": np.where(u < 0.1, low, np.where(u < 0.2, high, X)),
    }
    return {name: copy.astype(X.dtype) for name, copy in copies.items()}


def with_noisy_copies(X, y, is_image, seed):
    """Return the rows, and as many with noise, for a classifier to learn from."""
    noisy = damaged(X, X, is_image, seed)["noise"]
    return np.concatenate([X, noisy]), np.concatenate([y, y])


def scores(Z, y, Z_of_tests, y_test, *, is_regression, is_linear):
    """Return accuracies in percent, or 100 R^2, on several versions of the test rows.

    Of several attributes the mean over them.
    """
    y, y_test = (labels.reshape(len(labels), -1) for labels in (y, y_test))
    if is_regression:
        regressor = Ridge() if is_linear else SVR()
        model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    elif is_linear:
        # The codes of all representations at one scale: the penalty depends on it.
        classifier = LogisticRegression(max_iter=300)
        model = make_pipeline(StandardScaler(), classifier)
    else:
        model = SVC()
    if not is_linear and not is_regression and Z.shape[1] > 1000:
        # Of wide rows, `SVC()` by one matrix product for all attributes.
        gamma = 1 / (Z.shape[1] * Z.var())
        model = SVC(kernel="precomputed")
        kernels = {k: rbf_kernel(A, Z, gamma=gamma) for k, A in Z_of_tests.items()}
        Z, Z_of_tests = rbf_kernel(Z, gamma=gamma), kernels
    found = {name: [] for name in Z_of_tests}
    for labels, truth in zip(y.T, y_test.T, strict=True):
        model.fit(Z, labels)
        for name, Z_test in Z_of_tests.items():
            found[name].append(100 * model.score(Z_test, truth))
    return {name: float(np.mean(values)) for name, values in found.items()}


def median_filtered(X, side):
    """Return images, grey or of three channels, with medians of 3 x 3 pixels."""
    images = X.reshape(len(X), -1, side, side)
    return median_filter(images, size=(1, 1, 3, 3)).reshape(X.shape)


def relative_error(X_hat, X, X_train, is_image):
    """Return the squared error as a part of the variance of the training rows.

    Each feature's own, or that of all pixels.
    """
    variance = X_train.var(axis=0, dtype=np.float64)
    if is_image:
        variance = np.full_like(variance, variance.mean())
    error = np.square(X_hat - X.astype(np.float64)).mean(axis=0)
    return float((error / np.where(variance > 0, variance, 1)).mean())


def anomaly_score(score_samples, normal, anomalies):
    """Return the area under the ROC curve: how well a score tells the two apart."""
    truth = np.r_[np.ones(len(normal)), np.zeros(len(anomalies))]
    values = np.r_[score_samples(normal), score_samples(anomalies)]
    return float(roc_auc_score(truth, values))
