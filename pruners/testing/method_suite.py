"""What the suites of all kinds of methods have in common."""

from pruners.calibration.refit import Refit
from pruners.method import Method
from pruners.methods import method_named


class MethodSuite:
    """Tests of one method."""

    method: str
    """The method: ``package.module:Class``, or the name of a built-in one."""

    def described(self) -> Method:
        """Return the method with all that it says of itself."""
        return method_named(self.method)

    def test_describes_itself(self) -> None:
        """Check that the method has a title, a paper, and needs and options that can be shown."""
        described = self.described()
        assert described.name == self.method
        assert described.title and described.paper
        assert set(described.needs) <= {"data", "loss", "example"}
        assert all(option.name and option.meaning for option in described.all_options)
        names = [option.name for option in described.all_options]
        assert len(names) == len(set(names))


def is_nearer(refit: Refit) -> bool:
    """Tell whether a refit brought the network's outputs nearer to the dense one's."""
    assert refit.divergence is not None and refit.divergence_without is not None
    return refit.divergence < refit.divergence_without
