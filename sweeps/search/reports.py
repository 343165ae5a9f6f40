"""How often a trial reports before its end: what early stopping and progress count."""

from dataclasses import dataclass

from sweeps.sweep_file.sweep import Sweep
from trainables.recipes import RECIPES


@dataclass(frozen=True)
class Reports:
    """The ``most`` that a trial may make, one for each ``unit`` (a plural), as the sweep's ``key`` says."""

    unit: str
    key: str
    most: int


def reports(sweep: Sweep) -> Reports:
    """Return the reports of a sweep's trials: epochs of a recipe's closing training, levels of a lottery."""
    reported = RECIPES[sweep.file.trainable].reports
    most = max(sweep.values_of(reported.key))
    return Reports(reported.unit, reported.key, int(most))
