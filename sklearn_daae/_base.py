"""What every estimator does once it is trained."""

from contextlib import contextmanager
from numbers import Integral
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_scalar
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ._batches import Rows
from ._device import release_memory, undisturbed
from ._markov_chain import markov_chain
from ._random import private_generator, torch_generator
from ._training import TrainableAutoencoder

# Values that one inference batch may hold: 8 MiB of float32. Larger ones outgrow the
# caches of a CPU, and take up to twice as long.
_BATCH_VALUES = 2**21


class BaseAutoencoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, TrainableAutoencoder
):
    """The base of all estimators. Think twice before adding anything.

    A subclass adds its own parameters and says what it minimises (`_objective`), and
    how it is sampled (`_n_steps`).
    """

    # The codes are no metadata to route.
    __metadata_request__inverse_transform: ClassVar[dict] = {"Z": UNUSED}

    # Steps of the Markov chain that `sample` takes unless told otherwise.
    _n_steps: ClassVar[int]

    def transform(self, X):
        """Encode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is: nothing is corrupted here.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            The codes E(x); of a variational model, the means of q(z | x).
        """
        check_is_fitted(self)
        return self._encode(X)

    def inverse_transform(self, X):
        """Decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as `transform` gives them or drawn from the prior.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features), float32
            The reconstructions R(z), in the space of the training data; in float64
            where float32 cannot hold them, of large offsets such as timestamps.
        """
        check_is_fitted(self)
        codes = Rows(self._validated_codes(X, "X"), self.device_)
        return self._map_back(lambda z, _: self.net_.model_.decode(z), codes)

    def corrupt(self, X, random_state=None):
        """Draw from the corruption process, every row at the level `sigma`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean data.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_tilde : ndarray of shape (n_samples, n_features), float32
            The corrupted data C(x).
        """
        check_is_fitted(self)
        corruption = self.net_.objective.corruption
        return self._map_back(corruption, self._rows(X), random_state)

    def reconstruct(self, X, *, corrupt=False, random_state=None):
        """Encode and decode X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean data, or, to denoise it, data with real noise.

        corrupt : bool, default=False
            Whether to corrupt X first, at the level `sigma`: R(E(C(x))) instead of
            R(E(x)).

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same corruption at every call.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features), float32
            The reconstructions, in the space of the training data.
        """
        check_is_fitted(self)
        return self._map_back(self._denoising(corrupt), self._rows(X), random_state)

    def sample(
        self,
        n_samples=1,
        random_state=None,
        *,
        n_steps=None,
        return_chain=False,
        X=None,
        Z=None,
    ):
        """Draw new samples from the model.

        Codes are drawn from the prior and decoded; then the Markov chain of
        equation 3, corrupt, encode, decode, takes `n_steps` steps. A DAE has no prior:
        its codes are drawn from a Gaussian fitted to those of its training data.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `X` or `Z`, from each of their rows.

        random_state : int, RandomState instance or None, default=None
            Pass an int for the same samples at every call.

        n_steps : int, default=None
            Steps of the chain. None is 1 for the DAAE and the DVAE, whose *corrupted*
            encodings were matched to the prior, and for the DAE; and 0 for the rest, of
            which the prior can be decoded directly. With `X` it is at least 1.

        return_chain : bool, default=False
            Whether to return all states of the chains and not only the last.

        X : array-like of shape (n_rows, n_features), default=None
            Data to start the chains from, as x(0).

        Z : array-like of shape (n_rows, n_components), default=None
            Codes to start the chains from, instead of draws from the prior.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float32
            The samples x(n_steps). With `return_chain`, all of x(0), ..., x(n_steps):
            an array of shape (n_steps + 1, n_samples, n_features). With `X` or `Z`,
            there are n_samples * n_rows of them, those from one row together.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        if n_steps is None:
            n_steps = self._n_steps if X is None else max(1, self._n_steps)
        check_scalar(n_steps, "n_steps", Integral, min_val=0)
        if X is not None and Z is not None:
            raise ValueError("Chains start from rows of X or from codes Z: give one.")

        module, objective = self.net_.model_, self.net_.objective
        start = None
        if X is not None:
            start = self._rows(X)
        elif Z is not None:
            start = Rows(self._validated_codes(Z), self.device_)
        n_chains = n_samples if start is None else n_samples * len(start)
        chain = np.empty(
            (n_steps + 1 if return_chain else 1, n_chains, self.n_features_in_),
            dtype=self.scaling_.dtype,
        )

        def first_states(rows, generator):
            """Return x(0) of some of the chains."""
            if start is None:
                z = self._draw_codes(rows.stop - rows.start, generator)
                return module.decode(z)
            given = start[np.r_[rows] // n_samples]
            return module.decode(given) if X is None else given

        with torch.inference_mode(), self._generator(random_state) as generator:
            for rows in _slices(n_chains, self.n_features_in_):
                if rows.start > 0:
                    # x(0) does not depend on how many steps the chains before take.
                    generator.manual_seed(generator.initial_seed() + 1)
                states = markov_chain(
                    first_states(rows, generator),
                    n_steps,
                    encode=lambda x: objective.draw_code(x, module, generator),
                    corrupt=lambda x: objective.corruption(x, generator),
                    decode=module.decode,
                )
                for t, x in enumerate(states):
                    if return_chain or t == n_steps:
                        x = self.scaling_.invert(x).cpu().numpy()
                        chain[t if return_chain else 0, rows] = x
        release_memory(self.device_)
        return chain if return_chain else chain[0]

    def score_samples(self, X):
        """Return minus the squared reconstruction error of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is.

        Returns
        -------
        score : ndarray of shape (n_samples,), float32
            Minus the mean over features of (R(E(x)) - x) squared, in units of X or,
            where `scaling` has standardised it, in units of what each feature was
            divided by, so that none outweighs the rest. Higher is better.
        """
        check_is_fitted(self)
        return -self._squared_errors(X, standardised=True)

    def score(self, X, y=None):
        """Return minus the mean squared reconstruction error of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, as it is.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            The mean of `score_samples`. Higher is better.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    def _rows(self, X):
        """Return rows of X as the networks see them."""
        X = self._validated(X, reset=False)
        return Rows(X, self.device_, self.scaling_)

    def _denoising(self, corrupt):
        """Return R(E(C(x))), or R(E(x)), as a function of a batch and a generator."""
        module, corruption = self.net_.model_, self.net_.objective.corruption

        def denoise(x, generator):
            x_tilde = corruption(x, generator) if corrupt else x
            return module.decode(module.encode(x_tilde))

        return denoise

    def _squared_errors(self, X, *, corrupt=False, random_state=0, standardised=False):
        """Return the squared error of `reconstruct`, the mean over features.

        In units of X, or of what it was divided by in order to standardise it.
        """
        denoise = self._denoising(corrupt)
        is_unit = standardised and self.scaling_.kind == "standard"

        def squared_error(x, generator):
            error = denoise(x.clone(), generator) - x
            if not is_unit:
                error = self.scaling_.in_units(error)
            return error.square().mean(1, keepdim=True)

        return self._map(squared_error, self._rows(X), 1, random_state).ravel()

    def _encode(self, X, *, corrupt=False, draw=False, random_state=0):
        """Return codes of x or C(x): the means of q(z | x), or draws from it."""
        module, objective = self.net_.model_, self.net_.objective

        def encode(x, generator):
            if corrupt:
                x = objective.corruption(x, generator)
            if draw:
                return objective.draw_code(x, module, generator)
            return module.encode(x)

        return self._map(encode, self._rows(X), self._n_features_out, random_state)

    def _require_prior(self):
        """Return the prior, or refuse what makes no sense without one."""
        prior = getattr(self.net_.objective, "prior", None)
        if prior is None:
            raise ValueError(
                f"{type(self).__name__} matches its codes to no prior. Use one of the "
                "models that do, such as DAAETransformer."
            )
        return prior

    def _draw_prior(self, n_samples, random_state):
        """Return draws from the prior, of shape (n_samples, n_components)."""
        with torch.inference_mode(), self._generator(random_state) as generator:
            z = self._require_prior()(n_samples, generator).cpu().numpy()
        release_memory(self.device_)
        return z

    def _validated_codes(self, Z, name="Z"):
        Z = check_array(Z, dtype=np.float32, input_name=name)
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"{name} has {Z.shape[1]} features, but {type(self).__name__} was "
                f"fitted with n_components={self._n_features_out}. Give codes as "
                "transform returns them."
            )
        return Z

    @torch.inference_mode()
    def _map(self, function, source, n_columns, random_state=0, dtype=np.float32):
        """Apply a function of tensors and a generator to all rows, in large batches."""
        out = np.empty((len(source), n_columns), dtype=dtype)
        with self._generator(random_state) as generator:
            for rows in _slices(len(source), self.n_features_in_):
                out[rows] = function(source[rows], generator).cpu().numpy()
        release_memory(self.device_)
        return out

    def _map_back(self, function, source, random_state=0):
        """Do the same with a function to what networks see, and return it as X."""
        return self._map(
            lambda x, generator: self.scaling_.invert(function(x, generator)),
            source,
            self.n_features_in_,
            random_state,
            self.scaling_.dtype,
        )

    def _draw_codes(self, n_samples, generator):
        """Draw the codes that sampling starts from: of the prior."""
        return self.net_.objective.prior(n_samples, generator)

    @contextmanager
    def _generator(self, random_state):
        """Return a generator on the device of the fitted networks."""
        random = private_generator(random_state)
        generator = torch_generator(random, self.device_)
        with undisturbed(self.device_), self.net_.global_generator(random):
            yield generator

    @property
    def encoder_(self):
        """The trained encoder E. A variational one gives means and log-variances."""
        check_is_fitted(self)
        return self.net_.model_.encoder

    @property
    def decoder_(self):
        """The trained decoder R, before the sigmoid that belongs to the loss 'bce'."""
        check_is_fitted(self)
        return self.net_.model_.decoder

    @property
    def device_(self):
        """Where the networks are."""
        check_is_fitted(self)
        return self.net_.device

    @property
    def history_(self):
        """The mean of every loss, one record of floats an epoch."""
        check_is_fitted(self)
        names = self.net_.objective.loss_names
        keys = {**{name: name for name in names}, "valid_loss": "validation_error"}
        return [
            {new: record[old] for old, new in keys.items() if old in record}
            for record in self.net_.history
        ]

    @property
    def loss_curve_(self):
        """The mean reconstruction loss of each epoch."""
        return [record["reconstruction_loss"] for record in self.history_]

    @property
    def n_epochs_(self):
        """Epochs trained so far."""
        check_is_fitted(self)
        return len(self.net_.history)

    @property
    def _n_features_out(self):
        return self.net_.structure["n_components"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # From a float32 network, more digits would be noise of the batch size.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _slices(n_rows, n_features):
    """Yield slices of the rows, in batches of bounded size."""
    step = max(1, _BATCH_VALUES // max(n_features, 2048))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def find_autoencoder(estimator, X):
    """Return a fitted autoencoder, and the data as it sees them in its pipeline.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline or search that holds one
        Of a pipeline, the last; of a search, the best. It may be frozen.

    X : array-like of shape (n_samples, n_features), or None
        What the steps before it are given.

    Raises
    ------
    TypeError
        If there is none.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, BaseAutoencoder):
        check_is_fitted(estimator)
        return estimator, X
    if isinstance(estimator, Pipeline):
        for i, step in reversed([*enumerate(estimator)]):
            if _holds_autoencoder(step):
                seen = X if X is None or i == 0 else estimator[:i].transform(X)
                return find_autoencoder(step, seen)
    raise TypeError(
        f"estimator={estimator!r} must be a fitted autoencoder of sklearn_daae, or a "
        "Pipeline or search that holds one."
    )


def _unwrapped(estimator):
    """Return what is frozen, or what a search found best; else the estimator itself."""
    if isinstance(estimator, FrozenEstimator):
        return _unwrapped(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return _unwrapped(estimator.best_estimator_)
    return estimator


def _holds_autoencoder(estimator):
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        return any(map(_holds_autoencoder, estimator))
    return isinstance(estimator, BaseAutoencoder)
