"""What values an option takes: each kind checks one, and gives it back as methods use it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf, nan
from numbers import Integral, Real
from typing import Any, final

from pruners.errors import PrunerError, nearest

_SHOWN = 80


class Values(ABC):
    """A kind of value; as a text, what `tombola methods` says that an option takes."""

    @abstractmethod
    def checked(self, value: Any, what: str) -> Any:
        """Return the value as methods use it.

        Raises PrunerError, naming ``what`` and the value, for another kind.
        """


@final
@dataclass(frozen=True)
class Choice(Values):
    """One of a few texts."""

    known: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.known)

    def checked(self, value: Any, what: str) -> str:
        """Return the text if it is a known one. Raises PrunerError for any other value."""
        if isinstance(value, str) and value in self.known:
            return value
        raise PrunerError(f"{what} {shown(value)} is unknown{nearest(str(value), self.known)}")


@final
@dataclass(frozen=True)
class Whole(Values):
    """A whole number from ``least`` to ``most``, 3.0 too; ``of`` says what it counts."""

    least: int
    most: float = inf
    of: str = ""

    def __str__(self) -> str:
        return f"a whole number of at least {self.least}"

    def checked(self, value: Any, what: str) -> int:
        """Return the value as an int. Raises PrunerError unless it is a whole number within the bounds."""
        whole = int(value) if isinstance(value, Integral) or _float(value).is_integer() else None
        if isinstance(value, bool) or whole is None or not self.least <= whole <= self.most:
            bound = (
                f"at most {self.most}"
                if whole is not None and whole > self.most
                else f"at least {self.least}"
            )
            raise PrunerError(
                f"{what} must be a whole number{self.of and ' of ' + self.of} of {bound}, not {shown(value)}."
            )
        return whole


@final
@dataclass(frozen=True)
class Number(Values):
    """A finite number of at least ``least``, or above it where ``above`` says so."""

    least: float = 0.0
    above: bool = False

    def __str__(self) -> str:
        return f"a number {'above' if self.above else 'of at least'} {self.least:g}"

    def checked(self, value: Any, what: str) -> float:
        """Return the value as a float. Raises PrunerError unless it is finite and within the bound."""
        number = _float(value)
        if not self.least <= number < inf or (self.above and number == self.least):
            asked = (
                "a positive number"
                if self.above and not self.least
                else f"a number of at least {self.least:g}"
            )
            raise PrunerError(f"{what} must be {asked}, not {shown(value)}.")
        return number


@final
@dataclass(frozen=True)
class Share(Values):
    """A number above 0 (or from 0 on) and at most 1."""

    from_zero: bool = False

    def __str__(self) -> str:
        return "a share between 0 and 1" if self.from_zero else "a share above 0 and at most 1"

    def checked(self, value: Any, what: str) -> float:
        """Return the value as a float. Raises PrunerError unless it is a share."""
        share = _float(value)
        if not 0 <= share <= 1 or (share == 0 and not self.from_zero):
            raise PrunerError(
                f"{what} must lie "
                f"{'between 0 and 1' if self.from_zero else 'above 0 and at most at 1'}, not {shown(value)}."
            )
        return share


@final
@dataclass(frozen=True)
class Flag(Values):
    """True or false, or one of a few texts beside them."""

    besides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(("true", "false", *self.besides))

    def checked(self, value: Any, what: str) -> bool | str:
        """Return the value if it is a flag or one of the texts beside. Raises PrunerError for any other."""
        if isinstance(value, bool) or (isinstance(value, str) and value in self.besides):
            return value
        *others, last = "true", "false", *map(repr, self.besides)
        raise PrunerError(f"{what} must be {', '.join(others)} or {last}, not {shown(value)}.")


@final
@dataclass(frozen=True)
class ListOf(Values):
    """A list of values of one kind; ``of`` names them. ``filled``: not an empty one."""

    values: Values
    of: str
    filled: bool = False

    def __str__(self) -> str:
        return f"a list of {self.of}"

    def checked(self, value: Any, what: str) -> list[Any]:
        """Return the values as a list, each checked. Raises PrunerError where one is of another kind."""
        parts = (
            list(value)
            if isinstance(value, Sequence | Set | Iterator) and not isinstance(value, str | bytes)
            else None
        )
        if parts is None or (self.filled and not parts):
            raise PrunerError(f"{what} takes a list of {self.of}, not {shown(value)}.")
        try:
            return [self.values.checked(part, what) for part in parts]
        except PrunerError:
            raise PrunerError(f"{what} takes a list of {self.of}, not {shown(value)}.") from None


@final
@dataclass(frozen=True)
class Text(Values):
    """Any text."""

    def __str__(self) -> str:
        return "a text"

    def checked(self, value: Any, what: str) -> str:
        """Return the value if it is a text. Raises PrunerError for any other."""
        if isinstance(value, str):
            return value
        raise PrunerError(f"{what} must be a text, not {shown(value)}.")


LAYERS = ListOf(Text(), "layer names or patterns")
"""Names of layers, or shell patterns of them."""


@final
@dataclass(frozen=True)
class ByLayer(Values):
    """Names mapped to values of one kind; ``of`` says what to what, ``each`` how the message calls a name."""

    values: Values
    of: str
    each: str = "layer "

    def __str__(self) -> str:
        return f"maps {self.of}"

    def checked(self, value: Any, what: str) -> dict[str, Any]:
        """Return the mapping with each value checked. Raises PrunerError that names a wrong one."""
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise PrunerError(f"{what} maps {self.of}; {shown(value)} does not.")
        return {
            name: self.values.checked(part, f"{what} of {self.each}{name!r}") for name, part in value.items()
        }


@final
@dataclass(frozen=True)
class Fields(Values):
    """A mapping of the given names, all of them or (not ``all_of_them``) some, to values of their kinds."""

    names: Mapping[str, Values] = field(default_factory=dict)
    all_of_them: bool = True

    def __str__(self) -> str:
        return " and ".join(self.names)

    def checked(self, value: Any, what: str) -> dict[str, Any]:
        """Return the mapping with each field checked. Raises PrunerError for other names or wrong values."""
        if (
            not isinstance(value, Mapping)
            or not set(value) <= set(self.names)
            or (self.all_of_them and len(value) < len(self.names))
        ):
            raise PrunerError(f"{what} takes {' and '.join(self.names)}, not {shown(value)}.")
        return {name: self.names[name].checked(part, f"{name} in {what}") for name, part in value.items()}


def _float(value: Any) -> float:
    """Return a number as a float, infinite where it is too large.

    NaN for what is none, and for true and false.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return nan
    try:
        return float(value)
    except OverflowError:
        return inf


def shown(value: Any) -> str:
    """Return a value as a message shows it: in one line, and not a long one."""
    told = " ".join(repr(value).split())
    return told if len(told) <= _SHOWN else f"{told[: _SHOWN - 3]}..."
