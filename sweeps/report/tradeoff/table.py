"""The table of what each method reaches at each budget."""

import statistics
from collections.abc import Sequence
from typing import Any

from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import (
    NONE,
    difference,
    lower_name,
    mean_and_spread,
    name_of,
    plain,
    quality_of,
    unit_of,
    value_of,
)
from sweeps.report.tradeoff.curves import Gain, Tradeoff, budget_of, gains
from sweeps.study.record import StudyRecord, TrialRecord

_CROSS = "\N{MULTIPLICATION SIGN}"
_TIMES: tuple[Gain, ...] = ("compression", "theoretical speed-up", "measured speed-up")


def tradeoff_table(record: StudyRecord, found: Sequence[Tradeoff]) -> Chart:
    """Tabulate quality, its change from the dense network, compression and speed-ups by method and budget."""
    quality = quality_of(record)
    budgets = _budgets(record, found)
    rows = []
    for curve in found:
        cells = [_cell(record, curve.at(budget, record)) for budget in budgets]
        rows.append(((curve.label, ""), *cells))
    unit = " in per cent" if unit_of(quality) else ""
    caption = f"The {lower_name(quality)}{unit}"
    if any(len(t.replicates) > 1 for curve in found for t in curve.trials):
        caption += " ± one standard deviation over the replicates"
    change = "the change from the dense network, and " if quality in record.dense else ""
    caption += (
        f"; below it {change}how many times fewer parameters, fewer multiply-adds and less time that is."
    )
    heads = ("Method", *(_head(record, found, budget) for budget in budgets))
    title = f"{name_of(quality)} by method and budget"
    return Chart("tradeoff-table", title, caption, table=Table(heads, tuple(rows)))


def _budgets(record: StudyRecord, found: Sequence[Tradeoff]) -> list[tuple[str, Any]]:
    """Return the budgets of the trials, the largest first."""
    given = {budget_of(record, t) for curve in found for t in curve.trials}
    return sorted(given, key=lambda budget: (budget[0], -(budget[1] or 0)))


def _head(record: StudyRecord, found: Sequence[Tradeoff], budget: tuple[str, Any]) -> str:
    key, value = budget
    times = [
        gains(record, t)["compression"] for c in found for t in c.trials if budget_of(record, t) == budget
    ]
    return f"{key.rpartition('.')[2]} {plain(value)} (about {statistics.median(times):.2g} times)"


def _cell(record: StudyRecord, trial: TrialRecord | None) -> tuple[str, str]:
    if trial is None:
        return NONE, ""
    quality = quality_of(record)
    value = value_of(record, trial, quality)
    text = mean_and_spread(quality, value, trial.metrics.get(f"{quality}_std"))
    times = gains(record, trial)
    told = " ".join(f"{times[gain]:.3g}{_CROSS}" if gain in times else NONE for gain in _TIMES)
    if (dense := record.dense.get(quality)) is not None and value is not None:
        told = f"{difference(quality, value - dense)}; {told}"
    return text, told
