"""Write the first sweep file for a network and a data set, from what these tell."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import trainables
from sweeps.errors import SweepError
from sweeps.sweep_file import yaml_file
from trainables.config import TaskConfig
from trainables.errors import TaskError

_STEPS = 4_000  # of the optimiser: minutes for a small network on two cores
_HEAD = """\
# Written by `tombola init`; docs/sweep-file.md explains every key. Look first at training, which decides
# how good the dense network becomes, and at budget.
"""
_SEARCH: dict[str, Any] = {
    "per_layer": {"scale": {"spread": 0.3}},
    "method": "cmaes",
    "screen": {"trials": 60},
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "run_cap": 8,
    "replicates": 3,
}
"""The layers' shares of the budget are searched around what a few hundred images say of them."""


def first_sweep(network: str, data: str, keep_ratio: float) -> dict[str, Any]:
    """Return a sweep that shrinks a network to a share of its weights; what it can find out it does not ask.

    Raises `SweepError` where the network or the data cannot be had, or the task is no classification.
    """
    task = TaskConfig(network, data)
    try:
        examples = trainables.load_data(task)
        trainables.build_network(task)
    except TaskError as error:
        raise SweepError(f"{str(error)[:1].upper()}{str(error)[1:]}") from error
    if examples.num_classes is None:
        raise SweepError(
            f"{data} has no classes: for other tasks begin with one of the files in docs/tasks.md."
        )
    return {
        "name": name_of(network, data),
        "project": "tombola",
        "task": {"network": network, "data": data},
        "training": training_for(len(examples.train)),
        "compression": {"method": "calibrated"},
        "budget": {"keep_ratio": keep_ratio},
        "baselines": ["svd", "alds"],
        **_SEARCH,
    }


def name_of(*parts: str) -> str:
    """Return a name for a study that may be a folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-._") or "first"


def training_for(examples: int) -> dict[str, Any]:
    """Return training settings that learn something from so many examples in some minutes."""
    batch_size = next(size for size, enough in ((128, 10_000), (64, 1_000), (32, 0)) if examples >= enough)
    epochs = max(3, min(30, round(_STEPS * batch_size / examples)))
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": "adam",
        "lr": 1e-3,
        "schedule": {"name": "cosine", "warmup": 1},
    }


def as_text(sweep: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """Return a sweep as a file's text, with ``notes`` as comments at its beginning."""
    comments = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    return f"{_HEAD}{comments}{yaml_file.dumped(sweep)}"
