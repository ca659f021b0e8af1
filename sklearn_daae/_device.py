"""Devices, by their names."""

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


@contextmanager
def undisturbed(device, *, learns):
    """Compute as if nobody had told torch to do it otherwise, for other ends.

    That is, whatever default device, autocast and mode of gradients are in force around
    it. The default dtype is that of all threads: who makes a tensor names the dtype
    instead.

    Parameters
    ----------
    device : torch.device
        Where to compute.

    learns : bool
        Whether with gradients.
    """
    # Each of these takes as long as a small network does with a row: only where needed.
    default = autocast = grad = nullcontext()
    if torch.get_default_device().type != "cpu":
        default = torch.device("cpu")
    if torch.is_autocast_enabled(device.type):
        autocast = torch.autocast(device.type, enabled=False)
    if learns:
        grad = torch.enable_grad()
    with default, autocast, torch.inference_mode(not learns), grad:
        yield
