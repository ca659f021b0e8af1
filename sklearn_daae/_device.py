"""Devices and numerical precision."""

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
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used on this machine. Devices here: "
            f"{', '.join(available_devices())}. Use one of these, or device='auto'."
        ) from error


def mixed_precision(precision, device):
    """Return the context in which a training step computes.

    The cache of cast weights is off: it would keep the bfloat16 copy of a weight
    beyond the update that changes it, within one step.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


_repeating = Lock()
_n_repeating = 0
_deterministic_before = False


@contextmanager
def repeatable_convolutions(device):
    """Have cuDNN use those of its algorithms that always give the same result.

    The setting is one for all threads: the last of them to leave puts it back.
    """
    global _n_repeating, _deterministic_before
    if device.type != "cuda":
        yield
        return
    with _repeating:
        if _n_repeating == 0:
            _deterministic_before = torch.backends.cudnn.deterministic
            torch.backends.cudnn.deterministic = True
        _n_repeating += 1
    try:
        yield
    finally:
        with _repeating:
            _n_repeating -= 1
            if _n_repeating == 0:
                torch.backends.cudnn.deterministic = _deterministic_before


def release_memory(device):
    """Give cached memory back to the device, so that other processes can have it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
