"""What can go wrong, said in one sentence that names the layer, option or file."""

from collections.abc import Iterable
from difflib import get_close_matches


class PrunerError(ValueError):
    """Base of every error that pruners/ raises on purpose."""


class UnknownMethod(PrunerError):
    """No method has this name."""


class UnknownOption(PrunerError):
    """The method takes no option of this name."""


class UnknownLayer(PrunerError):
    """The network has no compressible or prunable layer of this name."""


class BadArtifact(PrunerError):
    """An artifact's files are missing or damaged, or do not fit the given network."""


class InfeasibleBudget(PrunerError):
    """Nothing the method may choose meets the budget.

    ``least`` is the smallest budget that can be met, in the unit that was asked for.
    """

    def __init__(self, message: str, least: float) -> None:
        super().__init__(message)
        self.least = least

    def __reduce__(self) -> tuple[type["InfeasibleBudget"], tuple[str, float]]:
        # the default passes only the message, and the error could not travel between Ray's processes
        return type(self), (str(self), self.least)


class PrunerWarning(UserWarning):
    """What was asked for was done, and is probably not what was wanted."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that ends the message about an unknown name.

    The hint is the most similar known name, or all of a short list.
    """
    names = list(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return (
        f"; known are {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
        if names
        else "; there are none."
    )
