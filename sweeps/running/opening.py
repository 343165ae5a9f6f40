"""Open a study directory for one driver: begin it, or go on with what it holds."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import optuna

from sweeps.errors import SweepError
from sweeps.search.prepare import Prepared
from sweeps.search.unreached import unreached
from sweeps.study import storage
from sweeps.study.database.url import without_password
from sweeps.study.driver.held import HeldStorage
from sweeps.study.ledger import Ledger, enqueue
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import git_commit, machine, read_provenance, versions
from sweeps.study.record import BASELINE, TARGET, TIME_IS_UP
from sweeps.sweep_file import yaml_file
from sweeps.sweep_file.sweep import Sweep
from trainables.places.place import write_whole

_MAY_CHANGE = (
    "run_cap",
    "screen.trials",
    "time_limit",
    "stop_after_failures",
    "enqueue",
    "resources",
    "description",
    "project",
    "entity",
    "storage",
    "baselines",
    "choose",
    "retention",
    "wandb",
)
"""Keys that may differ when a study is continued.

They change how much is run and kept, and where, not what a trial is.
"""
_MAY_NOT = ("resources.processes",)
"""Keys below those that are no less a part of what a trial is."""


def begin(paths: StudyPaths, prepared: Prepared) -> dict[str, Any]:
    """Write the sweep and its provenance, or check that the directory holds this very sweep.

    Returns the provenance as it now stands.

    Only the driver that holds the lock may call this. Raises `SweepError` where the directory belongs to
    another sweep, or its study cannot be opened; nothing is written then.
    """
    sweep = prepared.sweep
    if paths.sweep.exists():
        _same_sweep(paths, sweep)
    storage.check(paths, sweep.file.name, sweep.file.storage.study)
    if paths.provenance.exists():
        provenance = read_provenance(paths)
    else:
        provenance = {
            "format": 1,
            "id": uuid.uuid4().hex[:12],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    provenance |= {
        "name": sweep.file.name,
        "objectives": [m.model_dump() for m in sweep.file.objectives],
        TARGET: prepared.target,
        "seed": sweep.file.seed,
        "own": "0" if prepared.first_trial else prepared.own_baseline,
        "unreached": unreached(prepared),
        "baselines": [BASELINE + baseline.name for baseline in prepared.baselines],
        "storage": _shown(sweep),
        "versions": versions(),
        "machine": machine(),
        TIME_IS_UP: False,
        "git_commit": git_commit(),
    }
    write_whole(paths.sweep, _dumped(sweep).encode())
    write_whole(paths.provenance, json.dumps(provenance, indent=1).encode())
    return provenance


def enqueue_first(study: optuna.Study, prepared: Prepared) -> None:
    """Put into the study's queue what is tried first, the method's own answer at its head; once only."""
    if prepared.first_trial and not study.get_trials(deepcopy=False):
        study.enqueue_trial(prepared.first_trial)
    enqueue(study, prepared.enqueued)


def ledger(
    study: optuna.Study,
    prepared: Prepared,
    held: HeldStorage,
    finished_result: Callable[[int], Mapping[str, Any] | None],
) -> Ledger:
    """Return the ledger of a study that this driver holds; ``finished_result`` is as `Ledger` takes it."""
    return Ledger(
        study,
        prepared.space,
        prepared.sampler,
        prepared.violation,
        finished_result,
        held.check,
        held.patience,
    )


def _same_sweep(paths: StudyPaths, sweep: Sweep) -> None:
    # Resolved once more: a key that came with a newer version of ours has its default in both.
    held = yaml_file.parse(_dumped(Sweep.from_file(paths.sweep)), str(paths.sweep)).data
    now = yaml_file.parse(_dumped(sweep), sweep.source.name).data
    _same_baselines(paths, held, now)
    for key in differences(held, now):
        if key in _MAY_NOT or not {key, key.split(".")[0]} & {*_MAY_CHANGE}:
            raise SweepError(
                f'{paths.root}: holds a study of another sweep: "{key}" differs. '
                "Give --out another folder, or set it back to go on with that study."
            )


def _same_baselines(paths: StudyPaths, held: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a baseline that has run is still what it was: its result goes by its name alone."""
    ran = {b["name"]: b for b in held["baselines"] if paths.result(BASELINE + b["name"]).exists()}
    for baseline in now["baselines"]:
        if baseline["name"] in ran and ran[baseline["name"]] != baseline:
            raise SweepError(
                f'{paths.root}: the baseline "{baseline["name"]}" has run with another method or options. '
                "Give the new one another name."
            )


def differences(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys at which two trees of plain data differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}, key=str):
            yield from differences(one.get(key), other.get(key), f"{prefix}{key}.")
    elif one != other:
        yield prefix.rstrip(".")


def _dumped(sweep: Sweep) -> str:
    data = sweep.resolved()
    if sweep.file.storage.study:
        data["storage"] = {**data["storage"], "study": _shown(sweep)}
    return yaml_file.dumped(data)


def _shown(sweep: Sweep) -> str | None:
    url = sweep.file.storage.study
    return without_password(url) if url else None
