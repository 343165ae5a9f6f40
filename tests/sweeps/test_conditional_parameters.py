"""Parameters under a value of another belong to draws that have it; lists and mappings are choices."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.importance import get_param_importances

from sweeps import Sweep, TrialRecord
from sweeps.report.drawing.wording import setting_of
from sweeps.search import samplers
from sweeps.search.prepare import prepare
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import rows_by_trial, standing
from tests.sweeps.studies import digits, run

SGD = {"training.momentum": {"min": 0.1, "max": 0.9}, "training.lr": {"min": 0.01, "max": 0.3}}
ADAM = {"training.lr": {"min": 0.0001, "max": 0.01}, "training.weight_decay": {"value": 0.25}}
OPTIMIZERS = {"values": [{"value": "sgd", "parameters": SGD}, {"value": "adam", "parameters": ADAM}, "adamw"]}
LR_SGD, LR_ADAM = "training.lr (training.optimizer=sgd)", "training.lr (training.optimizer=adam)"
TRAINING = {"epochs": 1, "batch_size": 128, "lr": 0.05, "momentum": 0.5}


def sweep(**keys: Any) -> Sweep:
    parameters = {"training.optimizer": OPTIMIZERS, "training.batch_size": {"values": [64, 128]}}
    return Sweep.from_data(digits(**{"training": TRAINING, "parameters": parameters, **keys}))


def test_a_draw_sets_what_belongs_to_it_and_nothing_else() -> None:
    found = sweep()
    assert list(found.space.distributions) == [
        "training.optimizer",
        "training.momentum",
        LR_SGD,
        LR_ADAM,
        "training.batch_size",
    ]
    sgd = found.sections(
        {"training.optimizer": "sgd", "training.momentum": 0.7, LR_SGD: 0.2, "training.batch_size": 64}
    ).training
    assert (sgd.optimizer, sgd.momentum, sgd.lr, sgd.weight_decay) == ("sgd", 0.7, 0.2, 0.0)
    adam = found.sections({"training.optimizer": "adam", LR_ADAM: 0.002, "training.batch_size": 64}).training
    assert (adam.optimizer, adam.momentum, adam.lr, adam.weight_decay) == ("adam", 0.5, 0.002, 0.25)
    adamw = found.sections({"training.optimizer": "adamw", "training.batch_size": 64}).training
    assert (adamw.momentum, adamw.lr, adamw.weight_decay) == (0.5, 0.05, 0.0)


def test_the_draws_that_stand_for_all_reach_every_branch_at_both_ends() -> None:
    drawn = [sweep().sections(draw).training for draw in sweep().draws_for_all()]
    assert {(t.optimizer, t.lr) for t in drawn} == {
        ("sgd", 0.01), ("sgd", 0.3), ("adam", 0.0001), ("adam", 0.01), ("adamw", 0.05),
    }  # fmt: skip
    assert {t.momentum for t in drawn if t.optimizer == "sgd"} == {0.1, 0.9}
    assert {t.batch_size for t in drawn} == {64, 128}
    assert all(sweep().space.is_whole(draw) for draw in sweep().draws_for_all())


def test_a_value_within_a_branch_has_branches_of_its_own() -> None:
    inner = {
        "values": [
            {"value": "cosine"},
            {"value": "linear", "parameters": {"schedule.warmup": {"values": [1, 0]}}},
        ]
    }
    outer = {"values": [{"value": "sgd", "parameters": {"schedule.name": inner}}, "adam"]}
    found = sweep(parameters={"training": {"parameters": {"optimizer": outer}}})
    assert list(found.space.distributions) == [
        "training.optimizer",
        "training.schedule.name",
        "training.schedule.warmup",
    ]
    assert found.space.above("training.schedule.warmup") == {
        "training.optimizer": "sgd",
        "training.schedule.name": "linear",
    }
    drawn = [found.sections(draw).training.schedule for draw in found.draws_for_all()]
    assert {(s.name, s.warmup) for s in drawn} == {
        ("cosine", 0),
        ("constant", 0),
        ("linear", 1),
        ("linear", 0),
    }


def test_a_study_goes_on_from_the_sweep_that_it_wrote() -> None:
    found = sweep(training={**TRAINING, "momentum": 0.3})
    again = Sweep.from_data(found.resolved())
    assert again.space == found.space and again.resolved() == found.resolved()
    for draw in found.draws_for_all():
        assert again.sections(draw) == found.sections(draw)


@pytest.mark.parametrize("method", ["tpe", "random", "nsga2", "cmaes", "gp", "qmc"])
def test_every_sampler_but_the_grid_draws_what_belongs_together(tmp_path: Path, method: str) -> None:
    prepared = prepare(
        sweep(
            method=method, sampler_options={"n_startup_trials": 3} if method in ("tpe", "gp", "cmaes") else {}
        )
    )
    through = drawn(tmp_path / "through", prepared, 12)
    assert all(prepared.space.is_whole(params) for params in through)
    assert all(prepared.space.filled(params) == params for params in through)
    for count in (4, 8, 12):
        restarted = drawn(tmp_path / "restarted", prepared, count)
    assert restarted == through


def test_joint_draws_of_tpe_hold_what_stands_under_a_value(tmp_path: Path) -> None:
    prepared = prepare(sweep(method="tpe", sampler_options={"n_startup_trials": 3, "multivariate": True}))
    with samplers.quiet():
        drawn(tmp_path, prepared, 10)
        study, sampler = opened(tmp_path, prepared).study, prepared.sampler(10)
        joint = sampler.infer_relative_search_space(study, study.trials[-1])
    assert {"training.momentum", LR_SGD, "training.batch_size"} <= set(joint)


def opened(root: Path, prepared: Any) -> Ledger:
    root.mkdir(exist_ok=True)
    study = storage.create(StudyPaths(root), "s", None, ["minimize"])
    return Ledger(study, prepared.space, prepared.sampler, lambda _: None, lambda _: None)


def drawn(root: Path, prepared: Any, count: int) -> list[dict[str, Any]]:
    ledger = opened(root, prepared)
    while ledger.counts().get("complete", 0) < count:
        root_number, params = ledger.ask() or pytest.fail("every draw fits")
        lr = next((value for name, value in params.items() if name.startswith("training.lr")), 0.05)
        ledger.complete(root_number, [abs(math.log10(lr) + 2)], {}, {}, {})
    return [dict(standing(rows).params) for rows in rows_by_trial(ledger.study).values()]


def test_importance_tells_of_parameters_that_not_every_trial_has(tmp_path: Path) -> None:
    prepared = prepare(sweep(method="random"))
    drawn(tmp_path, prepared, 40)
    shares = get_param_importances(opened(tmp_path, prepared).study)
    assert set(shares) == set(prepared.space.distributions) and sum(shares.values()) == pytest.approx(1)


def test_lists_and_mappings_are_choices_that_the_study_shows_and_the_trial_gets(tmp_path: Path) -> None:
    parameters = {
        "training.augment": {"values": [[], ["flip"], ["flip", "crop"]]},
        "training.schedule": {"values": [{"name": "cosine", "warmup": 0}, {"value": {"name": "linear"}}]},
        "task.network_options": {"value": {"dropout": 0.25}},
    }
    record = run(digits(method="grid", parameters=parameters, run_cap=6), tmp_path)
    assert record.count("complete") == 6
    told = {(t.params["training.augment"], t.params["training.schedule"]) for t in record.trials}
    assert told == {
        (augment, schedule)
        for augment in ("[]", '["flip"]', '["flip", "crop"]')
        for schedule in ('{"name": "cosine", "warmup": 0}', '{"name": "linear"}')
    }
    prepared = prepare(Sweep.from_data(digits(method="grid", parameters=parameters, run_cap=6)))
    for trial in record.trials:
        config = prepared.trial_config(trial.key, trial.params, StudyPaths(tmp_path))
        assert list(config.training.augment) == json.loads(trial.params["training.augment"])
        assert config.training.schedule.name == json.loads(trial.params["training.schedule"])["name"]
        assert config.task.network_options == {"dropout": 0.25}


def test_a_grid_over_methods_holds_the_options_of_each(tmp_path: Path) -> None:
    own = {"compression.options": {"value": {"refit": "none", "metric": "sum"}}}
    parameters = {
        "compression.method": {"values": ["svd", {"value": "alds", "parameters": own}]},
        "budget.keep_ratio": {"values": [0.5, 0.3]},
    }
    given = digits(method="grid", parameters=parameters, run_cap=9, compression={"calibration_images": 32})
    record = run(given, tmp_path)
    assert record.count("complete") == 4
    prepared = prepare(Sweep.from_data(given))
    told = {}
    for trial in record.trials:
        config = prepared.trial_config(trial.key, trial.params, StudyPaths(tmp_path))
        told[config.compression.method, config.budget.keep_ratio] = config.compression.options
    assert told == {
        (method, kept): options
        for method, options in (("svd", {}), ("alds", {"refit": "none", "metric": "sum"}))
        for kept in (0.5, 0.3)
    }


def test_a_key_below_a_mapping_lays_itself_over_it() -> None:
    parameters = {
        "training.schedule.warmup": {"values": [0, 1]},
        "training.schedule": {"values": [{"name": "cosine", "warmup": 5}, {"name": "linear"}]},
    }
    found = sweep(parameters=parameters)
    drawn = [found.sections(draw).training.schedule for draw in found.draws_for_all()]
    assert {(s.name, s.warmup) for s in drawn} == {("cosine", 0), ("cosine", 1), ("linear", 0)}
    assert Sweep.from_data(found.resolved()).space == found.space


def test_a_study_over_conditional_parameters_comes_to_its_report(tmp_path: Path) -> None:
    data = digits(training=TRAINING, parameters={"training.optimizer": OPTIMIZERS}, run_cap=4, method="tpe")
    first = run({**data, "run_cap": 2}, tmp_path)
    record = run(data, tmp_path)
    assert [t.params for t in record.trials[:2]] == [t.params for t in first.trials]
    assert record.count("complete") == 4 and len({len(t.params) for t in record.trials}) > 1
    page = (tmp_path / "report.html").read_text()
    assert all(name in page for trial in record.trials for name in trial.params)


def test_the_report_knows_what_a_setting_was_under_each_value() -> None:
    record: Any = SimpleNamespace(sweep=sweep().resolved())
    draws = (
        {"training.optimizer": "sgd", LR_SGD: 0.2},
        {"training.optimizer": "adam", LR_ADAM: 0.002},
        {"training.optimizer": "adamw"},
    )
    told = [
        setting_of(record, TrialRecord("0", "complete", params=params), "training.lr") for params in draws
    ]
    assert told == [0.2, 0.002, 0.05]


def test_a_budget_held_under_a_value_is_looked_at_before_a_worker_is() -> None:
    size = {
        "training.batch_size": {
            "values": [64, {"value": 128, "parameters": {"budget.keep_ratio": {"value": 0.0001}}}]
        }
    }
    prepared = prepare(sweep(parameters=size))
    fits, misses = (prepared.violation({"training.batch_size": value}) for value in (64, 128))
    assert fits is not None and misses is not None and fits <= 0 < misses
