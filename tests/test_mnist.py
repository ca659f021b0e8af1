"""What the models learn from real images."""

import gzip

import numpy as np
import pytest
from sklearn.svm import SVC

from .conftest import SMALL, make


def test_mnist(Estimator, data_home):
    def read(name, offset, count):
        path = data_home / "mnist" / f"{name}-ubyte.gz"
        data = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[offset:]
        return data[: 3000 * count]

    X = read("train-images-idx3", 16, 784).reshape(-1, 784).astype(np.float32) / 255
    y = read("train-labels-idx1", 8, 1)
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
