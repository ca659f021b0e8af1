"""What the models learn from real images."""

import gzip
import zipfile
from io import BytesIO

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.svm import SVC

from sklearn_daae import DAAETransformer

from .conftest import SMALL, make


def read_mnist(data_home, name, offset, n_values):
    """Return the first 3,000 of MNIST's training images or labels."""
    path = data_home / "mnist" / f"{name}-ubyte.gz"
    data = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)
    return data[: 3000 * n_values]


def mnist_images(data_home):
    return read_mnist(data_home, "train-images-idx3", 16, 784).reshape(-1, 784)


def test_mnist(Estimator, data_home):
    X = mnist_images(data_home).astype(np.float32) / 255
    y = read_mnist(data_home, "train-labels-idx1", 8, 1)
    settings = {
        **SMALL,
        "n_components": 10,
        "encoder_layer_sizes": (256,),
        "decoder_layer_sizes": (256,),
        "discriminator_layer_sizes": (256,),
        "max_epochs": 12,
    }
    model = make(Estimator, **settings, sigma=0.5, adversarial_weight=0.5).fit(X[:2500])
    svc = SVC().fit(model.transform(X[:2500]), y[:2500])
    assert svc.score(model.transform(X[2500:]), y[2500:]) > 0.8

    # Denoised images are nearer to the clean ones than the noisy ones are, by far.
    clean = X[2500:]
    denoised = model.reconstruct(clean, corrupt=True, random_state=0)
    error = ((denoised - clean) ** 2).mean()
    assert error < 0.045
    assert error < 0.7 * ((clean.mean(axis=0) - clean) ** 2).mean()
    samples = model.sample(200, random_state=0)
    assert samples.mean() == pytest.approx(X.mean(), rel=0.3)


def read_faces(data_home):
    """Return ORL faces at 64 x 64: the first eight of each person, and the rest."""
    Image = pytest.importorskip("PIL.Image")
    parts = [], []
    with zipfile.ZipFile(data_home / "faces" / "orl_faces.zip") as archive:
        for person in range(1, 41):
            for k in range(1, 11):
                picture = BytesIO(archive.read(f"orl_faces/s{person}/{k}.pgm"))
                face = Image.open(picture).resize((64, 64), Image.Resampling.BILINEAR)
                parts[k > 8].append(np.asarray(face).ravel())
    return map(np.array, parts)


@pytest.mark.parametrize(
    ("dataset", "epochs"),
    [("mnist", 12), pytest.param("faces", 60, marks=pytest.mark.slow)],
)
def test_convolutions_beat_pca(dataset, epochs, data_home):
    """With as many components, on images that were held out, in an eighth of f."""
    if dataset == "mnist":
        X, X_test = np.split(mnist_images(data_home), [2500])
    else:
        X, X_test = read_faces(data_home)
    side = int(X.shape[1] ** 0.5)
    model = DAAETransformer(
        10,
        network=("conv", {"n_filters": 8}),
        image_shape=(1, side, side),
        input_range=(0, 255),
        sigma=0.1,
        adversarial_weight=0.1,
        discriminator_layer_sizes=(64,),
        learning_rate=2e-3,
        batch_size=32 if dataset == "mnist" else 16,
        max_epochs=epochs,
        random_state=0,
        device="cpu",
    ).fit(X)
    pca = PCA(10).fit(X)
    errors = (pca.inverse_transform(pca.transform(X_test)) - X_test) ** 2
    assert -model.score(X_test) < 0.97 * errors.mean()
