"""The training log of a trajectory: one line for each epoch really trained, and by whom."""

import json
import os

from trainables.places.place import Place, append

_NAME = "training_log.jsonl"


def add(folder: Place, epoch: int, steps: int, trainer: str) -> None:
    """Append to the log in ``folder`` that ``trainer`` trains ``steps`` steps of an epoch."""
    line = json.dumps({"epoch": epoch, "steps": steps, "trainer": trainer, "pid": os.getpid()})
    append(folder / _NAME, line.encode() + b"\n")


def count_steps(folder: Place, trainer: str) -> int:
    """Count the steps of this trajectory that ``trainer`` trained, also those that a crash lost."""
    mine = f'"trainer": {json.dumps(trainer)},'
    return sum(json.loads(line)["steps"] for line in _lines(folder) if mine in line)


def trainers(folder: Place) -> set[str]:
    """Return who trained a part of the trajectory in ``folder``."""
    return {json.loads(line)["trainer"] for line in _lines(folder)}


def _lines(folder: Place) -> list[str]:
    try:
        return (folder / _NAME).read_text().splitlines()
    except FileNotFoundError:
        return []
