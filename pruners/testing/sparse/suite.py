"""The suite of a method that scores single weights."""

import pytest

from pruners.testing.sparse.artifacts import ArtifactTests
from pruners.testing.sparse.choices import ChoiceTests
from pruners.testing.sparse.scores import ScoreTests


@pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
class ScoreMethodSuite(ScoreTests, ChoiceTests, ArtifactTests):
    """What every method that scores single weights must hold to.

    The same answer for the same seed, exact counts in every allocation, the model and the data untouched,
    odd shapes, frozen and shared weights, exclusions, refits, save and load.
    """
