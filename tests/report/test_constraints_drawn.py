"""Constraints on the charts of networks: lines, and hollow symbols for what crosses them."""

from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from sweeps.report.charts.front import front_charts
from sweeps.study.record import Objective, StudyRecord, TrialRecord
from trainables.metric_names import of_dense

from .studies import study_record

OBJECTIVES = (Objective("val/accuracy", "maximize"), Objective("compress/params_kept", "minimize"))
ACCURACY, LATENCY = "val/accuracy", "compress/latency_ms"


def with_dense(trial: TrialRecord) -> TrialRecord:
    return replace(trial, metrics={**trial.metrics, of_dense(ACCURACY): 0.9912}) if trial.metrics else trial


def constrained(record: StudyRecord, *constraints: dict[str, object]) -> StudyRecord:
    return replace(
        record,
        trials=tuple(map(with_dense, record.trials)),
        baselines=tuple(map(with_dense, record.baselines)),
        sweep={**record.sweep, "constraints": list(constraints)},
    )


def figures(record: StudyRecord) -> dict[str, go.Figure]:
    return {chart.anchor: chart.figure for chart in front_charts(record) if chart.figure is not None}


def levels(figure: go.Figure, axis: str) -> list[float]:
    shapes = [s for s in figure.layout.shapes if s[f"{axis}0"] == s[f"{axis}1"]]
    return sorted(shape[f"{axis}0"] for shape in shapes)


def points(figure: go.Figure, hollow: bool) -> int:
    """Count the symbols that are filled, or hollow."""
    traces = [t for t in figure.data if t.mode == "markers"]
    return sum(len(t.x) for t in traces if (t.marker.symbol or "").endswith("-open") == hollow)


def test_a_constraint_has_its_line_and_what_misses_it_is_hollow(tmp_path: Path) -> None:
    plain = study_record(tmp_path, objectives=OBJECTIVES)
    latencies = sorted(trial.metrics[LATENCY] for trial in plain.complete)
    most = latencies[len(latencies) // 2]
    record = constrained(
        plain,
        {"metric": LATENCY, "at_most": most},
        {"metric": ACCURACY, "within": 0.03, "of": "dense"},
    )
    networks = [*record.complete, *record.baselines]
    missing = [t for t in networks if t.metrics[LATENCY] > most or t.metrics[ACCURACY] < 0.9612]
    assert 0 < len(missing) < len(networks)
    drawn = figures(record)
    assert list(drawn) == ["front-compress/params_kept", f"front-{LATENCY}"]
    for figure in drawn.values():
        assert (points(figure, hollow=True), points(figure, hollow=False)) == (
            len(missing),
            len(networks) - len(missing),
        )
        assert levels(figure, "y") == pytest.approx([96.12, 99.12])
    assert levels(drawn["front-compress/params_kept"], "x") == []
    assert levels(drawn[f"front-{LATENCY}"], "x") == [most]


def test_a_bound_that_nobody_comes_near_is_within_the_range_shown(tmp_path: Path) -> None:
    record = constrained(
        study_record(tmp_path),
        {"metric": LATENCY, "at_most": 40.0},
        {"metric": ACCURACY, "at_least": 0.5},
    )
    figure = figures(record)[f"front-{LATENCY}"]
    assert figure.layout.xaxis.range[0] < min(t.metrics[LATENCY] for t in record.complete)
    assert figure.layout.xaxis.range[1] > 40 and figure.layout.yaxis.range[0] < 50
    assert points(figure, hollow=True) == 0


def test_a_bound_that_differs_from_trial_to_trial_has_no_line(tmp_path: Path) -> None:
    within = {"metric": ACCURACY, "within": 0.03, "of": "dense"}
    record = constrained(study_record(tmp_path), within)
    drawn = figures(record)["front-compress/params_kept"]
    assert levels(drawn, "y") == pytest.approx([96.12, 99.12])
    first, *others = record.trials
    better = replace(first, metrics={**first.metrics, of_dense(ACCURACY): 0.9951})
    drawn = figures(replace(record, trials=(better, *others)))["front-compress/params_kept"]
    assert levels(drawn, "y") == pytest.approx([99.12]) and points(drawn, hollow=True) > 0


def test_networks_beyond_the_range_shown_are_counted(tmp_path: Path) -> None:
    record = constrained(study_record(tmp_path), {"metric": LATENCY, "at_most": 40.0})
    slow, *others = record.baselines
    slow = replace(slow, metrics={**slow.metrics, LATENCY: 900.0})
    charts = {chart.anchor: chart for chart in front_charts(replace(record, baselines=(slow, *others)))}
    chart = charts[f"front-{LATENCY}"]
    assert chart.figure is not None and chart.figure.layout.xaxis.range[1] < 900
    assert f"1 of {len(record.complete) + len(record.baselines)} points lie outside" in chart.caption


def test_what_is_no_number_keeps_no_constraint(tmp_path: Path) -> None:
    record = constrained(study_record(tmp_path), {"metric": LATENCY, "at_most": 40.0})
    [limit] = record.limits
    for untold in ({}, {LATENCY: float("nan")}):
        trial = replace(record.complete[0], metrics=untold)
        assert record.misses(trial) == f"{limit.name}, which is not told"
