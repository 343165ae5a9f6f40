"""The suite of a method that chooses ranks."""

from pruners.testing.lowrank.artifacts import ArtifactTests
from pruners.testing.lowrank.choices import ChoiceTests
from pruners.testing.lowrank.refits import RefitTests


class RankMethodSuite(ChoiceTests, ArtifactTests, RefitTests):
    """What every method that chooses ranks must hold to.

    The same answer every time, never over budget, a larger budget used, the model untouched, odd shapes,
    exclusions, errors as numpy finds them, refits, save and load.
    """
