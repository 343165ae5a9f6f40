"""A sweep as an object: the checked file, and how a draw of its parameters becomes a trial's sections."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

from pydantic import TypeAdapter

from pruners.errors import nearest
from sweeps.errors import Incompatible, SweepError
from sweeps.sweep_file import absolute_paths, compatibility, compatible_draws, yaml_file
from sweeps.sweep_file.distributions import extremes
from sweeps.sweep_file.keys import SweepFile
from sweeps.sweep_file.sections import SECTIONS, TrialSections
from sweeps.sweep_file.space import Space, WrongParameter, build, setting
from sweeps.sweep_file.validation import checked
from sweeps.sweep_file.yaml_file import Source
from trainables.errors import TaskError
from trainables.places.place import Place, place_of
from trainables.recipes import RECIPES
from trainables.task.objects import with_references

METHOD = "compression.method"


@dataclass(frozen=True)
class Sweep:
    """A checked sweep file.

    ``data`` is the file as plain data with overrides applied: what ``sweep.yaml`` in the study directory
    holds.
    """

    file: SweepFile
    data: Mapping[str, Any]
    source: Source
    space: Space

    @classmethod
    def from_file(cls, path: Place | str, overrides: Sequence[str] = ()) -> Self:
        """Read and check a sweep file; ``overrides`` are ``a.b=value`` texts.

        Raises `SweepError` naming file, line and key.
        """
        return cls._checked(yaml_file.read(place_of(path)), overrides)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], name: str = "sweep") -> Self:
        """Check a sweep given as data, in a notebook for example.

        ``network``, ``data`` and ``loss`` of its section ``task`` may be functions, and ``data`` what a data
        factory returns, as a tuple of three pairs of tensors: such a sweep runs in this process alone.

        Raises `SweepError` naming the key.
        """
        try:
            task = {"task": with_references(data["task"])} if isinstance(data.get("task"), Mapping) else {}
        except TaskError as error:
            raise SweepError(str(error)) from error
        return cls._checked(Source(name, copy.deepcopy({**data, **task})), ())

    @classmethod
    def _checked(cls, source: Source, overrides: Sequence[str]) -> Self:
        for override in overrides:
            _apply(source, override)
        absolute_paths.make_absolute(source.data)
        file: SweepFile = checked(SweepFile, source.data, source.where)
        sweep = cls(file, source.data, source, _space(file, source))
        sweep._check_parameters()
        return sweep

    @cached_property
    def first_draw(self) -> dict[str, Any]:
        """Return a draw where any will do, one whose values go together.

        It has each parameter's first choice or lower end where these do.
        """
        return compatible_draws.first_draw(self.space, self.sections)

    def draws_for_all(self) -> Iterator[dict[str, Any]]:
        """Yield draws that stand for all others, for every method. Not all of them need go together.

        They hold every choice and both ends of every range, one parameter at a time, a parameter under a
        value with it.
        """
        methods = self.space.distributions.get(METHOD)
        for method in extremes(methods) if methods else [None]:
            chosen = self.first_draw | ({**self.space.above(METHOD), METHOD: method} if methods else {})
            first = self.space.filled(chosen)
            yield first
            for name, distribution in self.space.distributions.items():
                above = self.space.above(name)
                if name == METHOD or above.get(METHOD, method) != method:
                    continue
                draws = (
                    self.space.filled({**chosen, **above, name: value}) for value in extremes(distribution)
                )
                yield from (draw for draw in draws if draw != first)

    @cached_property
    def for_all(self) -> tuple[TrialSections, ...]:
        """Return the sections of those of the draws that stand for all whose values go together."""
        found = []
        for draw in self.draws_for_all():
            with suppress(Incompatible):
                found.append(self.sections(draw))
        return tuple(found)

    def values_of(self, key: str) -> list[Any]:
        """Return the values of a setting, by its dotted key, over the draws that stand for all."""
        found: list[Any] = []
        for sections in self.for_all:
            value: Any = sections
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
            if value not in found:
                found.append(value)
        return found

    def resolved(self) -> dict[str, Any]:
        """Return the file with every default written out.

        A default that changes later changes no study that was begun before.
        """
        first = self.first_draw
        sections = TypeAdapter(TrialSections).dump_python(self.sections(first), mode="json")
        for path in RECIPES[self.file.trainable].unused:
            _drop(sections, path)
        for name, _ in reversed(self.space.settings(first)):
            _drop(sections, name)
        for name in map(setting, self.space.conditions):
            # what holds where the parameter belongs to no draw
            if (own := _found(self.data, name)) is not None:
                _put(sections, name.split("."), own)
        file = self.file.model_dump(mode="json", exclude={*SECTIONS, "parameters"})
        parameters = self.file.model_dump(mode="json", include={"parameters"}, exclude_unset=True)
        return _without_none(file | sections) | parameters

    def sections(self, params: Mapping[str, Any]) -> TrialSections:
        """Return the trial's sections with ``params`` (names to values of the study) put in.

        Raises `Incompatible` where these do not go together, another `SweepError` where one is wrong.
        """
        where = partial(self.where, params=params)
        given = compatibility.without_absent(self.file.trainable, self._filled(params), where)
        sections: TrialSections = checked(TrialSections, given, where)
        compatibility.check(self.file, sections, where)
        return sections

    def _filled(self, params: Mapping[str, Any]) -> dict[str, Any]:
        tree = {name: copy.deepcopy(getattr(self.file, name)) for name in SECTIONS}
        for name, value in self.space.settings(params):
            _put(tree, name.split("."), copy.deepcopy(value))
        return tree

    def _check_parameters(self) -> None:
        for name in self.space.paths:
            key = setting(name)
            if key.split(".")[0] not in SECTIONS or "." not in key:
                place = self.source.where(self.space.paths[name])
                raise SweepError(
                    f'{place}: parameters: "{key}" is no setting of a trial; '
                    f"names begin with {', '.join(SECTIONS[:-1])} or {SECTIONS[-1]}, as in training.lr."
                )
        assert self.for_all  # looks at every draw: a value that is wrong in itself ends here
        compatible_draws.check_choices(self.space, self.first_draw, self.sections)

    def where(self, path: Sequence[str | int], params: Mapping[str, Any] | None = None) -> str:
        """Return ``file:line`` of a key, or of the parameter (of the draw ``params``) that sets it."""
        dotted = ".".join(map(str, path))
        for name, place in self.space.paths.items():
            key = setting(name)
            if (dotted == key or dotted.startswith(key + ".")) and (
                params is None or self.space.has(name, params)
            ):
                return self.source.where(place)
        return self.source.where(path)


def _space(file: SweepFile, source: Source) -> Space:
    try:
        return build(file.parameters)
    except WrongParameter as error:
        name = ".".join(str(part) for part in error.path if part not in ("parameters", "values"))
        raise SweepError(f"{source.where(error.path)}: parameters.{name}: {error}.") from error


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for part in parents:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise SweepError(f'"{".".join(path)}" cannot be set: "{part}" holds a value, not keys.')
    tree[last] = value


def _found(tree: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _drop(tree: dict[str, Any], dotted: str) -> None:
    *parents, last = dotted.split(".")
    for part in parents:
        tree = tree[part]
    del tree[last]


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the keys that were not given; what a user's options hold stays as it is."""
    kept = {k: v for k, v in tree.items() if v is not None}
    return {
        k: _without_none(v) if isinstance(v, Mapping) and not k.endswith("options") else v
        for k, v in kept.items()
    }


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
    """Return the key path that a ``--set`` name means.

    A parameter's own name, as in parameters.training.lr.max, holds dots itself.
    """
    section, _, rest = name.partition(".")
    if section == "parameters" and isinstance(data.get(section), dict):
        for parameter in data[section]:
            if rest == parameter or rest.startswith(f"{parameter}."):
                return (
                    (section, parameter, *rest[len(parameter) + 1 :].split("."))
                    if rest != parameter
                    else (section, parameter)
                )
    return tuple(name.split("."))
