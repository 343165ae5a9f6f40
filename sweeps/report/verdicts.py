"""The table that says of every level whether its tickets are as good as the dense network."""

from collections.abc import Mapping
from typing import Any

from sweeps.report.chart import Chart, Table
from sweeps.report.tickets import TRACKS
from sweeps.report.words import NONE, count, mean_and_spread, percent
from sweeps.study.levels import TICKET, Level
from sweeps.study.record import TrialRecord

_Cell = tuple[str, str]


def verdicts_chart(trial: TrialRecord) -> Chart:
    """Density, accuracy of each track, and the difference to dense with its 95 % interval, the verdict and p."""
    tracks = [name for name in TRACKS if any(name in level["tracks"] for level in trial.levels)]
    heads = (
        "Weights kept, %",
        *(f"{TRACKS[name][0].capitalize()}, %" for name in tracks),
        "Ticket - dense, points",
        "95 % interval",
        "Verdict",
        "p",
    )
    rows = tuple(_row(level, tracks) for level in trial.levels)
    return Chart("verdicts", "Verdict at every level", _caption(len(trial.levels[0]["replicates"])), table=Table(heads, rows))


def _row(level: Level, tracks: list[str]) -> tuple[_Cell, ...]:
    told = level.get("verdict", {})
    accuracies = [_accuracy(level, name, told.get(name, {}) if name != TICKET else {}) for name in tracks]
    return (percent(level["density"]), "dense" if not told else ""), *accuracies, *_against_dense(told.get(TICKET))


def _accuracy(level: Level, track: str, told: Mapping[str, Any]) -> _Cell:
    """A control's own verdict stands below its accuracy."""
    if track not in level["tracks"]:
        return NONE, ""
    found = level["tracks"][track]
    return mean_and_spread("val/accuracy", found["val/accuracy"], found.get("val/accuracy_std")), str(told.get("verdict", ""))


def _against_dense(told: Mapping[str, Any] | None) -> tuple[_Cell, ...]:
    if told is None:
        return ((NONE, ""),) * 4
    interval = f"{100 * told['low']:+.2f} to {100 * told['high']:+.2f}" if "low" in told else NONE
    p = NONE if "p" not in told else f"{told['p']:.3f}" if told["p"] >= 0.001 else "< 0.001"
    return (f"{100 * told['difference']:+.2f}", ""), (interval, ""), (told["verdict"], ""), (p, "")


def _caption(seeds: int) -> str:
    if seeds < 2:
        return "Validation accuracy. One seed tells nothing about the next one: there is no verdict."
    return (
        f"Validation accuracy ± one standard deviation over {count(seeds, 'seed')}; the controls' verdicts stand with their accuracies. "
        "Differences are paired by seed (Student's t, two-sided, 95 %). Better and worse: the interval leaves out 0. Matching: so many "
        "seeds do not tell them apart, which says the less the wider the interval is. No verdict is corrected for the number of levels."
    )
