"""Runs a study far away: ships a sweep and its code to a cluster's head, and starts its driver there."""

import hashlib
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from sweeps.cluster.head import Head
from sweeps.running.on_ray.runtime_env import copy_code
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
        (Path(folder) / SWEEP).write_text(head.read(study, SWEEP))
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


def fetch_report(head: Head, study: str, options: Sequence[str], into: Path) -> str:
    """Write a study's report again on the head, and bring it here; returns what else the command says.

    Raises `SweepError` where it cannot be written.
    """
    said = head.asked(["tombola", "report", study, *options])
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(head.read(study, "report.html"))
    return said.partition("\n")[2].strip()


def fetch_network(head: Head, study: str, options: Sequence[str], into: Path) -> str:
    """Export a trial's network on the head and bring it here; returns what the export says.

    Raises `SweepError` where there is none.
    """
    name = f"{_CODE}/export-{uuid.uuid4().hex[:12]}"
    said = head.asked(["tombola", "export", study, "--to", name, *options])
    try:
        head.fetch(name, into)
    finally:
        head.asked(["rm", "-rf", name])
    return said.replace(name, str(into))
