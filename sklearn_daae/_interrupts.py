"""Interrupts (Ctrl-C) that wait for a training step to end."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def held_back():
    """Hold back an interrupt of the user's, so that no step is left half taken.

    Yields a function that raises it, to be called where training may stop; the end of
    the context raises it, too. A second interrupt is not held back. Nothing is done
    where interrupts are another's business: in threads, and where Python's own handler
    has been replaced.
    """
    own = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not own
    ):
        yield lambda: None
        return
    held = []

    def hold(*arguments):
        signal.signal(signal.SIGINT, own)
        held.append(arguments)

    def release():
        if held:
            own(*held.pop())

    signal.signal(signal.SIGINT, hold)
    try:
        yield release
        release()
    finally:
        signal.signal(signal.SIGINT, own)
