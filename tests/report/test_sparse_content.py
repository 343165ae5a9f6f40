"""What the report and the closing table say of masks and tickets."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.report.drawing import chart, density
from sweeps.report.drawing.wording import percent
from sweeps.report.headline import headline
from sweeps.report.sparse.method_curves import MethodCurve, looks, lowest_common_density, method_curves
from sweeps.report.sparse.method_layers import method_layers_charts
from sweeps.report.sparse.methods import method_charts
from sweeps.report.sparse.tickets import accuracy_chart
from sweeps.report.sparse.verdicts import verdicts_chart
from sweeps.study.closing_table import closing_table
from sweeps.study.record import Objective, StudyRecord, TrialRecord
from sweeps.study.winning_tickets import Level, sparsest_reaching

from .test_report_content import text_of


def level(number: int, verdict: str, difference: float) -> Level:
    told = {
        "verdict": verdict,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "p": 0.2,
        "seeds": 3,
    }
    ticket = {"val/accuracy": 0.9 + difference, "val/accuracy_std": 0.002}
    return {
        "level": number,
        "density": 0.5**number,
        "params_kept": 0.5**number,
        "tracks": {"ticket": ticket},
        "verdict": {"ticket": told},
    }


PRIMARY = Objective("val/accuracy", "maximize")
DENSE: Level = {
    "level": 0,
    "density": 1.0,
    "params_kept": 1.0,
    "tracks": {"ticket": {"val/accuracy": 0.9, "val/accuracy_std": 0.001}},
}


def told(record: StudyRecord, *levels: Level) -> str:
    trial = replace(record.complete[0], levels=(DENSE, *levels))
    return headline(replace(record, trials=(trial,))).replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_the_headline_names_the_sparsest_ticket_that_reaches_dense_and_what_the_seeds_can_tell(
    lottery: StudyRecord,
) -> None:
    levels = [
        level(1, "better", 0.02),
        level(2, "matching", 0.001),
        level(3, "matching", -0.005),
        level(4, "worse", -0.03),
    ]
    said = told(lottery, *levels)
    assert (
        "The sparsest ticket that reaches the dense network keeps 25 % of the weights: "
        "90.10 ± 0.20 % validation accuracy" in said
    )
    assert "against 90.00 ± 0.10 % (not told apart by 3 seeds, difference -0.90 to +1.10 points)" in said
    assert (
        "The best ticket keeps 50 %: 92.00 ± 0.20 % (better over 3 seeds, difference +1.00 to +3.00 points)"
        in said
    )
    assert "first found worse at 6.2 % of the weights" in said


def test_a_level_behind_a_worse_one_is_not_the_answer() -> None:
    levels = [DENSE, level(1, "matching", 0.01), level(2, "worse", -0.03), level(3, "matching", 0.02)]
    found = sparsest_reaching(levels, PRIMARY)
    assert found is not None and found["level"] == 1
    assert sparsest_reaching([DENSE, level(1, "worse", -0.03)], PRIMARY) is None


def test_one_seed_is_told_nothing(two_rewind_points: StudyRecord) -> None:
    said = headline(two_rewind_points)
    assert "one seed cannot tell" in said and "better over" not in said and "worse" not in said
    best = two_rewind_points.best
    assert best is not None
    assert "there is no verdict" in verdicts_chart(best, "val/accuracy").caption


def test_the_verdict_table_repeats_the_record(lottery: StudyRecord) -> None:
    best = lottery.best
    assert best is not None
    table = verdicts_chart(best, "val/accuracy").table
    assert table is not None
    assert [row[0][0] for row in table.rows] == ["100", "40", "16", "6.4"]
    for row, found in zip(table.rows[1:], best.levels[1:], strict=True):
        ticket, reinit, verdict = (
            found["tracks"]["ticket"],
            found["verdict"]["reinit"],
            found["verdict"]["ticket"],
        )
        assert row[1][0].startswith(f"{100 * ticket['val/accuracy']:.2f}")
        assert row[2][1] == reinit["verdict"]
        assert row[4][0] == f"{100 * verdict['difference']:+.2f}" and row[6][0] == verdict["verdict"]


def test_bands_span_the_replicates(lottery: StudyRecord) -> None:
    best = lottery.best
    assert best is not None
    figure = accuracy_chart(lottery, best).figure
    assert figure is not None
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert set(lines) == {"ticket", "re-initialised", "random mask"}
    band = next(trace for trace in figure.data if trace.fill and trace.legendgroup == "ticket")
    values = [
        [100 * one["tracks"]["ticket"]["val/accuracy"] for one in found["replicates"]]
        for found in best.levels
    ]
    assert list(band.y) == [max(v) for v in values] + [min(v) for v in reversed(values)]
    assert list(lines["ticket"].y) == pytest.approx([sum(v) / len(v) for v in values])


def test_methods_beside_their_controls(at_initialisation: StudyRecord) -> None:
    found = method_curves(at_initialisation)
    assert {(f.method, f.control) for f in found} == {
        (m, c) for m in ("snip", "magnitude", "random") for c in ("none", "shuffle")
    }
    assert all(percent(t.metrics["compress/density"]) in ("30", "5") for f in found for t in f.trials)
    methods, controls, table = method_charts(at_initialisation)
    assert methods.figure is not None and controls.figure is not None and table.table is not None
    assert {trace.name for trace in methods.figure.data if trace.name} == {"snip", "magnitude", "random"}
    assert sum(trace.line.dash == "dash" for trace in controls.figure.data) == 4, (
        "three methods and the legend's entry"
    )
    assert len(table.table.rows) == 7 and table.table.heads == ("Method", "30 % kept", "5 % kept")


def test_budgets_that_stand_under_a_method_are_points_of_its_curve(at_initialisation: StudyRecord) -> None:
    def under_its_method(trial: TrialRecord) -> TrialRecord:
        """The trial as if each method had budgets of its own in the sweep file."""
        name = f"budget.keep_ratio ({trial.params['compression.method']})"
        params = {n: v for n, v in trial.params.items() if n != "budget.keep_ratio"}
        return replace(trial, params={**params, name: trial.params["budget.keep_ratio"]})

    record = replace(at_initialisation, trials=tuple(map(under_its_method, at_initialisation.trials)))
    labels = {curve.label: len(curve.trials) for curve in method_curves(record)}
    assert labels == {curve.label: len(curve.trials) for curve in method_curves(at_initialisation)}


def test_layers_and_gradients_are_those_of_the_lowest_common_density(at_initialisation: StudyRecord) -> None:
    plain = [curve for curve in method_curves(at_initialisation) if curve.control == "none"]
    assert percent(lowest_common_density(plain) or 0) == "5"
    shares, gradients = method_layers_charts(at_initialisation)
    assert shares.figure is not None and gradients.figure is not None
    for trace in shares.figure.data:
        trial = next(f for f in plain if f.method == trace.name).nearest(0.05)
        shown = [100 * layer["params"] / layer["dense_params"] or None for layer in trial.layers.values()]
        assert list(trace.y) == shown
    assert all(len(trace.y) == 2 for trace in gradients.figure.data), "an epoch a point"


def test_the_page_speaks_of_masks_not_of_ranks(
    lottery: StudyRecord, at_initialisation: StudyRecord, tmp_path: Path
) -> None:
    for record in (lottery, at_initialisation):
        text = text_of(record, tmp_path)
        assert "Weights kept" in text and "saves no time" in text
        for word in ("Rank", "subspaces", "own answer", "Latency"):
            assert word not in text, word


def test_a_study_without_a_dense_network_is_compared_with_none(
    without_dense: StudyRecord, tmp_path: Path
) -> None:
    assert "val/accuracy" not in without_dense.dense
    assert "dense network" not in headline(without_dense).lower()
    assert "this study trained none" in text_of(without_dense, tmp_path)


@pytest.mark.parametrize("study", ["lottery", "at_initialisation", "without_dense"])
def test_the_closing_table_has_the_weights_kept(study: str, request: pytest.FixtureRequest) -> None:
    record: StudyRecord = request.getfixturevalue(study)
    console = Console(width=120)
    with console.capture() as printed:
        console.print(closing_table(record))
    text = printed.get()
    assert "weights" in text and "100.0%" in text and record.best is not None
    assert f"{record.best.metrics['compress/density']:.1%}" in text
    assert ("best ticket" in text) == (study == "lottery")


def test_the_closing_table_breaks_the_heads_of_several_metrics_between_words(
    at_initialisation: StudyRecord,
) -> None:
    task = {**at_initialisation.sweep["task"], "metrics": ["accuracy", "top5_accuracy"]}
    console = Console(width=80)
    with console.capture() as printed:
        console.print(
            closing_table(replace(at_initialisation, sweep={**at_initialisation.sweep, "task": task}))
        )
    heads = printed.get().partition("\u2501")[0]
    assert heads.count("accuracy") == 4 and heads.count("top5") == 2 and "\u2026" not in heads


def test_a_density_axis_labels_what_there_is_room_for() -> None:
    figure = density.figure("accuracy")
    kept = [0.8**number for number in range(16)]
    density.axis(figure, kept)
    labels = list(figure.layout.xaxis.ticktext)
    assert labels[0] == "100" and 6 <= len(labels) <= 10 and set(labels) <= {percent(share) for share in kept}
    assert figure.layout.xaxis.range[0] > figure.layout.xaxis.range[1]


def test_logarithmic_heights_are_written_out() -> None:
    figure = chart.figure("", "")
    chart.log_heights(figure, [0.07, 30.0])
    assert {"0.1", "0.5", "20"} <= set(figure.layout.yaxis.ticktext)


def test_of_two_settings_one_is_the_colour_and_one_the_line() -> None:
    settings = [
        (f"allocation {one}", f"refit {two}") for one in ("erk", "global") for two in ("layer", "none")
    ]
    found = [MethodCurve("magnitude", "none", each, ()) for each in settings]
    colours, lines = zip(*looks(found), strict=True)
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert lines == ("solid", "dash", "solid", "dash")
    plain = looks([MethodCurve(name, "none", (), ()) for name in ("snip", "random")])
    assert plain[0][0] != plain[1][0] and {line for _, line in plain} == {"solid"}
    one = looks([MethodCurve("snip", "none", (f"rounds {n}",), ()) for n in (1, 2)])
    assert one[0][0] != one[1][0] and {line for _, line in one} == {"solid"}
