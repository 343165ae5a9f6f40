"""Values that are sound each by itself and do not go together.

Such a draw is infeasible and costs nothing, never a failed trial.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sweeps
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run

Tombola = Callable[..., Answer]
LOTTERY: dict[str, Any] = {
    "trainable": "lottery",
    "compression": {"method": "magnitude"},
    "lottery": {"levels": 1},
    "budget": {},
}

SEARCHES: dict[str, tuple[dict[str, Any], dict[str, list[Any]], int, str]] = {
    "nesterov without momentum": (
        {},
        {"training.momentum": [0.0, 0.9], "training.nesterov": [True, False]},
        3,
        "training: nesterov needs a momentum above 0.",
    ),
    "steps of another schedule": (
        {},
        {"training.schedule.name": ["multistep", "constant"], "training.schedule.every": [1, None]},
        2,
        "training.schedule: ",
    ),
    "smoothing of another loss": (
        {},
        {
            "task.loss": ["cross_entropy", "tests.sweeps.users:own_loss"],
            "training.label_smoothing": [0.1, 0.0],
        },
        3,
        "label_smoothing belongs to the loss cross_entropy, not to tests.sweeps.users:own_loss.",
    ),
    "a warm-up beyond the training": (
        {},
        {"training.schedule.warmup": [2, 0], "training.epochs": [1, 2]},
        3,
        "training.schedule.warmup 2 lasts longer than the 1 epochs of training.",
    ),
    "a control of a decomposition": (
        {},
        {"compression.method": ["svd", "magnitude"], "compression.control": ["none", "shuffle"]},
        3,
        "control shuffle needs a method that removes single weights, and svd decomposes layers; ",
    ),
    "a budget of another kind of method": (
        {"budget": {}},
        {
            "compression.method": ["magnitude", "svd"],
            "budget.flops_ratio": [None, 0.3],
            "budget.keep_ratio": [0.3, None],
        },
        3,
        "",
    ),
    "a rewind point beyond the training": (
        LOTTERY,
        {"training.epochs": [1, 2], "lottery.rewind_to": ["0it", "1ep"]},
        3,
        "lottery.rewind_to 1ep lies beyond the training's 9 steps.",
    ),
}


def grid(keys: dict[str, Any], values: dict[str, list[Any]]) -> dict[str, Any]:
    return digits(method="grid", run_cap=64, parameters={n: {"values": v} for n, v in values.items()}, **keys)


@pytest.mark.parametrize(("keys", "values", "possible", "reason"), SEARCHES.values(), ids=SEARCHES)
def test_a_draw_that_cannot_be_is_infeasible(
    tombola: Tombola, keys: dict[str, Any], values: dict[str, list[Any]], possible: int, reason: str
) -> None:
    Path("s.yaml").write_text(json.dumps(grid(keys, values)))
    assert tombola("validate", "s.yaml").exit_code == 0
    answer = tombola("run", "s.yaml", "--in-process", "--out", "study")
    assert answer.exit_code == 0, answer.stderr
    record = sweeps.load_record(Path("study"))
    points = 1
    for choices in values.values():
        points *= len(choices)
    assert (record.count("complete"), record.count("infeasible")) == (possible, points - possible)
    assert all((t.reason or "").startswith(reason) for t in record.trials if t.outcome == "infeasible")


def test_a_draw_that_cannot_be_does_not_count_towards_run_cap(tmp_path: Path) -> None:
    parameters = {"training.momentum": {"values": [0.0, 0.9]}, "training.nesterov": {"values": [True, False]}}
    record = run(digits(parameters=parameters, run_cap=6, seed=1), tmp_path)
    assert (record.count("complete"), record.count("failed")) == (6, 0)
    assert (
        record.count("infeasible")
        == sum(t.params == {"training.momentum": 0.0, "training.nesterov": True} for t in record.trials)
        > 0
    )
