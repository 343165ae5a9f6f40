"""The table that says of every level whether its tickets are as good as the dense network."""

from collections.abc import Mapping
from typing import Any

from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import (
    NONE,
    count,
    difference,
    mean_and_spread,
    name_of,
    percent,
    points_of,
    unit_of,
)
from sweeps.report.sparse.tickets import TRACKS
from sweeps.study.record import TrialRecord
from sweeps.study.winning_tickets import TICKET, Level

_Cell = tuple[str, str]


def verdicts_chart(trial: TrialRecord, metric: str) -> Chart:
    """Tabulate the verdict on each level's tickets.

    Density, ``metric`` of each track, and the difference to dense with its 95 % interval, the verdict and p.
    """
    unit = f", {unit_of(metric)}" if unit_of(metric) else ""
    tracks = [name for name in TRACKS if any(name in level["tracks"] for level in trial.levels)]
    heads = (
        "Weights kept, %",
        *(f"{TRACKS[name][0].capitalize()}{unit}" for name in tracks),
        f"Ticket - dense{',' if points_of(metric) else ''}{points_of(metric)}",
        "95 % interval",
        "Verdict",
        "p",
    )
    rows = tuple(_row(level, tracks, metric) for level in trial.levels)
    return Chart(
        "verdicts",
        "Verdict at every level",
        _caption(len(trial.levels[0]["replicates"]), metric),
        table=Table(heads, rows),
    )


def _row(level: Level, tracks: list[str], metric: str) -> tuple[_Cell, ...]:
    told = level.get("verdict", {})
    reached = [_reached(level, name, metric, told.get(name, {}) if name != TICKET else {}) for name in tracks]
    return (
        (percent(level["density"]), "dense" if not told else ""),
        *reached,
        *_against_dense(told.get(TICKET), metric),
    )


def _reached(level: Level, track: str, metric: str, told: Mapping[str, Any]) -> _Cell:
    """Write a track's value; a control's own verdict stands below it."""
    found = level["tracks"].get(track, {})
    if metric not in found:  # a ticket that was transferred may be measured by something else
        return NONE, ""
    return mean_and_spread(metric, found[metric], found.get(f"{metric}_std")), str(told.get("verdict", ""))


def _against_dense(told: Mapping[str, Any] | None, metric: str) -> tuple[_Cell, ...]:
    if told is None:
        return ((NONE, ""),) * 4
    interval = (
        f"{difference(metric, told['low'])} to {difference(metric, told['high'])}" if "low" in told else NONE
    )
    p = NONE if "p" not in told else f"{told['p']:.3f}" if told["p"] >= 0.001 else "< 0.001"
    return (difference(metric, told["difference"]), ""), (interval, ""), (told["verdict"], ""), (p, "")


def _caption(seeds: int, metric: str) -> str:
    if seeds < 2:
        return f"{name_of(metric)}. One seed tells nothing about the next one: there is no verdict."
    return (
        f"{name_of(metric)} ± one standard deviation over {count(seeds, 'seed')}; "
        "the controls' verdicts stand with their values. "
        "Differences are paired by seed (Student's t, two-sided, 95 %). "
        "Better and worse: the interval leaves out 0. Matching: so many "
        "seeds do not tell them apart, which says the less the wider the interval is. "
        "No verdict is corrected for the number of levels."
    )
