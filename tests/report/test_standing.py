"""Which method is ahead, what is a tie and what is no better than a guess, as the report says it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import comb
from statistics import stdev

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

import pruners
from sweeps.report.headline import headline
from sweeps.report.sparse.methods import method_charts
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.selection.chance import at_chance
from trainables.config import TaskConfig
from trainables.task import task

ACCURACY = "val/accuracy"


def said(record: StudyRecord) -> str:
    return headline(record).replace("\N{NARROW NO-BREAK SPACE}", " ")


def table(record: StudyRecord) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """The rows of the methods' table by their heads."""
    drawn = method_charts(record)[-1].table
    assert drawn is not None
    return {row[0]: tuple(row[1:]) for row in drawn.rows}


BEST = ("Best", "of the methods, in the mean")


def reaching(record: StudyRecord, by_method: Mapping[str, Sequence[float]]) -> StudyRecord:
    """The record as if methods had reached so much at 5 % of the weights, a value a seed."""

    def changed(trial: TrialRecord) -> TrialRecord:
        if trial.params["budget.keep_ratio"] != 0.05 or trial.params["compression.control"] != "none":
            return trial
        values = by_method[trial.params["compression.method"]]
        ends = tuple({"seed": seed, "metrics": {ACCURACY: value}} for seed, value in enumerate(values))
        mean = sum(values) / len(values)
        metrics = {**trial.metrics, ACCURACY: mean, f"{ACCURACY}_std": stdev(values)}
        return replace(trial, replicates=ends, values=(mean,), metrics=metrics)

    return replace(record, trials=tuple(changed(trial) for trial in record.trials))


def test_the_winner_is_named_with_how_sure_that_is(at_initialisation: StudyRecord) -> None:
    reached = {"snip": [0.60, 0.61, 0.62], "magnitude": [0.50, 0.52, 0.50], "random": [0.5, 0.5, 0.49]}
    record = reaching(at_initialisation, reached)
    p = ttest_rel(reached["snip"], reached["magnitude"]).pvalue
    assert 0.001 < p < 0.05
    assert table(record)[BEST][1] == ("snip", f"before magnitude, p = {p:.2g}")
    assert f"before magnitude with 50.67 ± 1.15 %, more than chance (p = {p:.2g}, 3 seeds)." in said(record)
    assert "snip does best" in said(record) and "ties with" not in said(record)


def test_a_tie_is_said_to_be_one(at_initialisation: StudyRecord) -> None:
    reached = {"snip": [0.60, 0.62, 0.64], "magnitude": [0.61, 0.60, 0.645], "random": [0.62, 0.60, 0.625]}
    record = reaching(at_initialisation, reached)
    assert table(record)[BEST][1] == ("snip", "a tie with magnitude and random")
    assert "a tie within its standard error" in said(record)
    assert "It ties with magnitude and random." in said(record)


def test_where_all_guess_none_is_ahead(at_initialisation: StudyRecord) -> None:
    guesses = {"snip": [0.11, 0.12], "magnitude": [0.1, 0.09], "random": [0.05, 0.1]}
    record = reaching(at_initialisation, guesses)
    assert table(record)[BEST][1] == ("none", "all at chance")
    assert "no method does better than a guess. snip is at chance. magnitude is at chance." in said(record)
    assert "does best" not in said(record)
    one = reaching(at_initialisation, {**guesses, "snip": [0.11, 0.4]})
    assert table(one)[BEST][1][0] == "snip" and table(one)["snip", ""][1][1] == "at chance in 1 of 2 seeds"


def test_a_method_at_chance_is_named_with_the_layers_it_emptied(with_empty_layers: StudyRecord) -> None:
    [trial] = [
        t
        for t in with_empty_layers.complete
        if (t.params["compression.method"], t.params["budget.keep_ratio"]) == ("magnitude", 0.02)
    ]
    mask = pruners.load(StudyPaths(with_empty_layers.directory).network(trial.key, 0))
    assert isinstance(mask, pruners.Mask) and len(mask.empty_layers) == 2
    data = task.load_data(TaskConfig("lenet_300_100", "digits"))
    assert trial.validation == {"examples": len(data.validation), "classes": 10}
    # all images are told alike, so that it is right on one class's share
    labels = torch.cat([batch[1] for batch in data.validation.batches(
        torch.arange(len(data.validation)), 64, torch.device("cpu")
    )])  # fmt: skip
    assert trial.metrics[ACCURACY] in [float((labels == one).double().mean()) for one in range(10)]
    telling = f"at chance; no weight left in layers {', '.join(mask.empty_layers)}"
    rows = table(with_empty_layers)
    assert rows["magnitude", ""][1][1] == telling and rows["magnitude", ""][0][1] == ""
    assert rows["snip", ""][1][1] == "" and rows[BEST][1] == ("snip", "before magnitude, one seed")
    assert f"magnitude is {telling}." in said(with_empty_layers)
    assert "which one seed cannot tell from chance" in said(with_empty_layers)


def test_of_an_older_study_nothing_is_said_of_chance(with_empty_layers: StudyRecord) -> None:
    older = tuple(replace(trial, validation={}) for trial in with_empty_layers.trials)
    record = replace(with_empty_layers, trials=older)
    assert "at chance" not in said(record) and table(record)["magnitude", ""][1][1] == ""


def test_a_trial_whose_result_is_lost_stands_by_its_mean(at_initialisation: StudyRecord) -> None:
    def without(trial: TrialRecord) -> TrialRecord:
        """The trial as `load_record` has it where its result.json is damaged."""
        return replace(trial, replicates=(), layers={}, history=(), validation={})

    first, *others = at_initialisation.trials
    record = replace(at_initialisation, trials=(without(first), *others))
    lines = [line for chart in method_charts(record) if chart.figure for line in chart.figure.data]
    drawn = [y for line in lines for y in line.y]
    assert any(y == pytest.approx(100 * first.metrics[ACCURACY]) for y in drawn if y is not None)
    every = replace(at_initialisation, trials=tuple(map(without, at_initialisation.trials)))
    assert "does best" in said(every)


@given(st.integers(1, 60), st.integers(2, 12), st.data())
def test_chance_against_counting_every_guess(examples: int, classes: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, examples))
    p = Fraction(1, classes)
    as_good = sum(comb(examples, k) * p**k * (1 - p) ** (examples - k) for k in range(right, examples + 1))
    if abs(float(as_good) - 0.05) > 1e-9:
        assert at_chance([right / examples], examples, classes) == (as_good >= Fraction(5, 100))


@pytest.mark.parametrize(("accuracy", "expected"), [(0.10, 1), (0.12, 1), (0.15, 0), (0.02, 1)])
def test_chance_on_the_digits(accuracy: float, expected: int) -> None:
    assert at_chance([accuracy], 359, 10) == expected
