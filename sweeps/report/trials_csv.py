"""All trials of a study as CSV, with all digits."""

import csv
import io
import json
from typing import Any

from sweeps.study.record import StudyRecord, TrialRecord

PARAM = "param/"
"""How the column of a parameter begins; its name follows."""


def trials_csv(record: StudyRecord) -> str:
    """Write `trial_rows` as CSV, a line each; a value not known is empty."""
    heads, rows = trial_rows(record)
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(heads)
    lines.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def trial_rows(record: StudyRecord) -> tuple[list[str], list[list[Any]]]:
    """Return the heads of a table of trials and baselines, and its rows in order of their numbers.

    Columns: ``trial``, ``outcome``, ``best`` and ``front`` (1 or 0), ``reason``, ``seconds``, the objectives
    and further metrics under their names, means over the replicates, and every parameter as ``param/<name>``.
    A value that is not known is None.
    """
    trials = (*record.trials, *record.baselines)
    objectives = [objective.name for objective in record.objectives]
    metrics = list(dict.fromkeys([*objectives, *(name for t in trials for name in t.metrics)]))
    params = list(dict.fromkeys(name for t in trials for name in t.params))
    front = {t.key for t in record.front}
    best = record.best.key if record.best else None
    heads = ["trial", "outcome", "best", "front", "reason", "seconds", *metrics, *(PARAM + n for n in params)]
    rows = []
    for trial in trials:
        figures = _figures(record, trial)
        about = [trial.key, trial.outcome, int(trial.key == best), int(trial.key in front), trial.reason]
        values = [figures.get(name) for name in metrics]
        rows.append([*about, trial.seconds, *values, *(trial.params.get(name) for name in params)])
    return heads, rows


def _figures(record: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return a trial's metrics, its objectives' values among them where it has any."""
    return record.figures(trial) if trial.values else dict(trial.metrics)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)
