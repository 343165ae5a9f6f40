"""A pydantic check for names."""

from collections.abc import Iterable

from pydantic import AfterValidator

from pruners.errors import nearest


def one_of(known: Iterable[str], what: str) -> AfterValidator:
    """Return a pydantic check that a string is one of ``known``.

    ``what`` names the kind of thing in the message.
    """
    names = tuple(known)

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is no {what}{nearest(name, names)}")
        return name

    return AfterValidator(check)
