"""Which network becomes the best: constraints held by hand, and every choice against a plain search."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import create_trial

from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.study.selection.choice import Choice, choice_of
from sweeps.study.selection.limits import Limit, limits_of
from sweeps.sweep_file.objectives.choose import Choose
from sweeps.sweep_file.objectives.constraint import Constraint

ACCURACY, LOSS = Objective("val/accuracy", "maximize"), Objective("val/loss", "minimize")
KEPT, LATENCY = Objective("compress/params_kept", "minimize"), Objective("compress/latency_ms", "minimize")


def limit(goal: str = "maximize", **bound: Any) -> Limit:
    [one] = limits_of([Constraint(metric="val/x", **bound)], {"val/x": goal})
    return one


@pytest.mark.parametrize(
    ("one", "value", "excess"),
    [
        (limit(at_most=2.0), 2.5, 0.5),
        (limit(at_most=2.0), 2.0, 0.0),
        (limit(at_least=2.0), 2.5, -0.5),
        (limit(at_least=2.0), 0.5, 1.5),
        (limit(within=0.25), 7.5, 0.25),
        (limit(within=0.25), 8.5, -0.75),
        (limit("minimize", within=0.25), 8.5, 0.25),
        (limit("minimize", within=0.25), 7.5, -0.75),
    ],
)
def test_a_constraint_is_missed_by_what_lies_beyond_its_bound(
    one: Limit, value: float, excess: float
) -> None:
    """The dense network reaches 8."""
    metrics = {"val/x": value, "dense/val/x": 8.0}
    assert one.excess(metrics) == excess
    bound = 8 + (0.25 if one.is_most else -0.25) if one.from_dense else 2.0
    assert one.violation(metrics) == pytest.approx(excess / bound)


def test_equal_fractions_keep_a_bound_however_they_are_rounded() -> None:
    metrics = {"val/x": 0.1 * 3 - 0.2, "dense/val/x": 0.3}
    assert metrics["val/x"] > 0.1 and limit("minimize", at_most=0.1).excess(metrics) == 0.0
    assert limit(at_least=0.1 * 3).excess({"val/x": 0.3}) == 0.0
    near = {"val/accuracy": 0.3, "dense/val/accuracy": 0.1 * 3, "compress/params_kept": 0.5}
    assert 0.3 < 0.1 * 3 and Choice(ACCURACY, 0.0).is_close(near)


def test_a_metric_that_is_not_told_keeps_nothing() -> None:
    assert limit(at_most=2.0).excess({}) == math.inf
    assert limit(within=0.1).violation({"val/x": 1.0}) == math.inf
    assert limit(at_least=0.0).violation({"val/x": -3.0}) == 3.0


NETWORKS = st.lists(
    st.builds(
        lambda accuracy, kept, dense: {
            "val/accuracy": accuracy / 8,
            "compress/params_kept": kept / 8,
            "dense/val/accuracy": dense / 8,
        },
        st.integers(0, 8),
        st.integers(1, 8),
        st.integers(6, 8),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(NETWORKS, st.sampled_from([0.0, 0.125, 0.25]))
def test_the_smallest_near_dense_is_taken_else_the_best(
    networks: list[dict[str, float]], within: float
) -> None:
    found = Choice(ACCURACY, within).best(networks)
    if not networks:
        assert found is None
        return
    assert found is not None
    near = [n for n in networks if n["val/accuracy"] >= n["dense/val/accuracy"] - within]
    by_size = [(n["compress/params_kept"], -n["val/accuracy"]) for n in near]
    chosen = networks[found]
    if near:
        assert (chosen["compress/params_kept"], -chosen["val/accuracy"]) == min(by_size)
    else:
        assert chosen["val/accuracy"] == max(n["val/accuracy"] for n in networks)
    assert found == networks.index(chosen)  # of equals the first


@pytest.mark.parametrize(
    ("asked", "objectives", "choice"),
    [
        (None, [ACCURACY], Choice(ACCURACY)),
        (None, [KEPT], Choice(KEPT)),
        (None, [ACCURACY, KEPT], Choice(ACCURACY, 0.01)),
        (None, [LATENCY, ACCURACY], Choice(ACCURACY, 0.01, "compress/latency_ms")),
        (None, [LOSS, KEPT], Choice(LOSS)),
        (None, [KEPT, LATENCY], Choice(KEPT)),
        (None, [ACCURACY, LOSS], Choice(ACCURACY)),
        (Choose(smallest_within=0.03), [ACCURACY], Choice(ACCURACY, 0.03)),
        (Choose(smallest_within=0.5), [KEPT, LOSS], Choice(LOSS, 0.5)),
        (Choose(smallest_within=0.03), [LATENCY], Choice(ACCURACY, 0.03, "compress/latency_ms")),
        (Choose(best_on="compress/params_kept"), [ACCURACY, KEPT], Choice(KEPT)),
    ],
)
def test_what_is_chosen_by_follows_from_the_objectives(
    asked: Choose | None, objectives: list[Objective], choice: Choice
) -> None:
    assert choice_of(asked, objectives, ACCURACY) == choice


def record_of(trials: list[tuple[float, float, float]], **sweep: Any) -> StudyRecord:
    """A study of trials with accuracy, parameters kept and latency; dense reaches .9."""
    objectives = (ACCURACY, KEPT)
    study = optuna.create_study(directions=[o.goal for o in objectives])
    rows = []
    for number, (accuracy, kept, latency) in enumerate(trials):
        metrics = {
            "val/accuracy": accuracy,
            "compress/params_kept": kept,
            "compress/latency_ms": latency,
            "dense/val/accuracy": 0.9,
        }
        rows.append(TrialRecord(str(number), "complete", values=(accuracy, kept), metrics=metrics))
        study.add_trial(create_trial(values=[accuracy, kept]))
    return StudyRecord(Path(), "s", objectives, 9, tuple(rows), (), {}, None, {}, sweep, {}, study)


def test_of_accuracy_and_size_the_smallest_within_a_point_is_best() -> None:
    record = record_of([(0.92, 0.8, 1), (0.895, 0.3, 1), (0.893, 0.2, 1), (0.88, 0.1, 1)])
    assert record.best and record.best.key == "2"
    for choose, key in ({"best_on": "val/accuracy"}, "0"), ({"smallest_within": 0.03}, "3"):
        chosen = record_of([(*(t.values or ())[:2], 1.0) for t in record.trials], choose=choose).best
        assert chosen and chosen.key == key


def test_the_best_keeps_the_constraints_and_where_none_does_the_nearest_is_told() -> None:
    latency = {"metric": "compress/latency_ms", "at_most": 2.0}
    within = {"metric": "val/accuracy", "within": 0.02, "of": "dense"}
    trials = [(0.92, 0.8, 2.5), (0.885, 0.3, 2.0), (0.87, 0.2, 1.0)]
    record = record_of(trials, constraints=[latency, within])
    assert [t.key for t in record.feasible] == ["1"] and record.nearest is None
    assert record.best and record.best.key == "1"  # 1.5 points below dense: the best of those that may be

    record = record_of([trials[0], trials[2]], constraints=[latency, within])
    assert record.best is None and not record.feasible
    assert record.nearest and record.nearest.key == "1"  # a point of 88 % missed is less than half a ms of 2
    [(missed, excess)] = record.missed(record.nearest).items()
    assert missed.name == "val/accuracy within 0.02 of dense" and excess == pytest.approx(0.01)
    assert record_of([], constraints=[latency]).nearest is None
