"""Runs a study far away: ships a sweep and its code to a cluster's head, and starts its driver there."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sweeps.cluster.head import Head
from sweeps.running.runtime_env import copy_code
from sweeps.sweep_file.sweep import Sweep

_CODE = ".code"
"""The folder below the shared one that holds what was shipped, each under the digest of its content."""
SWEEP = "sweep.yaml"


def run(head: Head, sweep_file: Path, sweep: Sweep, options: Sequence[str]) -> int:
    """Ship a sweep file with its code, and begin its study on the head; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
        (Path(folder) / SWEEP).write_bytes(sweep_file.read_bytes())
        shipped = _ship(head, sweep, Path(folder))
    return head.tombola(["run", f"{shipped}/{SWEEP}", "--detach", *options], {"PYTHONPATH": shipped})


def resume(head: Head, study: str, options: Sequence[str]) -> int:
    """Go on with the study that the head knows as ``study``, with the code as it is here now."""
    with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
        head.fetch(f"{study}/{SWEEP}", Path(folder))
        shipped = _ship(head, Sweep.from_file(Path(folder) / SWEEP), Path(folder))
    return head.tombola(["resume", study, "--detach", *options], {"PYTHONPATH": shipped})


def _ship(head: Head, sweep: Sweep, folder: Path) -> str:
    copy_code(sweep, folder)
    return str(head.send(folder, f"{_CODE}/{_digest(folder)}"))


def _digest(folder: Path) -> str:
    """Return what tells this folder's content from another's, in few characters."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
