"""The end of a run: the test split is read, the best network exported, the report written."""

import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sweeps.report import write_report
from sweeps.search.prepare import Prepared
from sweeps.study import export
from sweeps.study.database.patience import Patience
from sweeps.study.load import dense_reading, load_record, read_tests
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.config import TrialConfig
from trainables.places.folders import remove_tree, upload
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place, write_whole

ReadTest = Callable[[TrialConfig, Literal["dense", "trial"]], Mapping[str, float]]


def close(
    prepared: Prepared, paths: StudyPaths, url: str | None, read_test: ReadTest, patience: Patience
) -> StudyRecord:
    """Read test, export the best network and write the report, and return the record that the report shows.

    Test is read for the dense network, the baselines, the method's own answer and the best found, each at
    most once in the study's life.
    """
    record = patience.insist(lambda: load_record(paths.root, url))
    try:
        if record.best:
            _keep_best(record, record.best, paths.best)
            _read_tests(prepared, paths, record, read_test)
    finally:
        record = patience.insist(lambda: load_record(paths.root, url))
        patience.insist(lambda: write_report(record, paths.report))
    return record


def _keep_best(record: StudyRecord, trial: TrialRecord, best: Place) -> None:
    """Make ``best`` the folder of the trial's network."""
    if isinstance(best, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="tombola-") as temporary:
            fresh = Path(temporary) / best.name
            export.export(record, trial, fresh)
            remove_tree(best)
            upload(fresh, best)
        return
    fresh = best.with_name(f".{best.name}.new")
    remove_tree(fresh)
    export.export(record, trial, fresh)
    remove_tree(best)
    fresh.rename(best)


def unread(
    prepared: Prepared, paths: StudyPaths, record: StudyRecord
) -> list[tuple[str, TrialConfig, Literal["dense", "trial"]]]:
    """Return the readings of test that are still owed, by name.

    They are of the best found, its dense network, the method's own answer and every baseline.
    """
    if not record.best:
        return []
    readings = read_tests(paths)
    owed: list[tuple[str, TrialConfig, Literal["dense", "trial"]]] = []
    best = _config(prepared, paths, record.best)
    if best.dense_reference:
        owed.append((dense_reading(record.best), best, "dense"))
    baselines = [t for t in record.baselines if t.outcome == "complete" and paths.networks(t.key).exists()]
    trials = {t.key: t for t in (record.best, record.own, *baselines) if t}
    owed += [(key, _config(prepared, paths, trial), "trial") for key, trial in trials.items()]
    return [reading for reading in owed if reading[0] not in readings]


def _read_tests(prepared: Prepared, paths: StudyPaths, record: StudyRecord, read_test: ReadTest) -> None:
    for name, config, which in unread(prepared, paths, record):
        reading = read_test(config, which)
        key = "dense" if which == "dense" else name
        readings = read_tests(paths) | {
            name: {"key": key, **reading, "read_at": datetime.now(UTC).isoformat(timespec="seconds")}
        }
        write_whole(paths.test_readings, json.dumps(readings, indent=1).encode())


def _config(prepared: Prepared, paths: StudyPaths, trial: TrialRecord) -> TrialConfig:
    return prepared.trial_config(trial.key, dict(trial.params), paths)
