"""Parallel coordinates: what the trials' parameters were, and what came of them."""

import copy
from collections.abc import Mapping, Sequence

import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial
from optuna.visualization import plot_parallel_coordinate

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.thinning import thinned, thinning_said
from sweeps.report.drawing.wording import scaled, short_names, titled
from sweeps.study.record import StudyRecord

_MOST_PARAMS, _MOST_TRIALS = 6, 150
_TITLE = "Parallel coordinates"


def parallel_chart(record: StudyRecord, shares: Mapping[str, float]) -> Chart | None:
    """Draw trials as lines through their values and most important parameters, as Optuna draws them.

    ``shares`` is each parameter's importance. None with fewer than two trials or parameters.
    """
    complete = record.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    shown = thinned(complete, lambda t: record.objectives[0].gain(t.values[0]), _MOST_TRIALS)
    # of the trials drawn alone: Optuna refuses a parameter that none of them has
    names = sorted(
        dict.fromkeys(name for trial in shown for name in trial.params),
        key=lambda name: -shares.get(name, 0.0),
    )[:_MOST_PARAMS]
    if len(complete) < 2 or len(names) < 2:
        return None
    value = titled(record.objectives[0].name)
    figure = plot_parallel_coordinate(_as_shown(record, shown), names, target_name=value)
    chart.style(figure, 430, title=None, margin={"l": 110, "r": 24, "t": 30, "b": 60})
    figure.update_traces(opacity=0.8)
    figure.update_annotations(font={"size": 11, "color": chart.MUTED})
    _name_axes(figure, [titled(objective.name) for objective in record.objectives], names)
    caption = "A line is a trial, its colour the value on the first axis."
    if len(record.objectives) > 1:
        caption = "A line is a trial, its colour its rank: those of rank 0 no other beats in every objective."
    caption += thinning_said(len(shown), len(complete))
    if len(shares) > len(names):
        caption += " The axes are the most important parameters."
    return Chart("parallel", _TITLE, caption, figure, least_width=620)


def _name_axes(figure: go.Figure, values: Sequence[str], names: Sequence[str]) -> None:
    """Name the axes: Optuna puts the values first, which it numbers, then the parameters by their names.

    What it writes of a choice is the sweep file's own text, which plotly would read as HTML.
    """
    short = short_names(names)
    labels = [*values, *(short[name] for name in sorted(names))]
    figure.update_xaxes(ticktext=[chart.text(label, 24) for label in labels], tickangle=-20, automargin=True)
    for line in figure.data:
        if line.customdata is not None:
            told = zip(labels, line.customdata, strict=True)
            line.customdata = [[chart.text(label), chart.text(value)] for label, (_, value) in told]
    figure.for_each_annotation(lambda tick: tick.update(text=chart.text(tick.text, 24)))


def _as_shown(record: StudyRecord, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study in memory of these trials, with values and names as the report shows them."""
    names = [objective.name for objective in record.objectives]
    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(directions=[objective.goal for objective in record.objectives])
    finally:
        optuna.logging.set_verbosity(quiet)
    for trial in trials:
        copied = copy.copy(trial)
        copied.values = [scaled(name, value) for name, value in zip(names, trial.values, strict=True)]
        copied.user_attrs = {}
        copied.intermediate_values = {}
        study.add_trial(copied)
    return study
