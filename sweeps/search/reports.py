"""How often a trial reports before its end: what early stopping and progress count."""

from dataclasses import dataclass

from sweeps.search import space as spaces
from sweeps.spec.sweep import Sweep
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
    unit, key = reported.unit, reported.key
    distributions = sweep.space.distributions
    if key in distributions:
        return Reports(unit, key, int(max(spaces.extremes(distributions[key]))))
    section, name = key.split(".")
    return Reports(unit, key, int(getattr(getattr(sweep.sections(sweep.first_draw), section), name)))
