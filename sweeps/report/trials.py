"""The table of all trials."""

from dataclasses import dataclass
from typing import Any

from sweeps.record import StudyRecord, TrialRecord
from sweeps.report.words import NONE, OUTCOMES, compact, number, plain, titled, value_of

_PARAMS_SHOWN = 6
_METRICS = ("compress/params_kept", "compress/flops_kept", "compress/error")


@dataclass(frozen=True)
class Cell:
    """What is shown and what it is sorted by."""

    text: str
    order: str
    is_number: bool = True


@dataclass(frozen=True)
class TrialRow:
    """One trial; ``mark`` is ``best``, ``own``, ``front`` or nothing."""

    cells: tuple[Cell, ...]
    outcome: str
    mark: str
    reason: str


@dataclass(frozen=True)
class TrialTable:
    """Heads and rows; ``caption`` says what was left out."""

    heads: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    caption: str


def trial_table(record: StudyRecord, importances: dict[str, float]) -> TrialTable:
    """Every trial with its values and its most important parameters."""
    objectives = [o.name for o in record.objectives]
    metrics = [m for m in _METRICS if m not in objectives and any(m in t.metrics for t in record.trials)]
    names = sorted(dict.fromkeys(name for t in record.trials for name in t.params), key=lambda name: -importances.get(name, 0.0))
    shown = names[:_PARAMS_SHOWN]
    front = {t.key for t in record.front}
    rows = tuple(
        TrialRow(
            cells=(
                Cell(t.key, t.key),
                Cell(OUTCOMES[t.outcome], t.outcome, is_number=False),
                *(_metric_cell(record, t, m) for m in (*objectives, *metrics)),
                Cell(NONE if t.seconds is None else f"{t.seconds:.1f}", "" if t.seconds is None else repr(t.seconds)),
                *(_param_cell(t.params.get(name)) for name in shown),
            ),
            outcome=t.outcome,
            mark=_mark(record, t, front),
            reason=t.reason or "",
        )
        for t in record.trials
    )
    heads = ("Trial", "Outcome", *(titled(m) for m in (*objectives, *metrics)), "Time, s", *shown)
    return TrialTable(heads, rows, _caption(len(names), bool(importances)))


def _metric_cell(record: StudyRecord, trial: TrialRecord, metric: str) -> Cell:
    value = value_of(record, trial, metric)
    return Cell(number(metric, value), "" if value is None else repr(value))


def _param_cell(value: Any) -> Cell:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(NONE if value is None else plain(value), "" if value is None else str(value), is_number)


def _mark(record: StudyRecord, trial: TrialRecord, front: set[str]) -> str:
    if record.best is not None and trial.key == record.best.key:
        return "best"
    if record.own is not None and trial.key == record.own.key:
        return "own answer"
    return "front" if trial.key in front else ""


def _caption(names: int, ranked: bool) -> str:
    caption = "Press a column's head to sort by it."
    if names > _PARAMS_SHOWN:
        order = "most important" if ranked else "first"
        caption += f" The {_PARAMS_SHOWN} {order} of {compact(names)} parameters are shown; all of them are in the study."
    return caption
