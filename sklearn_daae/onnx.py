"""Models as ONNX, for servers that have onnxruntime alone."""

import logging
import warnings
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ._base import BaseAutoencoder
from ._sklearn_compat import safe_indexing

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["register_converters", "to_onnx"]

# By this name skl2onnx knows what converts any of our models.
_ALIAS = "SklearnDaaeAutoencoder"
# The version of ONNX's operators: torch's own choice, which servers have had for long.
_OPSET = 20


def to_onnx(estimator: Any, X: ArrayLike, *, call: str | None = None) -> "ModelProto":
    """Return what a fitted estimator does with rows, as ONNX.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A model of this package, or a pipeline that holds one, of whose other steps
        skl2onnx knows the classes. Of a search, the best one is taken.

    X : array-like of shape (n_samples, n_features)
        One row or more of what the call takes; of `inverse_transform`, codes. The
        result takes any number of rows, but all of the type of these, such as float64
        or uint8. Codes are float32.

    call : {"transform", "inverse_transform", "reconstruct"}, default=None
        The call of a model, as of its `as_module`; None is "transform". A pipeline is
        exported with what its last step does, and has None.

    Returns
    -------
    proto : onnx.ModelProto
        What ``onnx.save`` writes. It has the input "X"; of a data frame that a pipeline
        is given, one for each column. The output of a model has the name of the call.
        Those of a pipeline have skl2onnx's: "variable" or, of a classifier, "label" and
        "probabilities", which of one that has no `predict_proba` are its scores.

    Raises
    ------
    ImportError
        If onnx, onnxscript or, for a pipeline, skl2onnx is not installed.

    NotFittedError
        If the estimator is not fitted.

    ValueError
        If X is not valid, if there is no such call, or if torch cannot export a network
        of the user's.

    TypeError
        If `estimator` is no estimator.

    See Also
    --------
    register_converters : For skl2onnx's own `to_onnx` and `convert_sklearn`.

    Notes
    -----
    All that the call does of scaling, of values that are missing and of the decoder's
    outputs is part of it. X is not checked any more: NaN gives NaN where no value may
    be missing.

    Results differ from the call's by rounding in float32, about 1e-7 of their scale.
    Where X is in float64, the mean is subtracted in float64: nothing is lost of
    timestamps, of which float32 has nothing to begin with. In a pipeline, other steps
    are as exact as skl2onnx makes them: an `SVC` computes in float32.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_daae import DAETransformer
    >>> from sklearn_daae.onnx import to_onnx
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = DAETransformer(2, max_epochs=1, random_state=0).fit(X)
    >>> proto = to_onnx(model, X[:1])
    >>> session = onnxruntime.InferenceSession(proto.SerializeToString())
    >>> (Z,) = session.run(["transform"], {"X": X})
    >>> Z.shape
    (150, 2)
    """
    _import("onnx", "onnxscript")
    estimator = getattr(estimator, "best_estimator_", estimator)
    check_is_fitted(estimator)
    if isinstance(estimator, BaseAutoencoder):
        if call == "inverse_transform":
            dtype = estimator._check_codes(X, "X").dtype
        else:
            dtype = estimator._rows(X).X.dtype
        return _export(estimator, "transform" if call is None else call, dtype)
    if call is not None:
        raise ValueError(
            f"call={call!r} is of a model of this package alone, but estimator is a "
            f"{type(estimator).__name__}, which is exported with what its last step "
            "does. Leave call=None, or give the step that is meant."
        )
    skl2onnx = _import("skl2onnx")
    register_converters()
    ask = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    ask(safe_indexing(X, slice(1)))  # which says what is wrong with X
    options = None
    if is_classifier(estimator):  # else probabilities come as a dict for each row
        options = {id(estimator): {"zipmap": False}}
    with _quietly():
        return skl2onnx.to_onnx(estimator, X, options=options, target_opset=_OPSET)


def register_converters() -> None:
    """Let skl2onnx convert the models of this package, as steps of pipelines too.

    What `to_onnx` does by itself. It is for skl2onnx's own `to_onnx` and
    `convert_sklearn`, which have more options, and convert a model's `transform`. Of
    classes of your own that inherit from ours, it knows those that are there by now.

    Raises
    ------
    ImportError
        If onnx, onnxscript or skl2onnx is not installed.

    See Also
    --------
    to_onnx : Converts other calls, too.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_daae import DAETransformer
    >>> from sklearn_daae.onnx import register_converters
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = DAETransformer(2, max_epochs=1, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), model).fit(X)
    >>> register_converters()
    >>> proto = skl2onnx.to_onnx(pipeline, X[:1], target_opset=18)
    """
    skl2onnx = _import("onnx", "onnxscript", "skl2onnx")
    for kind in _kinds_of(BaseAutoencoder):
        skl2onnx.update_registered_converter(
            kind, _ALIAS, _infer_shape, _convert, parser=_parse
        )


def _import(*names):
    """Return the last of some packages."""
    try:
        return [import_module(name) for name in names][-1]
    except ImportError as error:
        raise ImportError(
            f"Models are exported with {', '.join(names)}, but: {error}. Install them "
            "by: pip install 'sklearn-daae[onnx]'"
        ) from error


@contextmanager
def _quietly():
    """Keep what exporters say of their own insides from those who cannot help it."""
    logger = logging.getLogger("torch.onnx")  # which misses torchvision
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _export(model, call, dtype, opset=_OPSET):
    """Return a call of a model, of X of a type."""
    module = model.as_module(call).cpu().eval()
    n_inputs = model.n_features_in_
    if call == "inverse_transform":
        n_inputs = module.n_components
    # Two rows: one would be taken for the number that there always is.
    x = torch.from_numpy(np.zeros((2, n_inputs), dtype))
    shapes = ({0: torch.export.Dim("n_samples")},)
    try:
        with _quietly():
            # Strictly, which reads code: else `len(x)` would be a constant, as it is of
            # torch.onnx.export alone.
            program = torch.export.export(
                module, (x,), dynamic_shapes=shapes, strict=True
            )
            proto = torch.onnx.export(
                program,
                dynamic_shapes=shapes,
                input_names=["X"],
                output_names=[call],
                opset_version=opset,
                verbose=False,
            ).model_proto
    except Exception as error:
        if call == "reconstruct":
            _export(model, "transform", dtype)  # which fails if the encoder is to blame
        name = "encoder" if call == "transform" else "decoder"
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        said, *_ = str(cause).partition("\n\n")
        raise ValueError(
            f"The {name}, {type(getattr(module, name)).__name__}, cannot be exported: "
            "its forward must do the same for any rows, of any number, in operations "
            f"of torch that ONNX has. torch says: {said}"
        ) from error
    graph = proto.graph
    parts = graph.input, graph.initializer, graph.node, graph.value_info, graph.output
    for part in chain(*parts):
        part.ClearField("metadata_props")  # such as where code is on this machine
    return proto


def _kinds_of(kind):
    """Yield all classes that inherit from one."""
    for heir in kind.__subclasses__():
        yield heir
        yield from _kinds_of(heir)


def _parse(scope, model, inputs, custom_parsers=None):
    """Tell skl2onnx what a model takes and gives."""
    from skl2onnx.common.data_types import FloatTensorType

    if len(inputs) > 1:  # columns of a data frame
        concatenation = scope.declare_local_operator("SklearnConcat")
        concatenation.inputs = inputs
        inputs = [scope.declare_local_variable("columns", FloatTensorType())]
        concatenation.outputs.extend(inputs)
    operator = scope.declare_local_operator(_ALIAS, model)
    operator.inputs = inputs
    # Of float32, whatever X is of: unless told, skl2onnx takes the type of X.
    operator.outputs.append(scope.declare_local_variable("variable", FloatTensorType()))
    return operator.outputs


def _infer_shape(operator):
    """Tell skl2onnx the shape of what a model gives."""
    n_samples = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [n_samples, operator.raw_operator._n_features_out]


def _convert(scope, operator, container):
    """Add a model to what skl2onnx has converted so far."""
    from onnx.helper import tensor_dtype_to_np_dtype
    from skl2onnx.helpers import add_onnx_graph

    kind = operator.inputs[0].type.to_onnx_type().tensor_type.elem_type
    dtype, opset = tensor_dtype_to_np_dtype(kind), container.target_opset
    proto = _export(operator.raw_operator, "transform", dtype, opset)
    add_onnx_graph(scope, operator, container, proto)
