"""What to say when a name is not known."""

import difflib
from collections.abc import Iterable

from pydantic import AfterValidator


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the nearest known name, or all of them where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f'the nearest is "{close[0]}"' if close else f"known are {', '.join(names)}"


def one_of(known: Iterable[str], what: str) -> AfterValidator:
    """A pydantic check that a string is one of ``known``; ``what`` names the kind of thing in the message."""
    names = tuple(known)

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f'"{name}" is no {what}; {nearest(name, names)}')
        return name

    return AfterValidator(check)
