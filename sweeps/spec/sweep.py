"""A sweep as an object: the checked file, and how one draw of its parameters becomes a trial's configuration."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from pruners.errors import nearest
from sweeps.errors import Incompatible, SweepError
from sweeps.search import space as spaces
from sweeps.search.space import Space
from sweeps.spec import agreeing, agreement, located, yaml_file
from sweeps.spec.keys import SweepFile
from sweeps.spec.sections import SECTIONS, TrialSections
from sweeps.spec.validation import checked
from sweeps.spec.yaml_file import Source
from trainables.recipes import RECIPES

_METHOD = "compression.method"


@dataclass(frozen=True)
class Sweep:
    """A checked sweep file.

    ``data`` is the file as plain data with overrides applied: what ``sweep.yaml`` in the study directory holds.
    """

    file: SweepFile
    data: Mapping[str, Any]
    source: Source
    space: Space

    @classmethod
    def from_file(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """Reads and checks a sweep file; ``overrides`` are ``a.b=value`` texts. Raises `SweepError` naming file, line and key."""
        return cls._checked(yaml_file.read(Path(path)), overrides)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], name: str = "sweep") -> Self:
        """Checks a sweep given as plain data, in a notebook for example."""
        return cls._checked(Source(name, copy.deepcopy(dict(data))), ())

    @classmethod
    def _checked(cls, source: Source, overrides: Sequence[str]) -> Self:
        for override in overrides:
            _apply(source, override)
        located.make_absolute(source.data)
        file: SweepFile = checked(SweepFile, source.data, source.where)
        sweep = cls(file, source.data, source, _space(file, source))
        sweep._check_parameters()
        return sweep

    @cached_property
    def first_draw(self) -> dict[str, Any]:
        """Parameters where any will do: each one's first choice or lower end, or others where these do not go together."""
        return agreeing.base(self.space.distributions, self.sections)

    def draws_for_all(self) -> Iterator[dict[str, Any]]:
        """Draws that stand for all others: every choice and both ends of every range, one parameter at a time, for every method.

        Not all of them need go together.
        """
        others = {name: distribution for name, distribution in self.space.distributions.items() if name != _METHOD}
        methods = self.space.distributions.get(_METHOD)
        for method in spaces.extremes(methods) if methods else [None]:
            first = self.first_draw | ({_METHOD: method} if methods else {})
            yield first
            for name, distribution in others.items():
                yield from ({**first, name: value} for value in spaces.extremes(distribution)[1:])

    def resolved(self) -> dict[str, Any]:
        """The file with every default written out: a default that changes later changes no study that was begun before."""
        first = self.first_draw
        sections = TypeAdapter(TrialSections).dump_python(self.sections(first), mode="json")
        for path in RECIPES[self.file.trainable].unused:
            _drop(sections, path)
        for name in (*first, *self.space.constants):
            _drop(sections, name)
        file = self.file.model_dump(mode="json", exclude={*SECTIONS, "parameters"})
        parameters = self.file.model_dump(mode="json", include={"parameters"}, exclude_unset=True)
        return _without_none(file | sections) | parameters

    def sections(self, params: Mapping[str, Any]) -> TrialSections:
        """The trial's sections with ``params`` (dotted names to values) put in.

        Raises `Incompatible` where these do not go together, another `SweepError` where one is wrong.
        """
        given = agreement.without_absent(self.file.trainable, self._filled(params), self.where)
        sections: TrialSections = checked(TrialSections, given, self.where)
        agreement.check(self.file, sections, self.where)
        return sections

    def _filled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        tree = {name: copy.deepcopy(getattr(self.file, name)) for name in SECTIONS}
        for name, value in {**self.space.constants, **params}.items():
            _put(tree, name.split("."), value)
        return tree

    def _check_parameters(self) -> None:
        for name in (*self.space.constants, *self.space.distributions):
            if name.split(".")[0] not in SECTIONS or "." not in name:
                raise SweepError(
                    f'{self.where(name.split("."))}: parameters: "{name}" is no setting of a trial; '
                    f"names begin with {', '.join(SECTIONS[:-1])} or {SECTIONS[-1]}, as in training.lr."
                )
        for draw in self.draws_for_all():
            with suppress(Incompatible):
                self.sections(draw)
        agreeing.check_choices(self.space.distributions, self.first_draw, self.sections)

    def where(self, path: Sequence[str | int]) -> str:
        """``file:line`` of a key; where a parameter sets it, that of the parameter."""
        dotted = ".".join(map(str, path))
        for name, where in _parameter_paths(self.file, self.source).items():
            if dotted == name or dotted.startswith(name + "."):
                return where
        return self.source.where(path)


def _space(file: SweepFile, source: Source) -> Space:
    space = Space()
    places = _parameter_paths(file, source)
    for name, parameter in spaces.flatten(file.parameters):
        try:
            one = spaces.build({name: parameter})
        except ValueError as error:
            raise SweepError(f"{places[name]}: parameters.{name}: {error}.") from error
        space.distributions.update(one.distributions)
        space.constants.update(one.constants)
    return space


def _parameter_paths(file: SweepFile, source: Source) -> dict[str, str]:
    """``file:line`` of every parameter by its dotted name."""
    lines = {
        ".".join(str(p) for p in path[1:] if p != "parameters"): source.where(path)
        for path in source.lines
        if path[0] == "parameters" and len(path) > 1
    }
    return {name: lines.get(name, source.name) for name, _ in spaces.flatten(file.parameters)}


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for part in parents:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise SweepError(f'"{".".join(path)}" cannot be set: "{part}" holds a value, not keys.')
    tree[last] = value


def _drop(tree: dict[str, Any], dotted: str) -> None:
    *parents, last = dotted.split(".")
    for part in parents:
        tree = tree[part]
    del tree[last]


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that were not given; what a user's options hold stays as it is."""
    kept = {k: v for k, v in tree.items() if v is not None}
    return {k: _without_none(v) if isinstance(v, Mapping) and not k.endswith("options") else v for k, v in kept.items()}


def _apply(source: Source, override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise SweepError(f"--set {override}: expected key=value, as in --set training.epochs=5.")
    top = name.split(".")[0]
    if top not in SweepFile.model_fields:
        raise SweepError(f'--set {override}: unknown key "{top}"{nearest(top, SweepFile.model_fields)}')
    path = _override_path(source.data, name)
    _put(source.data, path, yaml_file.parse_value(text))
    source.overrides[path] = override


def _override_path(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The key path that a ``--set`` name means; a parameter's own name, as in parameters.training.lr.max, holds dots itself."""
    section, _, rest = name.partition(".")
    if section == "parameters" and isinstance(data.get(section), dict):
        for parameter in data[section]:
            if rest == parameter or rest.startswith(f"{parameter}."):
                return (section, parameter, *rest[len(parameter) + 1 :].split(".")) if rest != parameter else (section, parameter)
    return tuple(name.split("."))
