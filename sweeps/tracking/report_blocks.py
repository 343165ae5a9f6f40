"""The blocks of a study's W&B Report, by wandb-workspaces (the extra `report`)."""

from typing import Any

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces import expr

from sweeps.report import header, summary
from sweeps.report.drawing.wording import name_of, quality_of
from sweeps.report.headline import answer
from sweeps.study.record import StudyRecord
from sweeps.sweep_file.space import setting
from trainables.metric_names import DENSITY, FLOPS_KEPT, LATENCY_MS, PARAMS_KEPT

_HALF, _WHOLE = 12, 24  # columns of W&B's grid
_HIGH = 10
_MOST_COLUMNS = 10
_TRACKS = ("ticket", "reinit", "random", "transfer", "second_order")
_OF_A_LAYER = ("rank", "num_subspaces", "density", "channels")


def report(record: StudyRecord) -> wr.Report:
    """Build the report: what was asked and found, then the search, a lottery's tickets, and the layers.

    Nothing is asked of a server.
    """
    name, sweep = record.name, record.sweep
    is_lottery = any(trial.levels for trial in record.complete)
    blocks = [*_text(record), wr.H1("Search"), _grid(name, ["trial", "baseline", "dense"], _search(record))]
    if is_lottery:
        blocks += [wr.H1("Tickets and controls"), _grid(name, ["trial"], _tickets(record))]
    if layers := _layers(record):
        blocks += [wr.H1("Layers"), _grid(name, ["trial"], layers)]
    blocks += [wr.H1("Runs beside each other"), _grid(name, ["trial", "baseline"], [_comparer()])]
    return wr.Report(
        entity=sweep.get("entity") or "",
        project=sweep.get("project", "tombola"),
        title=f"{name}: what was found",
        description=header.asked(record),
        blocks=blocks,
        width="fluid",
    )


def _text(record: StudyRecord) -> list[Any]:
    """Say what was run and found in the words of report.html."""
    said = answer(record)
    heads = ["network", *summary.heads(record)]
    rows = [[row.label, *row.cells] for row in summary.rows(record)]
    table = [heads, ["---"] * len(heads), *rows]
    return [
        wr.H1("What was asked"),
        wr.P(header.asked(record) or record.name),
        wr.H1("What was found"),
        wr.P(said.found),
        *([wr.P(said.sure)] if said.sure else []),
        wr.MarkdownBlock("\n".join("| " + " | ".join(row) + " |" for row in table)),
    ]


def _grid(study: str, job_types: list[str], panels: list[Any]) -> wr.PanelGrid:
    """Put panels over the study's runs of these kinds, one run set for each kind."""
    runsets = [
        wr.Runset(name=kind, filters=expr.And(expr.Metric("Group") == study, expr.Metric("JobType") == kind))
        for kind in job_types
    ]
    return wr.PanelGrid(runsets=runsets, panels=panels)


def _search(record: StudyRecord) -> list[Any]:
    quality = quality_of(record)
    latency = any(LATENCY_MS in trial.metrics for trial in record.complete)
    sizes = [PARAMS_KEPT, LATENCY_MS if latency else FLOPS_KEPT]
    scatter = [
        wr.ScatterPlot(
            title=f"{name_of(quality)} against {name_of(size).lower()}",
            x=wr.SummaryMetric(size),
            y=wr.SummaryMetric(quality),
            z=wr.SummaryMetric(FLOPS_KEPT),
            running_ymax=True,
            layout=wr.Layout(x=place * _HALF, y=0, w=_HALF, h=_HIGH),
        )
        for place, size in enumerate(sizes)
    ]
    searched = sorted(
        {setting(name) for trial in record.study.get_trials(deepcopy=False) for name in trial.distributions}
    )
    columns = [
        wr.ParallelCoordinatesPlotColumn(metric=wr.Config(name), display_name=name)
        for name in searched[:_MOST_COLUMNS]
    ]
    columns += [wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(n)) for n in (PARAMS_KEPT, quality)]
    return [
        *scatter,
        wr.ParallelCoordinatesPlot(
            title="Parameters", columns=columns, layout=wr.Layout(x=0, y=10, w=_WHOLE, h=_HIGH)
        ),
        wr.ParameterImportancePlot(with_respect_to=quality, layout=wr.Layout(x=0, y=20, w=_HALF, h=_HIGH)),
        wr.LinePlot(
            title=name_of(quality),
            x="step",
            y=[quality],
            title_x="optimiser steps",
            layout=wr.Layout(x=_HALF, y=20, w=_HALF, h=_HIGH),
        ),
    ]


def _tickets(record: StudyRecord) -> list[Any]:
    """Return one chart with a line for each track, and one with the training of every level."""
    levels = [level for trial in record.complete for level in trial.levels]
    known = {track for level in levels for track in level["tracks"]}
    tracks = [track for track in _TRACKS if track in known]
    curves: list[Any] = [f"density/{track}{end}" for track in tracks for end in ("", "_low", "_high")]
    last = max(level["level"] for level in levels)
    quality = record.measured[0].name
    return [
        wr.LinePlot(
            title="Tickets and controls: mean over the seeds, and a standard deviation to both sides",
            x=DENSITY,
            y=curves,
            log_x=True,
            title_x="share of the weights kept",
            title_y=name_of(quality),
            layout=wr.Layout(x=0, y=0, w=_WHOLE, h=_HIGH),
        ),
        wr.LinePlot(
            title="Training of each level",
            x="training/step",
            y=[f"training/level {number:02d}" for number in range(last + 1)],
            title_x="optimiser steps of the level",
            title_y=name_of(quality),
            layout=wr.Layout(x=0, y=_HIGH, w=_WHOLE, h=_HIGH),
        ),
    ]


def _layers(record: StudyRecord) -> list[Any]:
    """Return a bar chart for each figure of the layers, from the runs' own tables."""
    figures = {name for trial in record.complete for layer in trial.layers.values() for name in layer}
    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": "layers"}},
            chart_name="wandb/bar/v0",
            chart_fields={"label": "layer", "value": figure},
            chart_strings={"title": f"{figure} of each layer"},
            layout=wr.Layout(x=place * _HALF, y=0, w=_HALF, h=_HIGH),
        )
        for place, figure in enumerate([name for name in _OF_A_LAYER if name in figures])
    ]


def _comparer() -> wr.RunComparer:
    return wr.RunComparer(diff_only="split", layout=wr.Layout(x=0, y=0, w=_WHOLE, h=_HIGH))
