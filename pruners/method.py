"""What every method says of itself, whatever it makes of a network."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pruners.errors import UnknownOption, nearest
from pruners.option_values import Choice, Values


@dataclass(frozen=True)
class Option:
    """One option of a method, as `tombola methods` shows it.

    ``takes`` is what it takes besides its default where that is None.
    """

    name: str
    default: Any
    meaning: str
    takes: Values

    @property
    def known(self) -> tuple[str, ...]:
        """Return the possible values, where these are few."""
        return self.takes.known if isinstance(self.takes, Choice) else ()

    def checked(self, value: Any) -> Any:
        """Return the value as methods use it.

        Raises PrunerError, which names the option, for one that it does not take.
        """
        return value if value is None and self.default is None else self.takes.checked(value, self.name)


class Method(ABC):
    """A way to make a network smaller.

    ``kind`` is that of its artifact. A new method is a final subclass of `RankMethod`, `ScoreMethod` or
    `ChannelMethod` in a file of its own and a line in `pruners.methods`.
    """

    name: str
    """What it is called by; of one of the user's own its ``package.module:Class``, set where it is found."""
    title: ClassVar[str]
    paper: ClassVar[str]
    kind: ClassVar[Literal["decomposition", "mask", "channels"]]
    needs: ClassVar[tuple[str, ...]] = ()
    """What `compress` must be given besides the network: any of data, loss, example."""
    made_for: ClassVar[Literal["trained", "untrained", "either"]] = "trained"
    """The network that it was made for; any may be given."""
    options: ClassVar[tuple[Option, ...]]

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Return every option that the method takes, those included that its whole kind shares."""
        return self.options

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell whether `compress` would make use of unlabelled calibration images (``data=``).

        ``given`` are options as a user gives them, those left out are at their defaults. What a method cannot
        do without, labels too, is in ``needs``.
        """
        return False

    def with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the given options with the defaults of all others.

        Raises UnknownOption for a name that the method does not have, and PrunerError for a value that no
        network could be compressed with.
        """
        defaults = {option.name: option.default for option in self.all_options}
        for name in given:
            if name not in defaults:
                raise UnknownOption(f"{self.name} has no option {name!r}{nearest(name, defaults)}")
        return {
            option.name: option.checked(given.get(option.name, option.default)) for option in self.all_options
        }
