"""Ctrl-C while trials run on Ray: once in good order, twice at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sweeps.running.on_ray.signals import stopping_gently


@contextmanager
def default_signals() -> Iterator[None]:
    """The handlers that a command has."""
    numbers = (signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def test_the_first_is_passed_on_to_tune_and_the_second_interrupts() -> None:
    told: list[str] = []
    asked: list[int] = []
    with default_signals():
        with stopping_gently(told.append) as is_asked:
            assert os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
            signal.signal(signal.SIGUSR1, lambda number, frame: asked.append(number))  # as Tune's loop does
            assert not is_asked()
            signal.raise_signal(signal.SIGINT)
            assert asked == [signal.SIGUSR1] and is_asked()
            assert len(told) == 1 and "Ctrl-C again" in told[0]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            assert len(told) == len(asked) == 1
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        assert "TUNE_DISABLE_SIGINT_HANDLER" not in os.environ


def test_before_tunes_loop_it_interrupts() -> None:
    told: list[str] = []
    with default_signals(), stopping_gently(told.append), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert told == []
