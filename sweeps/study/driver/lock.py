"""What every lock on a study offers, whether it lies in a folder, a database or an object store."""

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sweeps.errors import FAILED, SweepError


class TakenOver(SweepError):
    """What a driver hears that gave no sign of life for so long that another took its study over."""

    def __init__(self, where: str, driver: "Driver | None" = None):
        who = "another driver" if driver is None else str(driver)
        super().__init__(
            f"{where}: {who} has taken this study over, since this one was not heard of for too long. "
            "It stops here; nothing that had ended is lost.",
            FAILED,
        )


@dataclass(frozen=True)
class Driver:
    """The process that drives a study.

    ``since`` is told by its own machine's clock, to be shown and never to be compared. ``heard`` is False
    where it gives no sign of life just now.
    """

    host: str
    pid: int
    since: str
    heard: bool = True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class DriverLock(Protocol):
    """Lets one driver at a time have a study."""

    def hold(self) -> AbstractContextManager[Callable[[], None]]:
        """Hold the study for the length of the block, or raise a `SweepError` that names who has it.

        Yields a function to be called before each write, which raises `TakenOver` once another driver has
        taken over; it is cheap.
        """

    def driver(self) -> Driver | None:
        """Return the driver that has the study now; None where nobody has."""


def this_driver() -> Driver:
    """Return this very process as a driver that begins now."""
    return Driver(socket.gethostname(), os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"))


def taken(where: str, driver: Driver) -> SweepError:
    """Return what is said to a second driver."""
    return SweepError(
        f"{where}: this study is already being run by {driver}, since {driver.since}. "
        "Wait for it, or stop it first.",
        FAILED,
    )
