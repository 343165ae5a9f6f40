"""Our own signal handlers, kept while Ray is at work."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_TUNE_LEAVES_IT = "TUNE_DISABLE_SIGINT_HANDLER"


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep our own signal handlers.

    Ray and Tune leave some behind that end the process, or swallow a Ctrl-C, when their own work is long
    done.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if _is_main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def stopping_gently(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """End Tune's loop in good order on the first Ctrl-C, and say so; a second one is a KeyboardInterrupt.

    Yields what tells whether there was one. The block holds one loop of Tune's.
    """
    if not _is_main_thread():
        yield lambda: False
        return
    left = os.environ.get(_TUNE_LEAVES_IT)
    os.environ[_TUNE_LEAVES_IT] = "1"  # its words are for those who call Tune
    unused = signal.getsignal(signal.SIGUSR1)

    is_asked = False

    def stop(number: int, frame: Any) -> None:
        nonlocal is_asked
        if is_asked or signal.getsignal(signal.SIGUSR1) is unused:
            raise KeyboardInterrupt  # or Tune's loop has not begun
        is_asked = True
        say("Stopping; what trials have done so far is kept. Ctrl-C again stops at once.")
        signal.raise_signal(signal.SIGUSR1)  # on which Tune ends its loop

    signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: is_asked
    finally:
        signal.signal(signal.SIGUSR1, unused)
        if left is None:
            del os.environ[_TUNE_LEAVES_IT]
        else:
            os.environ[_TUNE_LEAVES_IT] = left


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
