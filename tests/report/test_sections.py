"""The report's sections against the study's own numbers."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.report.charts.failures import failures_chart
from sweeps.report.charts.front import front_charts
from sweeps.report.charts.importance import importance_charts, importances
from sweeps.report.charts.layer_figures import layer_figures_chart
from sweeps.report.charts.parallel import parallel_chart
from sweeps.report.charts.replicates import replicates_chart
from sweeps.report.charts.time_spent import saved, time_chart
from sweeps.report.drawing.thinning import thinned
from tests.sweeps.studies import digits, run

from .studies import network, study_record

TOLERANCES = {"budget": {"keep_ratio": 0.1}, "per_layer": {"tolerance": {"min": 0.5, "max": 2}}}


@pytest.fixture(scope="module")
def study(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Three trials with two replicates of the same dense networks, and a baseline; really run."""
    sweep = digits(**TOLERANCES, baselines=["svd"], replicates=2, run_cap=3)
    return run(sweep, tmp_path_factory.mktemp("s") / "sections")


def test_at_a_fixed_budget_trials_are_told_apart_by_multiply_adds_and_time(tmp_path: Path) -> None:
    record = study_record(tmp_path, trials=9)
    moved = [
        replace(t, metrics={**t.metrics, "compress/params_kept": 0.25, "compress/flops_kept": 0.2 + n / 50})
        for n, t in enumerate(record.trials)
    ]
    fixed = replace(record, trials=tuple(moved))
    charts = {chart.anchor: chart for chart in front_charts(fixed)}
    assert list(charts) == ["front-compress/flops_kept", "front-compress/latency_ms"]
    figure = charts["front-compress/flops_kept"].figure
    assert figure is not None
    trials = next(trace for trace in figure.data if trace.name == "trials")
    low, high = figure.layout.xaxis.range
    assert max(trials.x) - min(trials.x) > 0.5 * (high - low), "the axis uses its space"
    apart = [t for t in record.trials if t.metrics]
    assert len({t.metrics["compress/params_kept"] for t in apart}) > 1
    assert [chart.anchor for chart in front_charts(record)] == ["front-compress/params_kept"]


def test_a_baseline_far_off_does_not_squash_the_trials(tmp_path: Path) -> None:
    record = study_record(tmp_path)
    far = network("baseline-svd", 0.11, 0.25, 101)
    (chart, *_) = front_charts(replace(record, baselines=(far, *record.baselines[1:])))
    assert chart.figure is not None
    assert chart.figure.layout.yaxis.range[0] > 50
    assert "1 of" in chart.caption and "the baselines svd among them" in chart.caption


def test_a_front_of_three_objectives_is_marked_not_joined(tmp_path: Path) -> None:
    goals = [Objective("val/accuracy", "maximize"), Objective("compress/params_kept", "minimize")]
    three = (*goals, Objective("compress/latency_ms", "minimize"))
    for objectives, mode, word in ((tuple(goals), "lines", "joins"), (three, "markers", "Rings")):
        record = study_record(tmp_path, objectives=objectives)
        chart = front_charts(replace(record, dense={}))[0]
        assert chart.figure is not None and "dashed" not in chart.caption and word in chart.caption
        [front] = [trace for trace in chart.figure.data if trace.name == "Pareto front"]
        assert front.mode == mode and len(front.x) == len(record.front)


def test_each_layers_figures_are_those_of_the_networks(study: StudyRecord) -> None:
    chart = layer_figures_chart(study)
    assert chart is not None and chart.figure is not None and study.best is not None
    points = [t for t in chart.figure.data if t.mode == "markers" and t.name.startswith("best found")]
    if study.own and study.best.key == study.own.key:
        points = [t for t in chart.figure.data if t.mode == "markers"]
    layers = study.best.layers
    for panel, key in zip(points, ("rank", "num_subspaces", "error"), strict=False):
        assert list(panel.x) == [layer[key] for layer in layers.values()]
    assert sum(points[3].x) == pytest.approx(100)
    assert points[3].x[0] == pytest.approx(
        100 * next(iter(layers.values()))["params"] / sum(layer["params"] for layer in layers.values())
    )


def test_every_replicate_is_a_point(study: StudyRecord) -> None:
    chart = replicates_chart(study)
    assert chart is not None and chart.figure is not None
    drawn = sorted(x for trace in chart.figure.data if trace.name != "mean" for x in trace.x)
    told = [r["metrics"]["val/accuracy"] for t in (*study.complete, *study.baselines) for r in t.replicates]
    assert drawn == pytest.approx(sorted(100 * value for value in told))
    assert replicates_chart(study_record(study.directory, trials=3)) is None, "one seed has no spread"


def test_the_time_is_what_the_trials_took_and_sharing_is_told(study: StudyRecord) -> None:
    chart = time_chart(study)
    assert chart is not None and chart.figure is not None
    (bars,) = chart.figure.data
    spent = dict(zip(chart.figure.layout.yaxis.ticktext, bars.x, strict=True))
    networks = (*study.complete, *study.baselines)
    trained = sum(t.stage_seconds.get("training", 0) for t in networks)
    assert spent.get("Training", 0.0) == pytest.approx(trained, abs=0.05)  # less is not drawn
    trials = sum(t.seconds or 0 for t in study.complete)
    baselines = sum(sum(t.stage_seconds.values()) for t in study.baselines)
    assert sum(spent.values()) == pytest.approx(trials + baselines, abs=0.5)
    # an epoch of each of two seeds' dense networks; four networks would each have trained both
    assert "2 epochs were trained" in saved(study) and "have trained 8: sharing saved 75 %" in saved(study)


def test_trials_that_were_stopped_do_not_hide_what_sharing_saved(tmp_path: Path) -> None:
    record = study_record(tmp_path, trials=2)
    trials, baselines = (
        tuple(replace(t, metrics={**t.metrics, "epochs_trained": 2}, epochs_alone=4) for t in kind)
        for kind in (record.trials, record.baselines)
    )
    stopped = TrialRecord("9", "stopped_early", metrics={"epochs_trained": 10})
    told = saved(replace(record, trials=(*trials, stopped), baselines=baselines))
    assert told == (
        "18 epochs were trained, where trials that share nothing would have trained at least 26: "
        "sharing saved 31 %."
    )


def test_failures_are_grouped_by_what_went_wrong(tmp_path: Path) -> None:
    record = study_record(tmp_path)
    reasons = ("CUDA out of memory at 1.5 GiB", "the file is gone", "CUDA out of memory at 12 GiB")
    lost = [TrialRecord(str(90 + n), "failed", reason=reason) for n, reason in enumerate(reasons)]
    kept = tuple(t for t in record.trials if t.outcome == "complete")
    chart = failures_chart(replace(record, trials=(*kept, *lost)))
    assert chart is not None and chart.table is not None
    assert [[text for text, _ in row] for row in chart.table.rows] == [
        ["failed: CUDA out of memory at 1.5 GiB", "2", "90, 92"],
        ["failed: the file is gone", "1", "91"],
    ]
    assert failures_chart(replace(record, trials=kept)) is None


def test_importance_is_summed_by_stage() -> None:
    layers = {"layer1.0.conv1": 0.4, "layer2.0.conv1": 0.3, "layer1.0.conv2": 0.2, "fc": 0.1}
    shares = {f"{name}/scale": share for name, share in layers.items()}
    single, by_stage = importance_charts(shares, "")
    assert single.figure is not None and by_stage.figure is not None
    (bars,) = by_stage.figure.data
    sums = dict(zip(by_stage.figure.layout.yaxis.ticktext, bars.x, strict=True))
    assert sums == pytest.approx({"fc": 10, "layer1": 60, "layer2": 30})
    assert list(single.figure.layout.yaxis.ticktext) == list(layers)


def test_parallel_coordinates_go_through_the_trials_values(tmp_path: Path) -> None:
    record = study_record(tmp_path)
    shares = dict.fromkeys(record.complete[0].params, 0.1)
    chart = parallel_chart(record, shares)
    assert chart is not None and chart.figure is not None
    lines = [trace for trace in chart.figure.data if trace.customdata is not None]
    told = [float(line.customdata[0][1]) for line in lines]
    assert told == pytest.approx([100 * t.values[0] for t in record.complete if t.values], rel=1e-3)
    names = [re.sub("<.*?>", "", name) for name, _ in lines[0].customdata]
    assert names[0] == "Validation accuracy, %" and set(names[1:]) <= {n.rpartition("/")[0] for n in shares}


def conditional_study(values: int, rare: int) -> optuna.Study:
    """A study with a choice in each trial, the better the later, and a parameter that one trial alone has."""
    study = optuna.create_study(direction="maximize")
    space = {"lr": FloatDistribution(0, 1), "how": CategoricalDistribution(("<b>bold</b>", "plain"))}
    under = {"rank (bold)": IntDistribution(1, 8)}
    for number in range(values):
        params = {"lr": number / values, "how": ("<b>bold</b>", "plain")[number % 2]}
        more = {"rank (bold)": 3} if number == rare else {}
        study.add_trial(
            create_trial(
                value=number, params={**params, **more}, distributions=space | (under if more else {})
            )
        )
    return study


def test_a_parameter_of_trials_that_are_not_drawn_has_no_axis(tmp_path: Path) -> None:
    record = replace(study_record(tmp_path), study=conditional_study(400, rare=1))
    chart = parallel_chart(record, {"rank (bold)": 0.9, "lr": 0.1})
    assert chart is not None and chart.figure is not None
    assert list(chart.figure.layout.xaxis.ticktext) == ["Validation accuracy, %", "how", "lr"]


def test_choices_on_an_axis_are_text(tmp_path: Path) -> None:
    record = replace(study_record(tmp_path), study=conditional_study(6, rare=0))
    chart = parallel_chart(record, {})
    assert chart is not None and chart.figure is not None
    written = [tick.text for tick in chart.figure.layout.annotations]
    lines = [line.customdata for line in chart.figure.data if line.customdata is not None]
    written += [text for line in lines for told in line for text in told]
    assert "&lt;b&gt;bold&lt;/b&gt;" in written and not any("<b>" in text for text in written)


def test_importance_is_told_where_a_choice_was_made_once(tmp_path: Path) -> None:
    record = replace(study_record(tmp_path), study=conditional_study(40, rare=7))
    shares, reason = importances(record)
    assert next(iter(shares)) == "lr" and reason == ""


def test_of_very_many_the_best_are_kept_and_others_evenly() -> None:
    values = [(n * 7919) % 10_007 for n in range(10_007)]
    kept = thinned(values, float, 100)
    assert len(kept) == len(set(kept)) == 100 and set(range(9957, 10_007)) <= set(kept)
    places = [values.index(value) for value in kept]
    assert places == sorted(places)
    others = [p for p, value in zip(places, kept, strict=True) if value < 9957]
    gaps = [b - a for a, b in pairwise(others)]
    assert max(gaps) < 2 * len(values) / 50 and min(others) < len(values) / 50
    assert thinned([3, 1, 2], float, 3) == [3, 1, 2]
