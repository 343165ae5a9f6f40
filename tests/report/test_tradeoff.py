"""Quality against compression and speed-up, by method and budget, as the record has them."""

import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from sweeps import StudyRecord
from sweeps.report.drawing.wording import NONE
from sweeps.report.tradeoff.charts import tradeoff_charts
from sweeps.report.tradeoff.curves import gains, tradeoffs
from tests.sweeps.studies import digits, run

from .studies import study_record

KEPT = [0.9, 0.12]


@pytest.fixture(scope="module")
def study(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    own = {"compression.options": {"value": {"refit": "none"}}}
    parameters = {
        "compression.method": {
            "values": [{"value": "svd", "parameters": own}, {"value": "alds", "parameters": own}, "magnitude"]
        },
        "budget.keep_ratio": {"values": KEPT},
    }
    given = digits(method="grid", parameters=parameters, run_cap=6, compression={}, replicates=2)
    return run(given, tmp_path_factory.mktemp("s") / "tradeoff")


def test_every_method_is_a_curve_over_its_budgets(study: StudyRecord) -> None:
    found = {curve.label: curve for curve in tradeoffs(study)}
    assert set(found) == {"svd", "alds", "magnitude"}
    for curve in found.values():
        sizes = [trial.metrics["compress/params_kept"] for trial in curve.trials]
        assert len(sizes) == len(KEPT) and sizes == sorted(sizes, reverse=True)


def test_points_are_the_records_own_figures(study: StudyRecord) -> None:
    charts = {chart.anchor: chart for chart in tradeoff_charts(study)}
    assert list(charts) == [
        "tradeoff-compression",
        "tradeoff-theoretical",
        "tradeoff-measured",
        "tradeoff-table",
        "tradeoff-within",
    ]
    dense = study.dense
    for trial in study.complete:
        times = gains(study, trial)
        assert times["compression"] == pytest.approx(dense["params"] / trial.metrics["compress/params"])
        assert times["theoretical speed-up"] == pytest.approx(
            dense["multiply_adds"] / trial.metrics["compress/multiply_adds"]
        )
        assert times["measured speed-up"] == pytest.approx(
            dense["latency_ms"] / trial.metrics["compress/latency_ms"]
        )
    drawn = charts["tradeoff-compression"].figure
    assert drawn is not None
    [line] = [trace for trace in drawn.data if trace.name == "alds"]
    trials = sorted(
        (t for t in study.complete if t.params["compression.method"] == "alds"),
        key=lambda t: gains(study, t)["compression"],
    )
    seeds = [[100 * one["metrics"]["val/accuracy"] for one in t.replicates] for t in trials]
    assert list(line.y) == pytest.approx([statistics.fmean(values) for values in seeds])
    assert [y + up for y, up in zip(line.y, line.error_y.array, strict=True)] == pytest.approx(
        [max(values) for values in seeds]
    )


def test_the_table_has_value_and_change_at_every_budget(study: StudyRecord) -> None:
    table = tradeoff_charts(study)[-2].table
    assert table is not None and len(table.heads) == 1 + len(KEPT)
    assert [head.split(" (")[0] for head in table.heads[1:]] == [f"keep_ratio {kept:g}" for kept in KEPT]
    rows = {row[0][0]: row[1:] for row in table.rows}
    for trial in study.complete:
        kept = trial.params["budget.keep_ratio"]
        text, detail = rows[trial.params["compression.method"]][KEPT.index(kept)]
        value = trial.metrics["val/accuracy"]
        assert text.startswith(f"{100 * value:.2f}")
        assert detail.startswith(f"{100 * (value - study.dense['val/accuracy']):+.2f}; ")


def test_the_smallest_within_half_a_point_is_named(study: StudyRecord) -> None:
    table = tradeoff_charts(study)[-1].table
    assert table is not None
    rows = {row[0][0]: [text for text, _ in row[1:]] for row in table.rows}
    dense = study.dense["val/accuracy"]
    for method, (budget, change, removed, *_) in rows.items():
        trials = [t for t in study.complete if t.params["compression.method"] == method]
        near = [t for t in trials if dense - t.metrics["val/accuracy"] <= 0.005]
        if not near:
            assert (budget, change, removed) == (NONE, NONE, NONE)
            continue
        least = min(near, key=lambda t: t.metrics["compress/params"])
        assert budget == f"keep_ratio {least.params['budget.keep_ratio']:g}"
        assert change == f"{100 * (least.metrics['val/accuracy'] - dense):+.2f}"
        assert float(removed.split(" ")[0]) == pytest.approx(
            100 * (1 - least.metrics["compress/params_kept"]), abs=0.01
        )
    assert any(budget != NONE for budget, *_ in rows.values()), "else this test tells nothing"
    assert any(budget == NONE for budget, *_ in rows.values())


def test_a_search_at_one_budget_has_no_such_section(tmp_path: Path) -> None:
    assert tradeoff_charts(study_record(tmp_path)) == []


def test_without_a_trained_dense_network_nothing_is_measured_against_it(study: StudyRecord) -> None:
    untrained = {name: value for name, value in study.dense.items() if not name.startswith("val/")}
    charts = {chart.anchor: chart for chart in tradeoff_charts(replace(study, dense=untrained))}
    assert "tradeoff-within" not in charts and "tradeoff-compression" in charts
    table = charts["tradeoff-table"]
    assert "dense" not in table.caption and table.table is not None
    assert not any("; " in detail for row in table.table.rows for _, detail in row[1:])
