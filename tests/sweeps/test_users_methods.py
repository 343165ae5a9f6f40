"""A sweep over methods of the user's own, which are known by their source and travel to workers."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pruners
from sweeps import StudyRecord, Sweep
from sweeps.running.on_ray.runtime_env import runtime_env
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run

RULE = """\
from mine_rules.power import POWER
from pruners.own_method import ScoreMethod

class Rule(ScoreMethod):
    title, paper = "Powers of weights", "nowhere"

    def scores(self, network, weights, alive, scoring_inputs, options):
        return {name: weight.detach().abs() ** POWER for name, weight in weights.items()}
"""
FILES = {
    "mine_rules/__init__.py": "",
    "mine_rules/rule.py": RULE,
    "mine_rules/power.py": "POWER = 3\n",
    "mine_rules/notes.py": "TEXT = 'nobody imports this'\n",
}
OWN = "mine_rules.rule:Rule"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with the user's package in it."""
    monkeypatch.syspath_prepend(tmp_path)
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    yield tmp_path
    forget()


def forget() -> None:
    """Forget the user's modules, as a new process has."""
    for module in [module for module in sys.modules if module.startswith("mine_rules")]:
        del sys.modules[module]


def sweep(folder: Path, **keys: Any) -> dict[str, Any]:
    return digits(
        storage={"store": str(folder / "store")},
        compression={"method": "magnitude", "recalibrate_bn": 0, "retrain_epochs": 1},
        parameters={"compression.method": {"values": [OWN, "magnitude"]}},
        method="grid",
        **keys,
    )


def trained(record: StudyRecord) -> dict[str, float]:
    return {trial.params["compression.method"]: trial.metrics["epochs_trained"] for trial in record.trials}


def test_an_edit_of_a_method_retrains_what_it_compressed_and_nothing_else(folder: Path) -> None:
    first = run(sweep(folder), folder / "first")
    assert sum(trained(first).values()) == 3  # the dense network, and each small one
    own, known = sorted(first.trials, key=lambda trial: trial.params["compression.method"] != OWN)
    assert own.metrics["val/accuracy"] == known.metrics["val/accuracy"]  # third powers order as magnitudes do
    artifact = pruners.load(folder / f"first/trials/{own.key}/network/seed-0")
    assert isinstance(artifact, pruners.Mask) and artifact.method == OWN
    forget()
    (folder / "mine_rules/notes.py").write_text("TEXT = 'edited'\n")
    (folder / "mine_rules/power.py").write_text("POWER = -1\n")
    edited = run(sweep(folder), folder / "edited")
    assert trained(edited) == {OWN: 1, "magnitude": 0}
    [reversed_order] = [trial for trial in edited.trials if trial.params["compression.method"] == OWN]
    assert reversed_order.metrics["val/accuracy"] < own.metrics["val/accuracy"]
    forget()
    (folder / "mine_rules/power.py").write_text(FILES["mine_rules/power.py"])
    assert trained(run(sweep(folder), folder / "edited back")) == {OWN: 0, "magnitude": 0}


def test_a_baseline_of_ones_own_is_called_by_its_class(folder: Path) -> None:
    ranks = "tests.pruners.users_methods:LeastSum"
    own = {"method": ranks, "name": "coarse", "options": {"rank_multiple": 2}}
    searched = {"rank": {"min": 2, "max": 60}, "num_subspaces": {"values": [1, 2]}}
    data = digits(
        compression={"method": ranks, "recalibrate_bn": 0},
        parameters={},
        per_layer=searched,
        baselines=[own, "alds"],
        training={"epochs": 0},
        run_cap=1,
    )
    record = run(data, folder / "baselines")
    assert {trial.key: trial.params for trial in record.baselines} == {
        "baseline-LeastSum": {"compression.method": ranks},
        "baseline-coarse": {"compression.method": ranks, "compression.options.rank_multiple": 2},
        "baseline-alds": {"compression.method": "alds"},
    }
    assert all(trial.outcome == "complete" and trial.layers for trial in record.baselines)


def test_a_method_is_packed_for_workers_with_all_that_it_imports(folder: Path) -> None:
    for keys in (
        {"compression": {"method": OWN, "recalibrate_bn": 0}},
        {"parameters": {"compression.method": {"values": ["alds", OWN]}}},
        {"baselines": [OWN]},
    ):
        with runtime_env(Sweep.from_data(digits(**keys))) as env:
            assert (Path(env["working_dir"]) / "mine_rules/power.py").exists()


def test_commands_take_it(folder: Path, tombola: Callable[..., Answer]) -> None:
    network = ("--model", "lenet_300_100", "--input", "1,8,8", "--classes", "10", "--keep-ratio", ".3")
    ranks = "tests.pruners.users_methods:FirstLayersLess"
    told = json.loads(tombola("plan", *network, "--method", ranks, "--json").stdout)
    assert told["method"] == ranks and told["params"] <= told["budget"] and told["layers"]
    answer = tombola("plan", *network, "--method", OWN)
    assert answer.exit_code == 2 and "removes single weights and chooses no ranks" in answer.stderr
    answer = tombola("plan", *network, "--method", "tests.pruners.users_methods:Abstract")
    assert answer.exit_code == 2 and "is abstract: it does not define" in answer.stderr
