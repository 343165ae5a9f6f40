"""Where a study's time went, and what sharing trained networks saved."""

from collections.abc import Mapping

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import compact
from sweeps.study.record import StudyRecord, TrialRecord

_WORKS = {
    "screening": "Screening",
    "training": "Training",
    "compressing": "Compressing",
    "retraining": "Retraining",
    "measuring": "Measuring",
    "stopped": "Trials stopped early",
    "rest": "Rest of the trials",
}


def time_chart(record: StudyRecord) -> Chart | None:
    """Draw the seconds of all complete trials and baselines by what they were spent on.

    None where no result tells them: it was written by an older version.
    """
    told = [t for t in (*record.complete, *record.baselines) if t.stage_seconds]
    if not told:
        return None
    spent = _spent(record)
    shown = {key: spent[key] for key in _WORKS if spent.get(key, 0.0) >= 0.05}
    rows = list(range(len(shown)))
    figure = chart.figure("Seconds", "", height=70 + 30 * len(shown))
    figure.add_bar(
        x=list(shown.values()),
        y=rows,
        orientation="h",
        width=0.66,
        marker={"color": chart.TRIAL},
        text=[f"{seconds:.1f} s" for seconds in shown.values()],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"<b>{_WORKS[key]}</b><br>{compact(round(s, 1))} s" for key, s in shown.items()],
        hoverinfo="text",
    )
    figure.update_yaxes(
        tickvals=rows, ticktext=[_WORKS[key] for key in shown], range=[len(rows) - 0.4, -0.6], showgrid=False
    )
    figure.update_layout(showlegend=False, margin={"t": 8, "r": 64})
    return Chart("time", "Where the time went", _caption(record, shown), figure)


def _spent(record: StudyRecord) -> dict[str, float]:
    spent: dict[str, float] = {}
    for trial in (*record.complete, *record.baselines):
        _add(spent, trial.stage_seconds)
        if trial.seconds is not None and trial.stage_seconds:
            _add(spent, {"rest": max(0.0, trial.seconds - sum(trial.stage_seconds.values()))})
    _add(spent, {"screening": sum(t.seconds or 0.0 for t in record.screened)})
    _add(spent, {"stopped": sum(t.seconds or 0.0 for t in record.trials if t.outcome == "stopped_early")})
    return spent


def _add(spent: dict[str, float], more: Mapping[str, float]) -> None:
    for key, seconds in more.items():
        spent[key] = spent.get(key, 0.0) + seconds


def _caption(record: StudyRecord, shown: Mapping[str, float]) -> str:
    said = "Time on the clock of all trials together, those side by side too, of each its last attempt."
    if "rest" in shown:
        said += " The rest is loading, writing and waiting for what another trial was training."
    if "screening" in shown:
        said += " Screening holds the training that it was the first to need."
    return f"{said} {saved(record)}".rstrip()


def saved(record: StudyRecord) -> str:
    """Say how much was trained, and how much if each trial had stood alone; nothing where that is unknown.

    Of a trial that did not come to its end no more is known than what it trained itself.
    """
    every = (*record.trials, *record.baselines)
    ended = [t for t in every if t.outcome == "complete"]
    if not ended or any(t.epochs_alone is None for t in ended):
        return ""
    trained = sum(_trained(t) for t in every)
    alone = sum(_trained(t) if t.epochs_alone is None else t.epochs_alone for t in every)
    if not alone:
        return ""
    said = f"{compact(round(trained, 1))} epochs were trained"
    if trained >= alone:
        return f"{said}; nothing was shared."
    least = "" if len(ended) == len(every) else "at least "
    return (
        f"{said}, where trials that share nothing would have trained {least}{compact(round(alone, 1))}: "
        f"sharing saved {100 * (1 - trained / alone):.0f} %."
    )


def _trained(trial: TrialRecord) -> float:
    """Return the epochs that were trained for a trial."""
    return trial.metrics.get("epochs_trained", 0.0)
