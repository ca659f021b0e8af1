"""Devices, by their names, and computing on them undisturbed."""

import os
from contextlib import contextmanager, nullcontext

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
        resolved = torch.device(device)
        if resolved.type == "cpu" and resolved.index:
            raise RuntimeError("there is one CPU")  # torch takes any number of it
        return resolved
    # Which of these depends on what was asked for (an unknown name, no name at all, a
    # build without CUDA, "meta") and on the version of torch.
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used on this machine. Devices here: "
            f"{', '.join(available_devices())}. Use one of these, or device='auto'."
        ) from error


# Whether torch has computed here for us, and whether it had before this process was
# forked. OpenMP's threads do not come along: who calls them waits for ever.
_has_computed = _lacks_threads = False


def _note_fork():
    """Have a forked process do without the threads that it would wait for."""
    global _lacks_threads
    _lacks_threads = _has_computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@contextmanager
def _one_thread():
    """Have torch compute in the thread that calls it."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@contextmanager
def undisturbed(device, *, learns):
    """Compute as if nobody had told torch to do it otherwise, for other ends.

    That is, whatever default device, autocast and mode of gradients are in force around
    it. The default dtype is that of all threads: who makes a tensor names the dtype
    instead. Where a fork has left torch's own threads behind, it is in this one alone.

    Parameters
    ----------
    device : torch.device
        Where to compute.

    learns : bool
        Whether with gradients.
    """
    global _has_computed
    _has_computed = True
    # Each of these takes as long as a small network does with a row: only where needed.
    threads = default = autocast = grad = nullcontext()
    if _lacks_threads and torch.get_num_threads() > 1:
        threads = _one_thread()
    if torch.get_default_device().type != "cpu":
        default = torch.device("cpu")
    if torch.is_autocast_enabled(device.type):
        autocast = torch.autocast(device.type, enabled=False)
    if learns:
        grad = torch.enable_grad()
    with threads, default, autocast, torch.inference_mode(not learns), grad:
        yield
