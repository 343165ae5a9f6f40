"""What happens once the trials are done: the test split is read, the best network exported, the report written."""

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from sweeps.report import write_report
from sweeps.search.prepare import Prepared
from sweeps.study import export
from sweeps.study.directory import write_atomically
from sweeps.study.load import load_record, read_tests
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord
from trainables.config import TrialConfig

ReadTest = Callable[[TrialConfig, Literal["dense", "trial"]], Mapping[str, float]]


def close(prepared: Prepared, paths: StudyPaths, url: str | None, read_test: ReadTest) -> StudyRecord:
    """Reads test for the dense network, the method's own answer and the best found, each at most once in the study's life."""
    record = load_record(paths.root, url)
    if record.best:
        _read_tests(prepared, paths, record, record.best, read_test)
        shutil.rmtree(paths.best, ignore_errors=True)
        export.export(record, record.best, paths.best)
        record = load_record(paths.root, url)
    write_report(record, paths.report)
    return record


def _read_tests(prepared: Prepared, paths: StudyPaths, record: StudyRecord, best: TrialRecord, read_test: ReadTest) -> None:
    readings = read_tests(paths)
    wanted: list[tuple[str, TrialRecord, Literal["dense", "trial"]]] = [("dense", best, "dense"), (best.key, best, "trial")]
    if record.own:
        wanted.append((record.own.key, record.own, "trial"))
    for name, trial, which in wanted:
        if name not in readings:
            reading = read_test(_config(prepared, paths, trial), which)
            readings[name] = {"key": name, **reading, "read_at": datetime.now(UTC).isoformat(timespec="seconds")}
            write_atomically(paths.test_readings, json.dumps(readings, indent=1))


def _config(prepared: Prepared, paths: StudyPaths, trial: TrialRecord) -> TrialConfig:
    if trial.key.startswith(BASELINE):
        return prepared.baseline_config(trial.key.removeprefix(BASELINE), paths)
    params: dict[str, Any] = dict(trial.params)
    return prepared.trial_config(trial.key, params, paths)
