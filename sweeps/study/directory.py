"""Opens a study directory for one driver: begins it, or goes on with what it holds."""

import json
import os
import platform
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sweeps.errors import SweepError
from sweeps.search.prepare import Prepared
from sweeps.search.unreached import unreached
from sweeps.study import storage
from sweeps.study.load import read_provenance
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE, TIME_IS_UP
from sweeps.sweep_file import yaml_file
from sweeps.sweep_file.sweep import Sweep

_MAY_CHANGE = (
    "run_cap",
    "time_limit",
    "stop_after_failures",
    "enqueue",
    "resources",
    "description",
    "project",
    "entity",
    "storage",
    "baselines",
    "retention",
)
"""Keys that may differ when a study is continued: they change how much is run and kept, and where, not what a trial is."""


def begin(paths: StudyPaths, prepared: Prepared) -> dict[str, Any]:
    """Writes the sweep and its provenance, or checks that the directory holds this very sweep; the provenance as it now stands.

    Only the driver that holds the lock may call this. Raises `SweepError` where the directory belongs to another sweep, or its
    study cannot be opened; nothing is written then.
    """
    sweep = prepared.sweep
    if paths.sweep.exists():
        _same_sweep(paths, sweep)
    storage.check(paths, sweep.file.name, sweep.file.storage.study)
    if paths.provenance.exists():
        provenance = read_provenance(paths)
    else:
        provenance = {"format": 1, "id": uuid.uuid4().hex[:12], "created": datetime.now(UTC).isoformat(timespec="seconds")}
    provenance |= {
        "name": sweep.file.name,
        "objectives": [m.model_dump() for m in sweep.file.objectives],
        "target": prepared.target,
        "seed": sweep.file.seed,
        "own": _own(prepared),
        "unreached": unreached(prepared),
        "baselines": [BASELINE + method for method in prepared.baselines],
        "storage": storage.without_password(sweep.file.storage.study),
        "versions": versions(),
        "machine": machine(),
        TIME_IS_UP: False,
        "git_commit": _git_commit(),
    }
    write_atomically(paths.sweep, _dumped(sweep))
    write_atomically(paths.provenance, json.dumps(provenance, indent=1))
    return provenance


def note_that_time_is_up(paths: StudyPaths, provenance: Mapping[str, Any]) -> None:
    """Write into study.json that the sweep's time limit ended this run; whoever goes on with the study takes it back."""
    write_atomically(paths.provenance, json.dumps({**provenance, TIME_IS_UP: True}, indent=1))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    packages = ("tombola", "torch", "torchvision", "ray", "optuna", "wandb")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def machine() -> dict[str, Any]:
    """The driver's machine: its processor, its cores, its system."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": named or platform.machine(), "cores": os.cpu_count(), "system": platform.system()}


def write_atomically(path: Path, text: str) -> None:
    """A reader, or a successor after a crash, sees the old text or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".new")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def _own(prepared: Prepared) -> str | None:
    if prepared.first_trial:
        return "0"
    method = prepared.sweep.file.compression.get("method")
    return BASELINE + method if method in prepared.baselines else None


def _same_sweep(paths: StudyPaths, sweep: Sweep) -> None:
    # Resolved once more: a key that came with a newer version of ours has its default in both.
    held = yaml_file.parse(_dumped(Sweep.from_file(paths.sweep)), str(paths.sweep)).data
    now = yaml_file.parse(_dumped(sweep), sweep.source.name).data
    for key in differences(held, now):
        if key.split(".")[0] not in _MAY_CHANGE:
            raise SweepError(
                f'{paths.root}: holds a study of another sweep: "{key}" differs. '
                "Give --out another folder, or set it back to go on with that study."
            )


def differences(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys at which two trees of plain data differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}, key=str):
            yield from differences(one.get(key), other.get(key), f"{prefix}{key}.")
    elif one != other:
        yield prefix.rstrip(".")


def _dumped(sweep: Sweep) -> str:
    data = sweep.resolved()
    if sweep.file.storage.study:
        data["storage"] = {**data["storage"], "study": storage.without_password(sweep.file.storage.study)}
    return yaml_file.dumped(data)


def _git_commit() -> str | None:
    """The commit of the user's project, where the command is given inside one."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
