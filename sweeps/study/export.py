"""Take a trial's smaller network out of its study.

It becomes a folder that loads with torch and the user's own model factory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.errors import FAILED, SweepError
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.places.folders import download
from trainables.places.place import Place


def export(record: StudyRecord, trial: TrialRecord, target: Path) -> None:
    """Copy the trial's network (of its replicates the best on validation) to the folder ``target``.

    ``pruners.load(target).apply(factory())`` is the network. Raises `SweepError` where the target exists or
    the trial left no network.
    """
    check_is_new(target)
    source = network_of(record, trial)
    target.parent.mkdir(parents=True, exist_ok=True)
    download(source, target)


def network_of(record: StudyRecord, trial: TrialRecord) -> Place:
    """Return the folder of the trial's network, of its replicates the best on validation.

    Raises `SweepError` where the trial left none.
    """
    paths = StudyPaths(record.directory)
    if not trial.replicates:
        raise SweepError(
            f"Trial {trial.key} left no network ({paths.result(trial.key)} is missing or damaged).", FAILED
        )
    source = paths.network(trial.key, _best_seed(record, trial))
    if not source.is_dir():
        why = (
            "retention.networks is best"
            if record.sweep.get("retention", {}).get("networks") == "best"
            else f"{source} is missing"
        )
        raise SweepError(f"Trial {trial.key} left no network ({why}).", FAILED)
    return source


def check_is_new(target: Path) -> None:
    """Check that a network may be exported to ``target``. Raises `SweepError` where something is there."""
    if target.exists():
        raise SweepError(f"{target} exists already; give --to a new folder.")


def find(record: StudyRecord, key: str | None) -> TrialRecord:
    """Return the complete trial of that number (or baseline of that name); without one the best."""
    if key is None:
        if record.best is None:
            raise SweepError(f"{record.directory}: {_why_none(record)}", FAILED)
        return record.best
    trials = {t.key: t for t in (*record.trials, *record.baselines)}
    if key not in trials:
        last = f"the last is {record.trials[-1].key}" if record.trials else "there are none yet"
        raise SweepError(f"{record.directory}: there is no trial {key}; {last}.")
    if trials[key].outcome != "complete":
        raise SweepError(
            f"Trial {key} is not complete but {trials[key].outcome.replace('_', ' ')}: "
            "it has no network to export."
        )
    return trials[key]


def _why_none(record: StudyRecord) -> str:
    if record.nearest is None:
        return "no trial is complete yet."
    nearest = record.nearest.key
    return f"no trial keeps every constraint; the nearest is taken with --trial {nearest}."


def _best_seed(record: StudyRecord, trial: TrialRecord) -> int:
    primary = record.measured[0]

    def gain(replicate: Mapping[str, Any]) -> float:
        return primary.gain(replicate["metrics"][primary.name])

    seed: int = max(trial.replicates, key=gain)["seed"]
    return seed
