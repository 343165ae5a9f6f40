"""What is searched, what is held, and which of it belongs to a draw.

A parameter may stand under a value of another one, and then belongs to the draws that have that value alone.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from sweeps.sweep_file.distributions import choice, distribution, extremes, suggest
from sweeps.sweep_file.keys import Branch, Parameter
from sweeps.sweep_file.yaml_file import KeyPath


@dataclass(frozen=True)
class Condition:
    """A value of another parameter: the ``parent``'s name and the ``choice``, as the study holds them."""

    parent: str
    choice: Any


@dataclass(frozen=True)
class Space:
    """The parameters by their names in the study, a parent before what stands under its values.

    ``distributions`` are searched, ``constants`` held. ``conditions`` has an entry for each parameter that
    stands under a value of another. ``values`` holds the lists and mappings among the choices of a parameter
    by the texts that stand for them in the study, ``paths`` where a parameter stands in the sweep file.
    """

    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    paths: dict[str, KeyPath] = field(default_factory=dict)

    def has(self, name: str, params: Mapping[str, Any]) -> bool:
        """Tell whether a parameter belongs to the draw ``params``, which holds those that stand before it."""
        condition = self.conditions.get(name)
        return condition is None or (
            condition.parent in params and params[condition.parent] == condition.choice
        )

    def ask(self, study: optuna.Study) -> optuna.Trial:
        """Ask the study for its next trial and draw what belongs to it, define-by-run as Optuna says."""
        trial = study.ask()
        drawn: dict[str, Any] = {}  # a trial copies its own at each look
        for name, found in self.distributions.items():
            if self.has(name, drawn):
                drawn[name] = suggest(trial, name, found)
        return trial

    def is_whole(self, params: Mapping[str, Any]) -> bool:
        """Tell whether a draw holds every parameter that belongs to it."""
        return all(name in params for name in self.distributions if self.has(name, params))

    def filled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a whole draw: ``params`` as far as they belong to it, else a first choice or a lower end."""
        draw: dict[str, Any] = {}
        for name, found in self.distributions.items():
            if self.has(name, draw):
                draw[name] = params[name] if name in params else extremes(found)[0]
        return draw

    def above(self, name: str) -> dict[str, Any]:
        """Return the values of other parameters under which a parameter stands."""
        condition = self.conditions.get(name)
        return (
            {} if condition is None else self.above(condition.parent) | {condition.parent: condition.choice}
        )

    def settings(self, params: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Return dotted keys and values of a draw, constants included, a key before the keys below it."""
        held = {name: value for name, value in self.constants.items() if self.has(name, params)}
        found = [(setting(name), self.value(name, value)) for name, value in {**held, **params}.items()]
        return sorted(found, key=lambda item: item[0].count("."))

    def value(self, name: str, held: Any) -> Any:
        """Return what a value of the study stands for."""
        return self.values[name].get(held, held) if name in self.values else held

    def with_more(self, distributions: Mapping[str, BaseDistribution]) -> "Space":
        """Return the space with further parameters that belong to every draw."""
        return dataclasses.replace(self, distributions={**self.distributions, **distributions})


def setting(name: str) -> str:
    """Return the dotted key that a parameter sets: its name without the value that it stands under."""
    return name.partition(" (")[0]


@dataclass(frozen=True)
class _Entry:
    """A parameter, its dotted key, its place in the file, and the entry and branch that it stands under."""

    key: str
    parameter: Parameter
    path: KeyPath
    under: "tuple[_Entry, Branch] | None" = None


class WrongParameter(ValueError):
    """A parameter that cannot be searched, and its place in the sweep file."""

    def __init__(self, message: str, path: KeyPath):
        super().__init__(message)
        self.path = path


def build(parameters: Mapping[str, Parameter]) -> Space:
    """Return the space of the ``parameters`` of a sweep file, nested ones under dotted names.

    A key that stands under several values is a parameter of its own under each: the value follows its name.

    Raises:
        WrongParameter: Optuna cannot sample a parameter, or a key is searched twice in one draw.
    """
    space = Space()
    entries = list(_walk(parameters, "", ("parameters",), None))
    times = Counter(entry.key for entry in entries)
    for entry in entries:
        name = _name(entry, times)
        if entry.under:
            parent, branch = entry.under
            space.conditions.setdefault(name, Condition(_name(parent, times), choice(branch.value)))
        if any(setting(other) == entry.key and not _exclude(space, name, other) for other in space.paths):
            raise WrongParameter(f'"{entry.key}" is a parameter twice in one draw', entry.path)
        space.paths[name] = entry.path
        _add(space, name, entry)
    return space


def _exclude(space: Space, one: str, other: str) -> bool:
    """Tell whether no draw holds both parameters: some parameter would need two values."""
    mine, theirs = space.above(one), space.above(other)
    return any(mine[parent] != theirs[parent] for parent in mine.keys() & theirs.keys())


def _add(space: Space, name: str, entry: _Entry) -> None:
    if "value" in entry.parameter.model_fields_set:
        space.constants[name] = entry.parameter.value
        return
    try:
        space.distributions[name] = distribution(entry.parameter)
    except ValueError as error:
        raise WrongParameter(str(error), entry.path) from error
    given = [value.value if isinstance(value, Branch) else value for value in entry.parameter.values or ()]
    if deep := {choice(value): value for value in given if isinstance(value, list | dict)}:
        space.values[name] = deep


def _walk(
    parameters: Mapping[str, Parameter], prefix: str, path: KeyPath, under: tuple[_Entry, Branch] | None
) -> Iterator[_Entry]:
    """Yield all parameters, nested ones taken apart, those under a value after the one that has it."""
    for key, parameter in parameters.items():
        here = (*path, key)
        if parameter.parameters is not None:
            yield from _walk(parameter.parameters, f"{prefix}{key}.", (*here, "parameters"), under)
            continue
        entry = _Entry(prefix + key, parameter, here, under)
        yield entry
        for index, value in enumerate(parameter.values or ()):
            if isinstance(value, Branch):
                yield from _walk(
                    value.parameters, prefix, (*here, "values", index, "parameters"), (entry, value)
                )


def _name(entry: _Entry, times: Mapping[str, int]) -> str:
    """Return a parameter's name in the study: its key, and the value it stands under where it has several."""
    if times[entry.key] == 1 or entry.under is None:
        return entry.key
    parent, branch = entry.under
    return f"{entry.key} ({_name(parent, times)}={choice(branch.value)})"
