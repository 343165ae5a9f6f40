"""How sure it is that the best is the best, in sentences."""

from sweeps.report.drawing.how_sure import how_sure
from sweeps.report.drawing.wording import (
    count,
    difference,
    lower_name,
    number,
    points_of,
    scaled,
    value_of,
)
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.selection.comparison import SURE, Comparison


def against_own(record: StudyRecord, best: TrialRecord) -> str:
    """Say by how much the best is ahead of the method's own answer on validation and on test, and how sure.

    Nothing where there is no such answer, or it is the best itself.
    """
    metric = record.measured[0].name
    found = {"validation": record.compared(best.key, "val"), "test": record.compared(best.key, "test")}
    told = [
        f"{difference(metric, one.difference)}{points_of(metric)} on {split}"
        + (_sure_of_picked(record, one) if split == "validation" else how_sure(one))
        for split, one in found.items()
        if one
    ]
    return f"Against the method's own answer: {'; '.join(told)}." if told else ""


def _sure_of_picked(record: StudyRecord, found: Comparison) -> str:
    """Say how sure a difference of the best is on the split by which it was picked.

    One of many networks has a small p there by luck: that of the best is not called more than chance.
    """
    choice, metric = record.choice, record.measured[0]
    others = [t for t in record.feasible if record.own is None or t.key != record.own.key]
    is_picked = choice.within is None and choice.goal.name == metric.name and len(others) > 1
    if not (is_picked and found.is_sure and metric.gain(found.difference) > 0):
        return how_sure(found)
    return f", by which it was picked among {len(record.feasible)} trials ({found.chance}, {found.over})"


def chosen(record: StudyRecord, best: TrialRecord) -> str:
    """Say why the best is taken, where it is not simply the best on an objective."""
    choice = record.choice
    if choice.within is None:
        return ""
    goal = choice.goal.name
    amount = scaled(goal, choice.within)
    unit = points_of(goal).removesuffix("s") if amount == 1 else points_of(goal)
    near = f"within {amount:g}{unit} of the dense one's {lower_name(goal)}"
    close = [t for t in record.feasible if choice.is_close(record.figures(t))]
    if best not in close:
        return f"No network is {near}; this one is the best on it."
    if len(close) == 1:
        return f"It is the only one {near}."
    return f"Of {count(len(close), 'network')} {near} it has the least {lower_name(choice.size)}."


def close_by(record: StudyRecord) -> str:
    """Say how many other trials come close to the best on validation; nothing where that is not known."""
    best, metric = record.best, record.measured[0]
    if best is None or record.choice.within is not None or record.choice.goal.name != metric.name:
        return ""
    reached, error = value_of(record, best, metric.name), record.standard_error(best)
    if reached is None or error is None:
        return ""
    others = [value_of(record, t, metric.name) for t in record.feasible if t.key != best.key]
    near = sum(v is not None and abs(v - reached) <= error for v in others)
    distance = (
        f"one standard error of the best on validation ({number(metric.name, error)}{points_of(metric.name)})"
    )
    if not near:
        return f"No other trial is within {distance}."
    elsewhere = "with other seeds" if len(best.replicates) > 1 else "on other examples"
    if near == 1:
        return f"1 other trial is within {distance}: {elsewhere} it could be the best."
    return f"{near} other trials are within {distance}: {elsewhere} any of them could be the best."


def notes(record: StudyRecord) -> list[str]:
    """Say how differences from the method's own answer were judged."""
    said = []
    compared = [found for key in _read(record) if (found := record.compared(key, "test"))]
    if any(found.p is not None for found in compared):
        said.append(
            "Differences from the method's own answer are on test. With several seeds they are judged by "
            "Student's paired t-test over the seeds, with one by McNemar's exact test over the examples. "
            f"p is how often chance alone gives one as large; below {SURE:g} it is called more than chance."
        )
    elif compared:
        said.append(
            "Differences from the method's own answer are on test, and nothing tells them from chance: "
            "replicates would, and with one seed the metric accuracy."
        )
    return said


def _read(record: StudyRecord) -> list[str]:
    return [str(reading["key"]) for reading in record.test.values()]
