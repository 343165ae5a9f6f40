"""Read a study directory into a `StudyRecord`.

Nothing outside the directory (and the study's database) is looked at.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import BaseStorage

from sweeps.errors import FAILED, SweepError
from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import read_provenance
from sweeps.study.record import BASELINE, TARGET, Objective, Outcome, StudyRecord, TrialRecord
from sweeps.study.rows.death import DEATH
from sweeps.study.rows.row import DETAILS, REASON, TRIAL_METRICS, outcome_of, rows_by_trial, standing
from sweeps.study.screening import name_of_screening
from sweeps.study.where import answering, study_place
from sweeps.sweep_file import yaml_file
from trainables.places.place import Place, each
from trainables.results.result import TrialResult, read_result


def load_record(directory: Place | str, url: str | None = None) -> StudyRecord:
    """Load the study in ``directory``; ``url`` where its database needs a password.

    Raises `SweepError` where there is none, it is damaged or its database is away.
    """
    paths = StudyPaths(study_place(directory))
    with answering(paths.root):
        provenance = read_provenance(paths)
        with storage.reading(paths, url or provenance["storage"]) as opened:
            return _load(paths, provenance, opened)


def _load(paths: StudyPaths, provenance: dict[str, Any], opened: BaseStorage) -> StudyRecord:
    sweep = yaml_file.read(paths.sweep).data
    study = storage.load(paths, provenance["name"], opened)
    objectives = tuple(Objective(**o) for o in provenance["objectives"])
    by_trial = rows_by_trial(study)
    standings = [(root, standing(rows)) for root, rows in sorted(by_trial.items())]
    begun = [
        (root, row, Counter(each.user_attrs[DEATH] for each in by_trial[root] if DEATH in each.user_attrs))
        for root, row in standings
        if outcome_of(row) != "abandoned" or row.params
    ]
    trials = tuple(each(paths.root, lambda found: _trial(paths, *found), begun))
    baselines = tuple(
        _baseline(paths, key, sweep) for key in provenance["baselines"] if paths.result(key).exists()
    )
    own = next(
        (t for t in (*trials, *baselines) if t.key == provenance["own"] and t.outcome == "complete"), None
    )
    record = StudyRecord(
        paths.root,
        provenance["name"],
        objectives,
        provenance[TARGET],
        trials,
        baselines,
        {},
        own,
        {},
        sweep,
        provenance,
        study,
        _screened(provenance["name"], sweep, opened),
    )
    # With a searched network or training there are several dense networks;
    # the best trial's is the one to compare it with.
    first = (record.best,) if record.best else ()
    return _with_tests(replace(record, dense=_dense(paths, (*first, *trials, *baselines))), read_tests(paths))


def _screened(name: str, sweep: Mapping[str, Any], opened: BaseStorage) -> tuple[TrialRecord, ...]:
    """Return the trials that were screened so far for the study of that name, those that failed included."""
    if not sweep.get("screen"):
        return ()
    try:
        study = optuna.load_study(study_name=name_of_screening(name), storage=opened)
    except KeyError:  # it has not begun
        return ()
    found = ((root, standing(rows)) for root, rows in sorted(rows_by_trial(study).items()))
    return tuple(
        TrialRecord(
            key=str(root),
            outcome="failed" if outcome_of(row) == "failed" else "complete",
            params=row.params,
            values=tuple(row.values) if row.values else None,
            metrics=row.user_attrs.get(TRIAL_METRICS, {}),
            reason=row.user_attrs.get(REASON),
            seconds=row.duration.total_seconds() if row.duration else None,
        )
        for root, row in found
        if outcome_of(row) in ("complete", "failed")
    )


def read_tests(paths: StudyPaths) -> dict[str, dict[str, Any]]:
    """Load what the test split said so far, by network (``dense`` or a trial's key)."""
    if not paths.test_readings.exists():
        return {}
    try:
        readings: dict[str, dict[str, Any]] = json.loads(paths.test_readings.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SweepError(
            f"{paths.test_readings}: damaged ({error}); delete it to have the test split read again.", FAILED
        ) from error
    return readings


def dense_reading(best: TrialRecord) -> str:
    """Name the reading of the dense network that ``best`` was made from.

    The name is the same for all trials that share that network.
    """
    searched = {
        name: value for name, value in sorted(best.params.items()) if name.startswith(("task.", "training."))
    }
    return "dense" + "".join(f" {name}={value}" for name, value in searched.items())


def _dense(paths: StudyPaths, trials: Iterable[TrialRecord]) -> dict[str, float]:
    """Return the dense network's metrics, from the first of ``trials`` that tells them."""
    results = (read_result(paths.result(t.key)) for t in trials if t.outcome == "complete")
    return next((result.dense for result in results if result), {})


def _with_tests(record: StudyRecord, readings: Mapping[str, Mapping[str, Any]]) -> StudyRecord:
    keys = {role: t.key for role, t in (("own", record.own), ("best", record.best)) if t}
    keys |= {baseline.key: baseline.key for baseline in record.baselines}
    if record.best:
        keys["dense"] = dense_reading(record.best)
    test = {role: readings[key] for role, key in keys.items() if key in readings}
    return replace(record, test=test)


def _trial(
    paths: StudyPaths, root: int, row: optuna.trial.FrozenTrial, deaths: Mapping[str, int]
) -> TrialRecord:
    outcome = outcome_of(row)
    state: Any = "waiting" if outcome == "abandoned" else outcome
    result = read_result(paths.result(root)) if outcome == "complete" else None
    return TrialRecord(
        key=str(root),
        outcome=state,
        params=row.params,
        values=tuple(row.values) if row.values else None,
        metrics=row.user_attrs.get(TRIAL_METRICS, {}),
        layers=result.layers if result else {},
        curves=result.curves if result else {},
        validation=result.validation if result else {},
        replicates=result.replicates if result else (),
        intermediate=row.intermediate_values,
        history=result.history if result else (),
        levels=result.levels if result else (),
        reason=row.user_attrs.get(REASON),
        seconds=row.user_attrs.get(DETAILS, {}).get("seconds"),
        deaths=deaths,
        stage_seconds=result.stage_seconds if result else {},
        epochs_alone=result.epochs_alone if result else None,
    )


def _baseline(paths: StudyPaths, key: str, sweep: Mapping[str, Any]) -> TrialRecord:
    result = read_result(paths.result(key)) or TrialResult(key, {}, failed="its result is damaged")
    outcome: Outcome = "failed" if result.failed else "complete"
    return TrialRecord(
        key=key,
        outcome=outcome,
        metrics=result.metrics,
        layers=result.layers,
        curves=result.curves,
        validation=result.validation,
        replicates=result.replicates,
        history=result.history,
        levels=result.levels,
        reason=result.failed,
        params=_settings(key.removeprefix(BASELINE), sweep),
        stage_seconds=result.stage_seconds,
        epochs_alone=result.epochs_alone,
    )


def _settings(name: str, sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Return a baseline's method and its own options, as settings by their dotted keys."""
    listed = [b for b in sweep.get("baselines", ()) if isinstance(b, Mapping) and b["name"] == name]
    given: Mapping[str, Any] = listed[0] if listed else {"method": _own_method(name, sweep)}
    options = {f"compression.options.{key}": value for key, value in given.get("options", {}).items()}
    return {"compression.method": given["method"], **options}


def _own_method(name: str, sweep: Mapping[str, Any]) -> str:
    """Return the sweep's own method that a baseline of this name is; one of the user's is called by class."""
    searched = (sweep.get("parameters") or {}).get("compression.method") or {}
    values = [one["value"] if isinstance(one, Mapping) else one for one in searched.get("values", ())]
    own = [*values, (sweep.get("compression") or {}).get("method", name)]
    return next((str(method) for method in own if str(method).rpartition(":")[2] == name), name)
