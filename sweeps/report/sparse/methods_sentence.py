"""The sentences that say which method of a grid is ahead, and how sure that is."""

from sweeps.report.drawing.how_sure import how_sure
from sweeps.report.drawing.wording import (
    lower_name,
    mean_and_spread,
    percent,
    quality_of,
    unit_of,
    value_of,
    with_unit,
)
from sweeps.report.sparse.method_curves import (
    CONTROL_NAMES,
    MethodCurve,
    lowest_common_density,
    method_curves,
)
from sweeps.report.sparse.standing import Standing, chance_of, standing
from sweeps.study.record import StudyRecord
from trainables.metric_names import DENSITY


def methods_sentence(record: StudyRecord) -> str:
    """Say which method of a grid does best at the least density that all were run at.

    Nothing for other studies.
    """
    found = [curve for curve in method_curves(record) if curve.control == "none"]
    common = lowest_common_density(found) if found else None
    if common is None or len({curve.method for curve in found}) < 2 or record.sweep.get("method") != "grid":
        return ""
    there = standing(record, [(curve, curve.nearest(common)) for curve in found])
    said = f"With {percent(common)}\N{NARROW NO-BREAK SPACE}% of the weights, "
    said += "the fewest that every method was run with, "
    if there.all_guess:
        return f"{said}no method does better than a guess.{_guessing(record, there)}{_dense(record)}"
    first, second = there.curves[:2]
    said += (
        f"{first.label} does best: {_curve_reached(record, first, common)} {lower_name(quality_of(record))}, "
    )
    said += f"before {second.label} with {_curve_reached(record, second, common)}"
    said += f"{how_sure(there.behind[0]) if there.behind[0] else ''}."
    if len(there.tied) > 1:
        said += f" It ties with {' and '.join(there.tied)}."
    said += _guessing(record, there)
    control = {
        f.control: f
        for f in method_curves(record)
        if f.method == first.method and f.rest == first.rest and f.control != "none"
    }
    beside = [
        f"{CONTROL_NAMES[name]} {_curve_reached(record, curve, common)}"
        for name, curve in control.items()
        if percent(curve.nearest(common).metrics[DENSITY]) == percent(common)
    ]
    if beside:
        said += f" Its controls: {', '.join(beside)}."
    return said + _dense(record)


def _guessing(record: StudyRecord, there: Standing) -> str:
    """Name the methods that do no better than a guess, each with its empty layers; nothing without any."""
    named = zip(there.curves, there.trials, strict=True)
    guessing = [f"{curve.label} is {said}" for curve, t in named if (said := chance_of(record, t))]
    return f" {'. '.join(guessing)}." if guessing else ""


def _dense(record: StudyRecord) -> str:
    dense = record.dense.get(quality_of(record))
    reached = with_unit(quality_of(record), dense)
    return "" if dense is None else f" The dense network reaches {reached}."


def _curve_reached(record: StudyRecord, curve: MethodCurve, density: float) -> str:
    """Write the quality that a method's curve reaches at a density."""
    quality, trial = quality_of(record), curve.nearest(density)
    text = mean_and_spread(quality, value_of(record, trial, quality), trial.metrics.get(f"{quality}_std"))
    return f"{text}\N{NARROW NO-BREAK SPACE}{unit_of(quality)}".rstrip()
