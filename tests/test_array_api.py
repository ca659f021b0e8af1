"""Tensors go in and come out where scikit-learn's array API dispatch is on, as of PCA.

scikit-learn asks for SciPy's own support, which is a matter of the whole process.
"""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from .conftest import SHORT_TRAINING, make, needs_cuda


def run(code):
    """Run what needs scipy's support of the array API, in a process of its own."""
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
def test_tensors_under_dispatch(device):
    pytest.importorskip("array_api_compat")
    run(
        f"""
        import numpy as np, sklearn, torch, warnings
        from sklearn.decomposition import PCA
        from sklearn.datasets import load_digits
        from sklearn_daae import DAAETransformer

        warnings.simplefilter("ignore")
        X = load_digits().data[:200].astype(np.float32)
        given = torch.tensor(X, device="{device}")
        model = DAAETransformer(3, max_epochs=2, device="{device}", random_state=0)
        expected = model.fit(X).transform(X)
        with sklearn.config_context(array_api_dispatch=True):
            pca = PCA(3).fit_transform(given)
            codes = model.fit(given).transform(given)
            assert type(codes) is type(pca) and codes.device == pca.device
            assert np.array_equal(codes.cpu().numpy(), expected)
            for rows in (
                model.inverse_transform(codes),
                model.reconstruct(given),
                model.corrupt(given),
                model.sample(1, X=given),
                model.sample(1, Z=codes),
            ):
                assert rows.shape == given.shape and rows.device == given.device
            assert model.score_samples(given).device == given.device
            assert model.score(given) == model.score(X)
            assert isinstance(model.transform(X), np.ndarray)
        assert isinstance(model.transform(given.cpu()), np.ndarray)
        """
    )


@pytest.mark.filterwarnings(SHORT_TRAINING)
def test_tensors_are_arrays_otherwise(Estimator, X):
    expected = make(Estimator).fit(X).transform(X)
    found = make(Estimator).fit(torch.tensor(X)).transform(torch.tensor(X))
    np.testing.assert_array_equal(found, expected)
