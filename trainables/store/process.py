"""Which process this is, so that another on the same machine can tell whether it still lives."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of one machine; ``started`` tells it from a later one with the same number."""

    host: str
    pid: int
    started: str


def this_process() -> Process:
    """Return the process that this code runs in."""
    return Process(_host(), os.getpid(), _started(os.getpid()) or "")


def has_ended(process: Process) -> bool:
    """Tell whether a process of this machine is gone; False of any other machine's, which cannot be told."""
    return process.host == _host() and _started(process.pid) != process.started


def _host() -> str:
    """Identify this machine since its start, and this process's PID namespace.

    Containers share the one and not the other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no /proc: nobody's death shows but by the heartbeat
        return f"{os.uname().nodename}/{time.monotonic_ns()}"


def _started(pid: int) -> str | None:
    """Return when a process of this machine started, in clock ticks; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
