"""The ways in which the worker of a trial dies, and how many deaths of each kind a trial outlives."""

import math
from collections.abc import Mapping
from typing import Literal

Death = Literal["crashed", "out_of_memory", "preempted", "unreachable"]
"""Its process died; Ray ended it to free memory; its node was taken back; its node was lost."""

DEATH = "death"
"""Marks a row whose worker died with the kind of its death."""
OUTLIVED: Mapping[Death, float] = {
    "crashed": 3,
    "out_of_memory": 6,  # other trials may leave memory free again
    "preempted": math.inf,  # says nothing about the trial
    "unreachable": 12,  # nor does this, unless it is the trial that takes nodes down
}
