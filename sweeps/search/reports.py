"""How often a trial reports before its end: what early stopping and progress count."""

from dataclasses import dataclass

from sweeps.sweep_file.sweep import Sweep
from trainables.recipes import RECIPES


@dataclass(frozen=True)
class Reports:
    """The ``most`` that a trial may make, one for each of its ``unit`` (in the plural), as ``key`` of the sweep file says."""

    unit: str
    key: str
    most: int


def reports(sweep: Sweep) -> Reports:
    """The reports of a sweep's trials: epochs of the training that closes a recipe, levels of a lottery."""
    reported = RECIPES[sweep.file.trainable].reports
    most = max(sweep.values_of(reported.key))
    return Reports(reported.unit, reported.key, int(most))
