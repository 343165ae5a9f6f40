"""Weights outside the budget are told by every command that looks at a network, and in the report: once."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import pruners
from sweeps.search.prepare import prepare
from sweeps.search.unreached import unreached
from sweeps.sweep_file.sweep import Sweep
from tests.sweeps.commands import Answer
from tests.sweeps.studies import USERS, digits

NETWORK = f"{USERS}:one_dimensional"
TASK = {"network": NETWORK, "data": "digits"}
SAID = (
    "Method svd leaves 69.3 % of the network's parameters as they are, outside its budget: "
    "'2.weight' (69.3 %: decompositions are of Conv2d and Linear, this is of Conv1d)."
)

Tombola = Callable[..., Answer]


def written(**keys: object) -> str:
    Path("s.yaml").write_text(yaml.safe_dump(digits(task=TASK, **keys)))
    return "s.yaml"


@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"]])
def test_told_before_anything_runs(tombola: Tombola, command: list[str]) -> None:
    answer = tombola(*command, written(compression={"method": "svd"}))
    assert answer.exit_code == 0 and answer.stdout.splitlines().count(SAID) == 1


def test_told_by_a_plan(tombola: Tombola) -> None:
    asked = [
        "plan",
        "--model",
        NETWORK,
        "--method",
        "svd",
        "--input",
        "1,8,8",
        "--classes",
        "10",
        "--keep-ratio",
        ".5",
    ]
    assert tombola(*asked).stdout.splitlines()[-1] == SAID
    left = json.loads(tombola(*asked, "--json").stdout)["unreached"]
    assert left == {
        "2.weight": {
            "weights": 1536,
            "share": 1536 / 2218,
            "reason": "decompositions are of Conv2d and Linear, this is of Conv1d",
        }
    }


def test_a_study_tells_it_once_and_its_report_keeps_it(tombola: Tombola) -> None:
    sweep = written(
        compression={"method": "svd", "recalibrate_bn": 0},
        parameters={"training.lr": {"min": 0.01, "max": 0.1}},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pruners.UnreachedWarning)
        answer = tombola("run", sweep, "--out", "study", "--in-process")
    assert answer.exit_code == 0
    assert answer.stdout.count("outside its budget") == 1 and SAID in answer.stdout
    assert (
        "Outside the budget" in (report := Path("study/report.html").read_text())
        and "this is of Conv1d" in report
    )


def sentences(**keys: object) -> list[str]:
    return unreached(prepare(Sweep.from_data(digits(task=TASK, **keys))))


def test_one_sentence_for_each_kind_of_method() -> None:
    assert sentences(compression={"method": "magnitude"}) == []
    both = {"compression.method": {"values": ["magnitude", "svd", "alds"]}}
    assert sentences(compression={}, parameters=both) == [SAID]
    assert sentences(compression={"method": "alds"}, baselines=["svd"]) == [SAID.replace("svd", "alds")]
