"""What study.json says of where and how the study was run."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sweeps.errors import FAILED, SweepError
from sweeps.study.paths import StudyPaths
from trainables.places.place import write_whole

_ALWAYS_THERE = ("name", "objectives", "baselines", "own", "target", "id", "storage")


def read_provenance(paths: StudyPaths) -> dict[str, Any]:
    """Load study.json.

    Raises `SweepError` where the directory holds no study, or a damaged one.
    """
    if not paths.root.is_dir():
        raise SweepError(f"{paths.root}: no such study directory.")
    if not paths.provenance.exists():
        raise SweepError(f"{paths.root}: holds no study ({paths.provenance.name} is missing).")
    try:
        provenance: dict[str, Any] = json.loads(paths.provenance.read_text(encoding="utf-8"))
        _ = [provenance[name] for name in _ALWAYS_THERE]
    except (ValueError, KeyError, TypeError) as error:
        raise SweepError(
            f"{paths.provenance}: damaged ({error}); the trials and the journal beside it are untouched.",
            FAILED,
        ) from error
    return provenance


def note(paths: StudyPaths, provenance: dict[str, Any], facts: Mapping[str, Any]) -> None:
    """Write what turned out while the study ran into study.json, and into ``provenance`` as it stands there.

    Whoever goes on with the study begins without it.
    """
    provenance |= facts
    write_whole(paths.provenance, json.dumps(provenance, indent=1).encode())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    packages = ("tombola", "torch", "torchvision", "ray", "optuna", "wandb")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def machine() -> dict[str, Any]:
    """Describe the driver's machine: its processor, its cores, its system."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    named = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return {"processor": named or platform.machine(), "cores": os.cpu_count(), "system": platform.system()}


def git_commit() -> str | None:
    """Return the commit of the user's project, where the command is given inside one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
