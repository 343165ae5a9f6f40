"""Every sampler brings a study to its end, and what it draws follows from the study and its seed alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from sweeps.search import samplers
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import rows_by_trial, standing
from sweeps.sweep_file.samplers import Tpe
from sweeps.sweep_file.space import Space

RANGES: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-3, 1, log=True),
    "y": IntDistribution(1, 9),
    "z": FloatDistribution(-1, 1),
}
GRID: dict[str, BaseDistribution] = {
    "x": CategoricalDistribution([0.1, 0.2, 0.4]),
    "y": IntDistribution(1, 5, step=2),
    "z": FloatDistribution(0, 0.5, step=0.5),
}
SMALL: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "bayes": {"n_startup_trials": 4},
    "nsga2": {"population_size": 4},
    "nsga3": {"population_size": 4},
    "cmaes": {"n_startup_trials": 2},
    "gp": {"n_startup_trials": 4},
}
"""Options that let a sampler leave its random beginning within a few trials."""


def space_of(method: str) -> dict[str, BaseDistribution]:
    return GRID if method == "grid" else RANGES


def open_ledger(root: Path, method: str, goals: Sequence[Any], seed: int = 5) -> Ledger:
    root.mkdir(exist_ok=True)
    study = storage.create(StudyPaths(root), "s", None, goals)
    space = space_of(method)
    return Ledger(
        study,
        Space(space),
        partial(samplers.build, method, SMALL.get(method, {}), space, seed),
        lambda _: None,
        lambda _: None,
    )


def constraints(method: str, params: Mapping[str, Any]) -> dict[str, float]:
    """Two constraints, of which CMA-ES and a sampler that does not learn know nothing."""
    return {} if method == "cmaes" else {"x": params["x"] - 0.9, "z": 0.1 - params["z"]}


def losses(params: Mapping[str, Any]) -> list[float]:
    return [(params["x"] - 0.3) ** 2 + params["z"] ** 2, abs(params["y"] - 4) + params["x"], params["z"]]


def go_on(root: Path, method: str, trials: int, objectives: int = 1, seed: int = 5) -> list[dict[str, Any]]:
    """One driver asks and tells until the study has ``trials`` complete ones. What was drawn, in order."""
    ledger = open_ledger(root, method, ["minimize"] * objectives, seed)
    while ledger.counts().get("complete", 0) < trials:
        asked = ledger.ask()
        assert asked is not None
        ledger.complete(asked[0], losses(asked[1])[:objectives], {}, {}, constraints(method, asked[1]))
    assert ledger.counts().get("complete", 0) == trials and set(ledger.counts()) <= {"complete"}
    return [dict(standing(rows).params) for rows in rows_by_trial(ledger.study).values()]


def go_on_and_die(root: Path, method: str, done: int) -> None:
    """A driver that is gone while the trial after ``done`` others is under way."""
    go_on(root, method, done)
    open_ledger(root, method, ["minimize"]).ask()


@pytest.mark.parametrize("method", samplers.SAMPLERS)
def test_what_is_drawn_does_not_depend_on_how_often_the_driver_was_restarted(
    tmp_path: Path, method: str
) -> None:
    through = go_on(tmp_path / "through", method, 9)
    for trials in range(1, 10):
        restarted = go_on(tmp_path / "restarted", method, trials)
    assert restarted == through
    assert len({tuple(params.items()) for params in through}) > 5


@pytest.mark.parametrize("method", samplers.SAMPLERS)
def test_a_trial_under_way_when_its_driver_died_is_the_next_ones_first(tmp_path: Path, method: str) -> None:
    go_on(tmp_path, method, 5)
    asked = open_ledger(tmp_path, method, ["minimize"]).ask()
    assert asked is not None and asked == open_ledger(tmp_path, method, ["minimize"]).ask()


# qmc and grid go through a sequence by rows, of which a retry takes one
@pytest.mark.parametrize("method", [m for m in samplers.SAMPLERS if m not in ("qmc", "grid")])
def test_a_driver_that_died_changes_no_draw_but_its_own(tmp_path: Path, method: str) -> None:
    through = go_on(tmp_path / "through", method, 8)
    for done in (0, 5):
        root = tmp_path / f"died-{done}"
        go_on_and_die(root, method, done)
        assert sorted(go_on(root, method, 8), key=str) == sorted(through, key=str)


@pytest.mark.parametrize("method", ["random", "tpe", "qmc", "nsga2", "cmaes"])
def test_another_seed_draws_otherwise(tmp_path: Path, method: str) -> None:
    assert go_on(tmp_path / "a", method, 6, seed=5) != go_on(tmp_path / "b", method, 6, seed=6)


def test_a_grid_visits_every_point_once_however_often_its_driver_dies(tmp_path: Path) -> None:
    for done in range(18):
        go_on_and_die(tmp_path, "grid", done)
    visited = [(p["x"], p["y"], p["z"]) for p in go_on(tmp_path, "grid", 18)]
    assert sorted(visited) == [(x, y, z) for x in (0.1, 0.2, 0.4) for y in (1, 3, 5) for z in (0.0, 0.5)]


def test_the_points_of_a_grid_lie_in_their_range() -> None:
    tenths = FloatDistribution(0.1, 0.7, step=0.1)
    assert samplers.grid_values("x", tenths) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.parametrize("method", [m for m in samplers.SAMPLERS if m != "cmaes"])
@pytest.mark.parametrize("objectives", [2, 3])
def test_several_objectives_come_to_their_end(tmp_path: Path, method: str, objectives: int) -> None:
    drawn = go_on(tmp_path, method, 8, objectives)
    study = open_ledger(tmp_path, method, ["minimize"] * objectives).study
    assert [trial.values for trial in study.trials] == [losses(params)[:objectives] for params in drawn]
    assert study.best_trials


@pytest.mark.parametrize("method", ["tpe", "cmaes"])
def test_a_sampler_that_learns_beats_chance(tmp_path: Path, method: str) -> None:
    """The median of its last ten trials against that of as many random ones."""
    learnt = sorted(losses(params)[0] for params in go_on(tmp_path / method, method, 40)[-10:])
    chance = sorted(losses(params)[0] for params in go_on(tmp_path / "random", "random", 40)[-10:])
    assert learnt[5] < chance[5] / 2


def test_the_samplers_have_the_names_that_the_sweep_file_promises() -> None:
    assert {"tpe", "random", "nsga2", "nsga3", "cmaes", "gp", "qmc", "grid"} <= set(samplers.SAMPLERS)
    assert all(issubclass(sampler, optuna.samplers.BaseSampler) for sampler in samplers.SAMPLERS.values())


def test_tpe_draws_together_what_optunas_does(tmp_path: Path) -> None:
    def together() -> dict[str, BaseDistribution]:
        study = open_ledger(tmp_path, "tpe", ["minimize"]).study
        row = study.get_trials(deepcopy=False)[0]
        own, optunas = Tpe(seed=0), optuna.samplers.TPESampler(seed=0)
        found = own.infer_relative_search_space(study, row)
        assert found == optunas.infer_relative_search_space(study, row) and list(found) == sorted(found)
        return found

    go_on(tmp_path, "tpe", 6)
    assert together().keys() == RANGES.keys()
    ledger = open_ledger(tmp_path, "tpe", ["minimize"])
    row = ledger.study.get_trials(deepcopy=False)[0]
    kept = {name: row.params[name] for name in ("x", "y")}
    space = {name: row.distributions[name] for name in kept}
    ledger.study.add_trial(create_trial(value=0.0, params=kept, distributions=space))
    assert together().keys() == {"x", "y"}
