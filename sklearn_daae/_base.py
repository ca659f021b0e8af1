"""What every estimator does once it is trained: transform, sample, score."""

from copy import deepcopy
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, metadata_routing
from sklearn.utils.validation import check_is_fitted

from . import _checks
from ._engine.inference import Inference
from ._engine.rows import Rows
from ._engine.state import VERSION_KEY, check_saved, package_version
from ._files import save
from ._model.module import AsModule
from ._random import RandomState
from ._training import TrainedAutoencoder


class BaseAutoencoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, TrainedAutoencoder
):
    """The base of all estimators. Think twice before adding anything.

    A subclass also says how it is sampled (`_n_steps`).
    """

    # Steps of the Markov chain that `sample` takes unless told otherwise.
    _n_steps: ClassVar[int]

    # An array to write into is no metadata that a pipeline could pass on.
    __metadata_request__transform: ClassVar[dict] = {"out": metadata_routing.UNUSED}
    __metadata_request__inverse_transform = __metadata_request__transform

    def transform(self, X: ArrayLike, *, out: np.ndarray | None = None) -> np.ndarray:
        """Encode X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, as it is: nothing is corrupted here.

        out : ndarray of shape (n_samples, n_components), default=None
            An array to write the codes into, such as a `numpy.memmap`. It is what is
            returned then.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            The codes E(x); of a variational model, the means of q(z | x).

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid: of other features than :meth:`fit` has seen, with NaN
            (unless `missing_values` allows it) or infinite values, or beyond the range
            of float32; or if `out` has another shape, cannot hold float32, or is
            read-only.

        TypeError
            If X is of a kind that is not read as an array, such as a data set of
            torch's, or `out` is no array.

        See Also
        --------
        inverse_transform : Decodes codes.
        as_module : The same, as a module of torch.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> model.transform(X).shape
        (150, 2)
        """
        return _checks.as_given(X, self._trained.encode(self._rows(X), out=out), out)

    def inverse_transform(
        self, X: ArrayLike, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as :meth:`transform` gives them or drawn from the prior.

        out : ndarray of shape (n_samples, n_features), default=None
            An array to write into, as in :meth:`transform`.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features), float32
            The reconstructions R(z), in the space and the units of the training data;
            in float64 where float32 cannot hold them, of large offsets such as
            timestamps.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X has not `n_components` columns, or values that are not finite; or if
            `out` has another shape or type, or is read-only.

        TypeError
            If `out` is no array.

        See Also
        --------
        transform : Encodes rows.
        reconstruct : Encodes and decodes them.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> Z = model.transform(X)
        >>> model.inverse_transform(Z).shape
        (150, 4)
        """
        trained = self._trained
        codes = Rows(self._check_codes(X, "X"), self.device_)
        return _checks.as_given(X, trained.decode(codes, out=out), out)

    def corrupt(self, X: ArrayLike, random_state: RandomState = None) -> np.ndarray:
        """Draw from the corruption process, every row at the level `sigma`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Clean data.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_tilde : ndarray of shape (n_samples, n_features), float32
            The corrupted data C(x), in the space and the units of X. A model that
            corrupts nothing gives X as it is.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid, as in :meth:`transform`, or `random_state` is no seed.

        TypeError
            If X is of a kind that is not read as an array.

        See Also
        --------
        reconstruct : Undoes a corruption.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> model.corrupt(X, random_state=0).shape
        (150, 4)
        """
        return _checks.as_given(X, self._trained.corrupt(self._rows(X), random_state))

    def reconstruct(
        self,
        X: ArrayLike,
        *,
        corrupt: bool = False,
        random_state: RandomState = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Encode and decode X, which takes noise away and fills missing values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Clean data, or, to denoise it, data with real noise.

        corrupt : bool, default=False
            Whether to corrupt X first, at the level `sigma`: R(E(C(x))) instead of
            R(E(x)).

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        out : ndarray of shape (n_samples, n_features), default=None
            An array to write into, as in :meth:`transform`.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features), float32
            The reconstructions, in the space and the units of the training data; in
            float64 where float32 cannot hold them.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X or `out` is not valid, as in :meth:`transform`, or `random_state` is no
            seed.

        TypeError
            If `corrupt` is no bool, X is of a kind that is not read as an array, or
            `out` is no array.

        See Also
        --------
        corrupt : Draws a corruption of rows.
        score_samples : The errors of reconstructions, with their sign changed.
        sklearn_daae.metrics.reconstruction_error : Their mean, of corrupted rows.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> noisy = model.corrupt(X, random_state=0)
        >>> denoised = model.reconstruct(noisy)
        >>> bool(abs(denoised - X).mean() < abs(noisy - X).mean())
        True
        """
        _checks.check_flag("corrupt", corrupt)
        options = {"corrupt": corrupt, "random_state": random_state, "out": out}
        X_hat = self._trained.reconstruct(self._rows(X), **options)
        return _checks.as_given(X, X_hat, out)

    def sample(
        self,
        n_samples: int = 1,
        random_state: RandomState = None,
        *,
        n_steps: int | None = None,
        return_chain: bool = False,
        X: ArrayLike | None = None,
        Z: ArrayLike | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw new samples from the model.

        Codes are drawn from the prior and decoded; then the Markov chain of equation 3
        of the paper, corrupt, encode, decode, takes `n_steps` steps. A DAE has no
        prior: its codes are drawn from a Gaussian fitted to those of its training data.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples, from 1 up; with `X` or `Z`, from each of their rows.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same samples at every call.

        n_steps : int, default=None
            Steps of the chain, from 0 up. None is 1 for the DAAE and the DVAE, whose
            *corrupted* encodings were matched to the prior, and for the DAE; and 0 for
            the rest, of which the prior can be decoded directly, or 1 with `X`.

        return_chain : bool, default=False
            Whether to return all states of the chains and not only the last.

        X : array-like of shape (n_rows, n_features), default=None
            Data to start the chains from, as x(0).

        Z : array-like of shape (n_rows, n_components), default=None
            Codes to start the chains from, instead of draws from the prior.

        out : ndarray, default=None
            An array of the shape that is returned to write into, as in
            :meth:`transform`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            The samples x(n_steps). With `return_chain`, all of x(0), ..., x(n_steps):
            an array of shape (n_steps + 1, n_samples, n_features). With `X` or `Z`,
            there are n_samples * n_rows of them, those from one row together. They are
            in the space and the units of the training data.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If `n_samples` or `n_steps` is too small, both `X` and `Z` are given, one of
            them or `out` is not valid, as in :meth:`transform` and
            :meth:`inverse_transform`, or `random_state` is no seed.

        TypeError
            If `n_samples` or `n_steps` is no integer, `return_chain` is no bool, or
            `out` is no array.

        See Also
        --------
        sklearn_daae.inspection.SampleDisplay : Draws samples and chains.
        sklearn_daae.metrics.parzen_log_likelihood : How likely data is, given samples.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> model.sample(5, random_state=0).shape
        (5, 4)

        Four states of a chain from each of the first three rows:

        >>> model.sample(X=X[:3], n_steps=3, return_chain=True, random_state=0).shape
        (4, 3, 4)
        """
        check_is_fitted(self)
        _checks.check_number("n_samples", n_samples, least=1)
        _checks.check_flag("return_chain", return_chain)
        if n_steps is None:
            n_steps = self._n_steps if X is None else max(1, self._n_steps)
        _checks.check_number("n_steps", n_steps, least=0)
        if X is not None and Z is not None:
            raise ValueError("Chains start from rows of X or from codes Z: give one.")

        samples = self._trained.sample(
            n_samples,
            n_steps,
            rows=None if X is None else self._rows(X),
            codes=None if Z is None else Rows(self._check_codes(Z), self.device_),
            draw_codes=self._draw_codes,
            return_chain=return_chain,
            random_state=random_state,
            out=out,
        )
        return _checks.as_given(Z if X is None else X, samples, out)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return minus the squared reconstruction error of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, as it is.

        Returns
        -------
        score : ndarray of shape (n_samples,), float32
            Minus the mean over features of (R(E(x)) - x) squared, in squared units of X
            or, where `scaling` has standardised it, of what each feature was divided
            by, so that none outweighs the rest. Higher is better: rows of low scores
            are unlike the training data.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid, as in :meth:`transform`.

        TypeError
            If X is of a kind that is not read as an array.

        See Also
        --------
        score : Their mean.
        sklearn_daae.outliers.AutoencoderOutlierDetector : Tells outliers by errors and
            codes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> scores = model.score_samples(X)
        >>> scores.shape
        (150,)
        >>> bool((model.score_samples(X + 10) < scores.min()).all())
        True
        """
        trained = self._trained
        in_units = self.scaling_.kind != "standard"
        errors = trained.squared_errors(self._rows(X), in_units=in_units)
        return _checks.as_given(X, -errors)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return minus the mean squared reconstruction error of X.

        It is what a search ranks models by, unless it is given a `scoring`; of the
        match to the prior it says nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data, as it is.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            The mean of :meth:`score_samples`. Higher is better.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If X is not valid, as in :meth:`transform`.

        TypeError
            If X is of a kind that is not read as an array.

        See Also
        --------
        sklearn_daae.metrics.EstimatorScorer : Other scores, for searches.
        """
        return float(np.mean(_checks.as_numpy(self.score_samples(X)), dtype=np.float64))

    def save(self, path: str | PathLike[str], *, trimmed: bool = False) -> None:
        """Save the model in a file that executes nothing when it is loaded.

        Parameters
        ----------
        path : str or path-like
            The file, which :func:`~sklearn_daae.load` loads. It is replaced, if it is
            there.

        trimmed : bool, default=False
            Whether to leave out what only training needs, three quarters of the file:
            such a model cannot go on with :meth:`partial_fit` or `warm_start`.

        Raises
        ------
        TypeError
            If the model has something that is no plain data, such as a network, a
            corruption or a prior of your own, which the message names; if `trimmed` is
            no bool, or `path` is no path.

        OSError
            If the file cannot be written.

        See Also
        --------
        sklearn_daae.load : Loads it.
        sklearn_daae.save : The same, of pipelines too.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import sklearn_daae
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAAETransformer(2, max_epochs=10, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.safetensors")
        ...     loaded = sklearn_daae.load(Path(folder) / "model.safetensors")
        >>> bool((loaded.transform(X) == model.transform(X)).all())
        True
        """
        save(self, path, trimmed=trimmed)

    def as_module(self, call: str) -> torch.nn.Module:
        """Return a module that does what a call does: for torch, without scikit-learn.

        Parameters
        ----------
        call : {"transform", "inverse_transform", "reconstruct"}
            The call.

        Returns
        -------
        module : torch.nn.Module
            From a tensor of rows of X, or of codes, to what the call returns,
            differentiable, with scaling and sigmoid. Its weights are a copy, which may
            be trained, for instance as a part of a classifier; it can be traced and
            exported.

        Raises
        ------
        NotFittedError
            If the model is not fitted.

        ValueError
            If there is no such call.

        See Also
        --------
        sklearn_daae.onnx.to_onnx : Exports it.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_daae import DAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = DAETransformer(2, max_epochs=1, random_state=0).fit(X)
        >>> encode = model.as_module("transform")
        >>> encode(torch.from_numpy(X[:3])).shape
        torch.Size([3, 2])
        """
        return AsModule(self._trained.module, call)

    def __getstate__(self):
        return {**super().__getstate__(), VERSION_KEY: package_version()}

    def __setstate__(self, state):
        state = dict(state)
        name, version = type(self).__name__, state.pop(VERSION_KEY, None)
        check_saved(name, version, {*self._get_param_names()} - state.keys())
        if torch.is_inference_mode_enabled():
            # Tensors made in it never learn, those of networks of one's own, too.
            with torch.inference_mode(False):
                state = deepcopy(state)
        super().__setstate__(state)

    @property
    def _trained(self):
        """What the trained networks can be asked."""
        check_is_fitted(self)
        return Inference(self.net_, self.scaling_, self.n_features_in_)

    def _require_prior(self):
        """Return the prior, or refuse what makes no sense without one."""
        prior = getattr(self.net_.objective, "prior", None)
        if prior is None:
            raise ValueError(
                f"{type(self).__name__} matches its codes to no prior. Use one of the "
                "models that do, such as DAAETransformer."
            )
        return prior

    def _check_codes(self, Z, name="Z"):
        """Return codes that are valid, as rows."""
        Z = check_array(_checks.as_numpy(Z), dtype=np.float32, input_name=name)
        _checks.check_n_components(Z, name, type(self).__name__, self._n_features_out)
        return Z

    def _draw_codes(self, n_samples, generator):
        """Draw the codes that sampling starts from: of the prior."""
        return self.net_.objective.prior(n_samples, generator)

    @property
    def encoder_(self) -> torch.nn.Module:
        """The trained encoder E. A variational one gives means and log-variances."""
        return self._trained.module.encoder

    @property
    def decoder_(self) -> torch.nn.Module:
        """The trained decoder R, before the sigmoid that belongs to the loss 'bce'."""
        return self._trained.module.decoder

    @property
    def device_(self) -> torch.device:
        """Where the networks are."""
        return self._trained.net.device

    @property
    def history_(self) -> list[dict[str, float]]:
        """The mean of every loss, one record of floats an epoch."""
        net = self._trained.net
        names = net.objective.loss_names
        keys = {**{name: name for name in names}, "valid_loss": "validation_error"}
        return [
            {new: record[old] for old, new in keys.items() if old in record}
            for record in net.history
        ]

    @property
    def loss_curve_(self) -> list[float]:
        """The mean reconstruction loss of each epoch."""
        return [record["reconstruction_loss"] for record in self.history_]

    @property
    def n_epochs_(self) -> int:
        """Epochs trained so far."""
        return len(self._trained.net.history)

    @property
    def _n_features_out(self):
        return self.net_.structure["n_components"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # From a float32 network, more digits would be noise of the batch size.
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing_values == "mask"
        return tags
