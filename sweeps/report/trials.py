"""The table of all trials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.report.drawing.wording import NONE, OUTCOMES, compact, number, plain, titled, value_of
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.metric_names import (
    BYTES_KEPT,
    DENSITY,
    FLOPS_KEPT,
    INT8_DIVERGENCE,
    LARGEST_ERROR,
    LATENCY_MS,
    PARAMS_KEPT,
)

_PARAMS_SHOWN = 6
_ROWS_SHOWN = 1_000  # more of them make a page that a browser is slow with
_METRICS = (DENSITY, PARAMS_KEPT, BYTES_KEPT, FLOPS_KEPT, LARGEST_ERROR)


@dataclass(frozen=True)
class Cell:
    """What is shown and what it is sorted by (nothing: last)."""

    text: str
    order: str = ""
    is_number: bool = True


@dataclass(frozen=True)
class TrialRow:
    """One trial; ``outcome`` as the record has it, ``word`` as a reader.

    ``mark`` is ``best``, ``own answer``, ``front`` or nothing.
    """

    key: str
    outcome: str
    word: str
    mark: str
    reason: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TrialTable:
    """Heads and rows; ``caption`` says what was left out."""

    heads: tuple[Cell, ...]
    rows: tuple[TrialRow, ...]
    caption: str


def trial_table(record: StudyRecord, importances: dict[str, float]) -> TrialTable:
    """Tabulate the trials with their values and their most important parameters.

    Of very many they are the best and the latest, and whichever is marked.
    """
    trials = _rows_shown(record)
    objectives = [o.name for o in record.objectives]
    metrics = (
        *objectives,
        *(m for m in _METRICS if m not in objectives and any(m in t.metrics for t in record.trials)),
        # by itself the time of one trial says little; that int8 takes another is why it is asked for
        *(
            [LATENCY_MS]
            if LATENCY_MS not in objectives and any(INT8_DIVERGENCE in t.metrics for t in record.trials)
            else []
        ),
    )
    names = sorted(
        dict.fromkeys(name for t in record.trials for name in t.params),
        key=lambda name: -importances.get(name, 0.0),
    )
    shown = names[:_PARAMS_SHOWN]
    columns = [
        *([_metric_cell(record, t, m) for t in trials] for m in metrics),
        [Cell(NONE) if t.seconds is None else Cell(f"{t.seconds:.1f}", repr(t.seconds)) for t in trials],
        *([_param_cell(t.params.get(name)) for t in trials] for name in shown),
    ]
    front = {t.key for t in record.front} if len(objectives) > 1 else set()
    rows = tuple(
        TrialRow(
            t.key, t.outcome, OUTCOMES[t.outcome], _mark(record, t, front), _reason(record, t), tuple(cells)
        )
        for t, cells in zip(trials, zip(*columns, strict=True), strict=True)
    )
    titles = (*(titled(m) for m in metrics), "Time, s", *shown)
    numeric = [all(cell.is_number for cell in column) for column in columns]
    heads = (
        Cell("Trial"),
        Cell("Outcome", is_number=False),
        *(Cell(title, is_number=n) for title, n in zip(titles, numeric, strict=True)),
    )
    caption = _caption(len(names), bool(importances))
    if len(trials) < len(record.trials):
        caption += f" Of {compact(len(record.trials))} trials the best and the latest are shown."
    return TrialTable(heads, rows, caption)


def _rows_shown(record: StudyRecord) -> Sequence[TrialRecord]:
    """Return all trials; of very many the best by the first objective, the marked ones and the latest."""
    if len(record.trials) <= _ROWS_SHOWN:
        return record.trials
    gain = record.objectives[0].gain
    best = sorted(record.complete, key=lambda t: -gain((t.values or (math.nan,))[0]))[: _ROWS_SHOWN // 2]
    front = record.front[: _ROWS_SHOWN // 4] if len(record.objectives) > 1 else ()
    marked = [t for t in (record.best, record.own, *front) if t]
    keys = {t.key for t in (*best, *marked)}
    latest = [t for t in reversed(record.trials) if t.key not in keys][: _ROWS_SHOWN - len(keys)]
    keys |= {t.key for t in latest}
    return [t for t in record.trials if t.key in keys]


def _metric_cell(record: StudyRecord, trial: TrialRecord, metric: str) -> Cell:
    value = value_of(record, trial, metric)
    return Cell(NONE) if value is None else Cell(number(metric, value), repr(value))


def _param_cell(value: Any) -> Cell:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(NONE) if value is None else Cell(plain(value), str(value), is_number)


def _reason(record: StudyRecord, trial: TrialRecord) -> str:
    """Return why a trial has no value, or which constraints it misses."""
    missed = record.misses(trial) if trial.outcome == "complete" else ""
    return trial.reason or (f"misses {missed}" if missed else "")


def _mark(record: StudyRecord, trial: TrialRecord, front: set[str]) -> str:
    if record.best is not None and trial.key == record.best.key:
        return "best"
    if record.own is not None and trial.key == record.own.key:
        return "own answer"
    return "front" if trial.key in front else ""


def _caption(names: int, ranked: bool) -> str:
    caption = "Press a column's head to sort by it."
    if names > _PARAMS_SHOWN:
        order = f"{_PARAMS_SHOWN} most important" if ranked else f"first {_PARAMS_SHOWN}"
        caption += f" The {order} of {compact(names)} parameters are shown; all of them are in the study."
    return caption
