"""SIGTERM and Ctrl-C as a question that a job asks when it can stop."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C has come, which for the time being ends nothing.

    A second Ctrl-C ends the process at once; where Ctrl-C is ignored, as in a background job of a
    shell, it stays so.
    """
    came = False
    signs = (signal.SIGTERM, signal.SIGINT)
    before = {sign: signal.getsignal(sign) for sign in signs}
    before = {sign: handler for sign, handler in before.items() if handler != signal.SIG_IGN}

    def note(number: int, frame: object) -> None:  # noqa: ARG001  as signal wants it
        nonlocal came
        came = True
        # Unlike print, of use in the middle of anything.
        os.write(2, b"asked to stop: saves and stops after this step\n")
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    # Only a process's main thread may handle signals; tests and notebooks have others.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    try:
        for sign in before:
            signal.signal(sign, note)
        yield lambda: came
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
