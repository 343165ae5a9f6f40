"""Constraints in studies that are run: held, told to Optuna, shown, and where none is kept the nearest."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps import StudyRecord, Sweep
from sweeps.running.conductor import finished_result
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import REASON, rows_by_trial, standing
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run
from trainables.results.result import TrialResult, write_result

RECIPE = Path(__file__).parents[2] / "sweeps/configs/smallest_within_a_point.yaml"
KEPT = [0.02, 0.1, 0.5]
ENOUGH = 20
"""Milliseconds that the small networks keep on a busy machine too."""


def smallest(**keys: Any) -> dict[str, Any]:
    """The recipe's objective, constraints and search, on a network that trains in a moment."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    recipe["constraints"][1]["at_most"] = ENOUGH
    return digits(
        **{key: recipe[key] for key in ("metric", "constraints", "budget")},
        training={"epochs": 5, "batch_size": 64, "lr": 0.1},
        parameters={"budget.keep_ratio": {"values": KEPT}},
        method="grid",
        run_cap=3,
        **keys,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return run(smallest(), tmp_path_factory.mktemp("s") / "smallest")


def test_the_recipe_is_a_short_file_that_keeps_its_promise() -> None:
    lines = [line for line in RECIPE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) <= 15
    prepared = prepare(Sweep.from_file(RECIPE))
    names = ["val/accuracy within 0.01 of dense", "compress/latency_ms at most 8"]
    assert [limit.name for limit in prepared.limits] == names
    assert f"constraints: {', '.join(names)}" in dry_run_text(prepared)


def test_the_best_is_the_smallest_that_keeps_every_constraint(study: StudyRecord) -> None:
    dense = study.dense["val/accuracy"]
    ok = [t for t in study.complete if t.metrics["val/accuracy"] >= dense - 0.01 - 1e-9]
    ok = [t for t in ok if t.metrics["compress/latency_ms"] <= ENOUGH]
    assert 0 < len(ok) < 3, [t.metrics["val/accuracy"] for t in study.complete]
    assert study.feasible == tuple(ok) and study.nearest is None
    assert study.best == min(ok, key=lambda t: t.metrics["compress/params_kept"])
    assert study.front == (study.best,)  # Optuna's own opinion, which was told the constraints


def test_a_result_that_lacks_what_is_bounded_fails_its_trial_though_its_driver_died(tmp_path: Path) -> None:
    prepared, paths = prepare(Sweep.from_data(smallest())), StudyPaths(tmp_path)
    study = storage.create(paths, "s", None, ["minimize"])

    def ledger() -> Ledger:
        read = partial(finished_result, paths, prepared)
        return Ledger(study, prepared.space, prepared.sampler, prepared.violation, read)

    asked = ledger().ask()
    assert asked is not None
    told = {"val/accuracy": 0.5, "dense/val/accuracy": 0.5, "compress/params_kept": 0.5}
    write_result(prepared.trial_config("0", asked[1], paths), TrialResult("0", told))
    assert ledger().counts() == {"failed": 1}, "as it is where its driver lives"
    [rows] = rows_by_trial(study).values()
    assert standing(rows).user_attrs[REASON] == "compress/latency_ms is missing"


def test_optuna_is_told_by_which_share_each_bound_is_missed(study: StudyRecord) -> None:
    for root, rows in rows_by_trial(study.study).items():
        metrics = study.trials[root].metrics
        bound = metrics["dense/val/accuracy"] - 0.01
        told = standing(rows).constraints
        assert told["val/accuracy within 0.01 of dense"] == pytest.approx(
            (bound - metrics["val/accuracy"]) / bound
        )
        assert told[f"compress/latency_ms at most {ENOUGH}"] == pytest.approx(
            metrics["compress/latency_ms"] / ENOUGH - 1
        )


def test_where_nothing_keeps_them_the_nearest_is_told_and_the_command_says_so(
    tombola: Callable[..., Answer],
) -> None:
    bounds = [
        {"metric": "val/accuracy", "at_least": 0.9999},
        {"metric": "compress/params_kept", "at_most": 0.09},
    ]
    Path("s.yaml").write_text(yaml.safe_dump(smallest() | {"constraints": bounds, "baselines": []}))
    answer = tombola("run", "s.yaml", "--in-process", "--out", "s")
    assert answer.exit_code == 3
    said = " ".join(answer.stdout.split())
    assert "No trial keeps every constraint. The nearest, trial" in said
    assert "misses val/accuracy at least 0.9999 by" in said
    assert not Path("s/best").exists()

    told = json.loads(tombola("status", "s", "--json").stdout)
    assert told["best"] is None and told["feasible"] == 0 and told["complete"] == 3
    assert told["constraints"] == ["val/accuracy at least 0.9999", "compress/params_kept at most 0.09"]
    assert set(told["nearest"]["missed"]) <= set(told["constraints"]) and told["nearest"]["missed"]
    text = tombola("status", "s").stdout
    assert "keep every constraint: 0 of 3" in text and "nearest: trial" in text
    assert tombola("resume", "s", "--in-process").exit_code == 3
    refused = tombola("export", "s", "--to", "small")
    assert refused.exit_code == 1
    nearest = told["nearest"]["trial"]
    assert f"keeps every constraint; the nearest is taken with --trial {nearest}." in refused.stderr
    assert tombola("export", "s", "--to", "small", "--trial", nearest).exit_code == 0

    page = Path("s/report.html").read_text(encoding="utf-8")
    assert "No network keeps every constraint" in page
