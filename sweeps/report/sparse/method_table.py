"""The table of the methods at every share of the weights, and which of them is ahead there."""

from collections.abc import Sequence

from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import (
    NONE,
    lower_name,
    mean_and_spread,
    name_of,
    percent,
    quality_of,
    unit_of,
    value_of,
)
from sweeps.report.sparse.method_curves import CONTROL_NAMES, MethodCurve
from sweeps.report.sparse.standing import Standing, chance_of, standing
from sweeps.study.record import StudyRecord
from sweeps.study.selection.comparison import SURE
from trainables.metric_names import DENSITY


def method_table(record: StudyRecord, found: Sequence[MethodCurve]) -> Chart:
    """Tabulate the quality of methods and controls; what does no better than a guess is said to be so."""
    quality = quality_of(record)
    kept = sorted(
        {percent(t.metrics[DENSITY]) for curve in found for t in curve.trials},
        key=float,
        reverse=True,
    )
    rows = []
    for curve in found:
        cells = dict.fromkeys(kept, (NONE, ""))
        for trial in curve.trials:
            value = value_of(record, trial, quality)
            cells[percent(trial.metrics[DENSITY])] = (
                mean_and_spread(quality, value, trial.metrics.get(f"{quality}_std")),
                chance_of(record, trial),
            )
        detail = ", ".join(
            part
            for part in ("" if curve.control == "none" else CONTROL_NAMES[curve.control], curve.rest)
            if part
        )
        rows.append(((curve.method, detail), *cells.values()))
    ahead = [_standing(record, found, text) for text in kept]
    if any(ahead):
        rows.append((("Best", "of the methods, in the mean"), *(_best(there) for there in ahead)))
    caption = f"The {lower_name(quality)}{' in per cent' if unit_of(quality) else ''}"
    caption += (
        " ± one standard deviation over the replicates."
        if any(len(t.replicates) > 1 for t in record.complete)
        else "."
    )
    if any(ahead):
        caption += " A tie is a difference within its standard error; p is that of Student's paired t-test."
    if any(chance_of(record, trial) for curve in found for trial in curve.trials):
        caption += " At chance: no better than a guess among the classes"
        caption += f" (binomial test, one-sided, {SURE:g})."
    heads = ("Method", *(f"{text} % kept" for text in kept))
    return Chart(
        "method-table",
        f"{name_of(quality)} by method and weights kept",
        caption,
        table=Table(heads, tuple(rows)),
    )


def _standing(record: StudyRecord, found: Sequence[MethodCurve], kept: str) -> Standing | None:
    """Rank the methods, without their controls, at a share of the weights; None where there are not two."""
    there = [(curve, t) for curve in found if curve.control == "none" and (t := curve.at(kept)) is not None]
    return standing(record, there) if len(there) > 1 else None


def _best(there: Standing | None) -> tuple[str, str]:
    """Name the method that is ahead at a share of the weights, and what it ties with or is before of."""
    if there is None:
        return NONE, ""
    if there.all_guess:
        return "none", "all at chance"
    if there.tied:
        return there.curves[0].label, f"a tie with {' and '.join(there.tied)}"
    second = there.behind[0]
    sure = second and (second.chance or second.over)
    return there.curves[0].label, f"before {there.curves[1].label}{f', {sure}' if sure else ''}"
