"""Screening: many trials scored without training, the best trained; the same however it is stopped."""

import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sweeps
from sweeps import StudyRecord, Sweep, SweepError
from sweeps.commands.status import describe
from sweeps.errors import TOO_MANY_FAILED
from sweeps.report.charts.screening import rank_correlation, score_chart
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import TRIAL_METRICS
from sweeps.study.screening import name_of_screening
from tests.sweeps.studies import USERS, digits, run
from trainables.metric_names import DIVERGENCE
from trainables.trials.screening import NETWORK

REFITS = {"compression.options.refit": {"values": ["none", "layer"]}}
ERROR_METRICS = {"compression.options.metric": {"values": ["max", "sum"]}}


def screened_sweep(**keys: Any) -> dict[str, Any]:
    """A sweep that scores nine trials and trains three of them; ``keys`` replace its keys."""
    return digits(
        **{
            "per_layer": {"tolerance": {"min": 0.25, "max": 4.0}},
            "training": {"epochs": 1, "batch_size": 128, "lr": 0.03},
            "budget": {"keep_ratio": 0.3},
            "compression": {"method": "alds", "recalibrate_bn": 0, "retrain_epochs": 1},
            "screen": {"trials": 9, "images": 64},
            "run_cap": 3,
            **keys,
        }
    )


def scores(folder: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Parameters and findings of the screened trials that came to their end, in order."""
    study = storage.load(StudyPaths(folder), name_of_screening("digits"), None)
    return [
        (row.params, row.user_attrs[TRIAL_METRICS])
        for row in study.get_trials(deepcopy=False)
        if row.state.name == "COMPLETE"
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return run(screened_sweep(), tmp_path_factory.mktemp("screened"))


def test_the_method_s_own_answer_and_the_best_by_score_are_trained(study: StudyRecord) -> None:
    found = scores(study.directory)
    assert len(found) == 9 and set(found[0][0].values()) == {1.0}
    assert [t.outcome for t in study.trials] == ["complete"] * 3 and study.own == study.trials[0]
    assert study.trials[0].params == found[0][0]
    own, others = found[0][1][NETWORK], sorted(found[1:], key=lambda one: one[1][DIVERGENCE])
    distinct = {one[1][NETWORK]: one for one in reversed(others) if one[1][NETWORK] != own}
    best = sorted(distinct.values(), key=lambda one: one[1][DIVERGENCE])[:2]
    assert [t.params for t in study.trials[1:]] == [params for params, _ in best]
    assert all(t.history for t in study.trials), "they are retrained"


def test_the_score_is_the_trial_s_own_divergence(study: StudyRecord) -> None:
    by_params = {tuple(params.items()): found for params, found in scores(study.directory)}
    for trial in study.trials:
        assert trial.metrics[DIVERGENCE] == by_params[tuple(trial.params.items())][DIVERGENCE] > 0


def test_a_larger_run_cap_goes_on_with_the_next_best(study: StudyRecord, tmp_path: Path) -> None:
    few = run(screened_sweep(run_cap=2), tmp_path)
    more = run(screened_sweep(run_cap=3), tmp_path)
    assert len(few.trials) == 2 and len(scores(tmp_path)) == 9
    assert [(t.params, t.values) for t in more.trials] == [(t.params, t.values) for t in study.trials]


def test_stopped_again_and_again_it_comes_to_the_same_study(
    study: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"network": "lenet_300_100", "data": "digits", "loss": f"{USERS}:interrupted_when_asked"}
    flag = tmp_path / "flag"
    monkeypatch.setenv("INTERRUPT", str(flag))
    folder = tmp_path / "study"
    for _ in range(3):
        flag.touch()
        with pytest.raises(KeyboardInterrupt):
            run(screened_sweep(task=task), folder)
    record = run(screened_sweep(task=task), folder)
    assert [(p, f[DIVERGENCE]) for p, f in scores(folder)] == [
        (p, f[DIVERGENCE]) for p, f in scores(study.directory)
    ]
    assert [(t.params, t.values) for t in record.trials] == [(t.params, t.values) for t in study.trials]


def test_where_few_networks_differ_no_trial_is_trained_that_was_not_screened(tmp_path: Path) -> None:
    few = screened_sweep(per_layer=None, parameters=REFITS, run_cap=4)
    del few["per_layer"]
    record = run(few, tmp_path)
    assert len({found[NETWORK] for _, found in scores(tmp_path)}) == 2
    assert [t.outcome for t in record.trials] == ["complete"] * 2 and record.target == 2
    again = run({**few, "screen": {"trials": 12, "images": 64}}, tmp_path)
    assert len(scores(tmp_path)) == 12, "more may be screened when the study goes on"
    assert [t.values for t in again.trials] == [t.values for t in record.trials] and again.target == 2
    with pytest.raises(SweepError, match=r'"screen\.images" differs'):
        run({**few, "screen": {"trials": 12, "images": 32}}, tmp_path)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("not_finite_when_judged", "the validation loss became nan after epoch 0"),
        ("not_finite_once_smaller", "its outputs are not finite"),
    ],
)
def test_a_screening_of_which_every_trial_fails_says_so(tmp_path: Path, network: str, reason: str) -> None:
    task = {"network": f"{USERS}:{network}", "data": "digits"}
    said = f"the first 3 screened trials all failed, the last with this reason: {reason}"
    with pytest.raises(SweepError, match=said) as refused:
        run(screened_sweep(task=task, screen={"trials": 3, "images": 64}), tmp_path)
    assert refused.value.exit_code == TOO_MANY_FAILED


def test_what_is_enqueued_is_trained_whatever_its_score(tmp_path: Path) -> None:
    names = list(prepare(Sweep.from_data(screened_sweep())).space.distributions)
    bad = {names[0]: 4.0, names[1]: 0.25}
    record = run(screened_sweep(enqueue=[bad], screen={"trials": 3, "images": 64}), tmp_path)
    assert [record.trials[1].params[name] for name in names[:2]] == [4.0, 0.25]
    assert len(scores(tmp_path)) == 3


def test_time_that_is_up_ends_the_screening_and_the_study_goes_on_later(tmp_path: Path) -> None:
    record = run(screened_sweep(time_limit="0.001s"), tmp_path)
    assert record.time_is_up and not record.trials
    assert (
        sweeps.run(
            Sweep.from_data({**screened_sweep(), "time_limit": "1h"}), tmp_path, without_ray=True
        ).count("complete")
        == 3
    )


def test_status_and_report_tell_of_it(study: StudyRecord) -> None:
    found = [one for _, one in scores(study.directory)]
    assert [dict(t.metrics) for t in study.screened] == found
    told = describe(study, None)["screened"]
    assert told == {"trials": 9, "target": 9, "best": min(one[DIVERGENCE] for one in found)}
    chart = score_chart(study)
    assert chart is not None and chart.figure is not None
    assert list(chart.figure.data[0].x) == [one[DIVERGENCE] for one in found]
    networks = {one[NETWORK]: (one[DIVERGENCE], one["val/accuracy"]) for one in found}
    expected = by_hand(*map(list, zip(*networks.values(), strict=True)))
    told_over = f"correlation before retraining is {expected:+.2f} over {len(networks)} networks."
    assert told_over in chart.caption
    report = (study.directory / "report.html").read_text()
    assert "Divergence before retraining" in report and "9 trials without training" in report


def by_hand(one: list[float], other: list[float]) -> float:
    """The correlation of ranks, equal values having the mean of theirs."""
    ranks = [[(sum(b < a for b in v) + sum(b <= a for b in v) + 1) / 2 for a in v] for v in (one, other)]
    return statistics.correlation(*ranks)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_a_rank_correlation_is_that_of_the_ranks(pairs: list[tuple[int, int]]) -> None:
    one, other = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    found = rank_correlation(one, other)
    if len(set(one)) < 2 or len(set(other)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(by_hand(one, other), abs=1e-9)


def test_a_dry_run_tells_of_it() -> None:
    told = dry_run_text(prepare(Sweep.from_data(screened_sweep())))
    assert "screened: 9 trials without training" in told


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"parameters": {"training.lr": {"min": 0.01, "max": 0.1}}}, "training.lr is searched; leave"),
        ({"parameters": {"compression.retrain_epochs": {"values": [1, 2]}}}, "retrain_epochs is searched"),
        ({"run_cap": 10}, "screen.trials is 9, and run_cap 10 of them are to be trained."),
        ({"per_layer": None}, "nothing is searched that could be screened"),
        ({"method": "grid", "per_layer": None, "parameters": ERROR_METRICS}, "a grid visits every point"),
    ],
)
def test_a_screening_that_says_nothing_is_refused(keys: dict[str, Any], said: str) -> None:
    data = {name: value for name, value in {**screened_sweep(), **keys}.items() if value is not None}
    with pytest.raises(SweepError) as refused:
        prepare(Sweep.from_data(data))
    assert said in str(refused.value) and "screen" in str(refused.value) and refused.value.exit_code == 2


def test_only_what_compresses_the_trained_network_is_screened_or_has_a_divergence() -> None:
    data = screened_sweep(trainable="prune_at_init")
    data["compression"] = {"method": "alds"}
    with pytest.raises(SweepError, match="trainable prune_at_init compresses another"):
        prepare(Sweep.from_data(data))
    del data["screen"]
    with pytest.raises(SweepError, match="compress/divergence is from the trained dense network"):
        prepare(Sweep.from_data({**data, "metric": {"name": DIVERGENCE, "goal": "minimize"}}))
