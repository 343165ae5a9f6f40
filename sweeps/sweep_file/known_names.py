"""Keys and names that must be known: any other is an error with the nearest."""

from collections.abc import Iterable

from pydantic import AfterValidator, ConfigDict

from pruners.errors import nearest

STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
"""Of a mapping of the sweep file in which an unknown key is an error."""


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
