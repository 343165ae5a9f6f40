"""What a method of choosing ranks has to say and do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pruners.budget import Budget
from pruners.candidates import Candidates, check_not_empty, dense_candidate
from pruners.errors import PrunerError, UnknownOption, nearest
from pruners.shapes import NetworkShape
from pruners.spectra import Spectra


@dataclass(frozen=True)
class Option:
    """One option of a method, as `tombola methods` shows it."""

    name: str
    default: Any
    meaning: str


EXCLUDE = Option("exclude", (), "names of layers that stay dense; their weights still count")


@dataclass(frozen=True)
class Task:
    """What a method is given: kept spectra, the shapes with their costs, each layer's options and the budget."""

    spectra: Spectra
    shape: NetworkShape
    candidates: Mapping[str, Candidates]
    budget: Budget


class Method(ABC):
    """A way to choose rank and num_subspaces of every layer within a budget.

    A new method is a final subclass in a file of its own and a line in `pruners.methods`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """What `compress` must be given besides the network: any of data, loss, example."""
    options: ClassVar[tuple[Option, ...]]

    def with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given options beside the defaults of all others; UnknownOption for a name that the method does not have."""
        defaults = {option.name: option.default for option in self.options}
        for name in given:
            if name not in defaults:
                raise UnknownOption(f"{self.name} has no option {name!r}{nearest(name, defaults)}")
        return defaults | dict(given)

    def metric(self, options: Mapping[str, Any]) -> str:
        """The metric that the layer errors of the result are told in."""
        return str(options.get("metric", "max"))

    @abstractmethod
    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Every layer's options from shapes alone; checks the method's options."""

    @abstractmethod
    def choose(self, task: Task, options: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Rank and num_subspaces of every layer, (0, 0) for dense. The cheapest candidates together are within the budget."""


def excluding(shape: NetworkShape, exclude: Any) -> tuple[dict[str, Candidates], list[str]]:
    """The single option of each excluded layer, and the names of the others; checks ``exclude``."""
    if isinstance(exclude, str):
        raise PrunerError(f"exclude takes a list of layer names, not the text {exclude!r}.")
    shape.check_names(exclude, "exclude")
    free = [name for name in shape.layers if name not in exclude]
    check_not_empty(shape, free)
    return {name: dense_candidate(shape.layers[name]) for name in exclude}, free
