"""Devices and numerical precision."""

import warnings
from contextlib import contextmanager, nullcontext
from threading import Lock

import torch


def available_devices():
    """Return the names of the devices on this machine, the fastest first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def resolve_device(device):
    """Return the `torch.device` that the parameter `device` asks for.

    Raises
    ------
    ValueError
        If it is not the name of a device, or that device cannot be used here.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device(available_devices()[0])
    try:
        # Reading a value back is what tells a device that is there from one that
        # only has a name, for every kind of device that torch knows.
        torch.zeros(1, device=device).item()
        return torch.device(device)
    # Which of these depends on what was asked for (an unknown name, no name at all, a
    # build without CUDA, "meta") and on the version of torch.
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used on this machine. Devices here: "
            f"{', '.join(available_devices())}. Use one of these, or device='auto'."
        ) from error


def warn_of_slow_precision(precision, device):
    """Warn where a CPU has no products of bfloat16: torch then takes far longer."""
    if (
        precision == "bfloat16"
        and device.type == "cpu"
        and not _has_bfloat16_products()
    ):
        warnings.warn(
            "precision='bfloat16' is many times slower than 'float32' on this CPU, "
            "which has no instructions for it (AVX-512 on x86). Use "
            "precision='float32' here.",
            stacklevel=2,
        )


def _has_bfloat16_products():
    """Tell whether oneDNN multiplies matrices of bfloat16 on this CPU."""
    # What torch's own compiler asks; where it is not there, nothing is known.
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is None or ask()


@contextmanager
def undisturbed(device):
    """Compute as if nobody had told torch to do it otherwise, for other ends.

    That is, whatever default device and autocast are in force around it. The default
    dtype is that of all threads: who makes a tensor names the dtype instead.
    """
    default = nullcontext()
    if torch.get_default_device().type != "cpu":
        default = torch.device("cpu")
    with default, torch.autocast(device.type, enabled=False):
        yield


def mixed_precision(precision, device):
    """Return the context in which a training step computes.

    The cache of cast weights is off: it would keep the bfloat16 copy of a weight
    beyond the update that changes it, within one step.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


_training = Lock()
_n_training = 0
_before: dict[str, object] = {}


@contextmanager
def training_arithmetic(device):
    """Have a GPU compute what training needs: always the same, and fast.

    cuDNN uses those of its algorithms that repeat their results, and products of
    float32 matrices take TF32, of 10 bits after the leading one, where a GPU has it.
    The settings are those of all threads: the last one to leave puts them back.
    """
    global _n_training
    if device.type != "cuda":
        yield
        return
    with _training:
        if _n_training == 0:
            _before["deterministic"] = torch.backends.cudnn.deterministic
            _before["precision"] = torch.backends.cuda.matmul.fp32_precision
            torch.backends.cudnn.deterministic = True
            torch.backends.cuda.matmul.fp32_precision = "tf32"
        _n_training += 1
    try:
        yield
    finally:
        with _training:
            _n_training -= 1
            if _n_training == 0:
                torch.backends.cudnn.deterministic = _before["deterministic"]
                torch.backends.cuda.matmul.fp32_precision = _before["precision"]


def keep_freed_memory():
    """Have the C library keep the memory that a training step frees, for the next one.

    glibc's gives the end of the heap back to the system whenever more is free there
    than twice the largest block that has been freed, and each page that is then used
    again has to be made anew. The block freed here is the largest that counts, 32 MiB;
    nothing is written to it, so that it costs nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def release_memory(device):
    """Give cached memory back to the device, so that other processes can have it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
