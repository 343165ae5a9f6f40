"""The training log of a trajectory: one line for each epoch really trained, and by whom."""

import json
import os
from pathlib import Path

_NAME = "training_log.jsonl"


def append(folder: Path, epoch: int, steps: int, trainer: str) -> None:
    """Append to the log in ``folder`` that ``trainer`` trains ``steps`` steps of an epoch."""
    with (folder / _NAME).open("a") as file:
        file.write(
            json.dumps({"epoch": epoch, "steps": steps, "trainer": trainer, "pid": os.getpid()}) + "\n"
        )


def count_steps(folder: Path, trainer: str) -> int:
    """Count the steps of this trajectory that ``trainer`` trained, also those that a crash lost."""
    mine = f'"trainer": {json.dumps(trainer)},'
    return sum(json.loads(line)["steps"] for line in _lines(folder) if mine in line)


def trainers(folder: Path) -> set[str]:
    """Return who trained a part of the trajectory in ``folder``."""
    return {json.loads(line)["trainer"] for line in _lines(folder)}


def _lines(folder: Path) -> list[str]:
    path = folder / _NAME
    return path.read_text().splitlines() if path.exists() else []
