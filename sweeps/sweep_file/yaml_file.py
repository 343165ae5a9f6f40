"""Reads a YAML file and remembers on which line every key stands, so that an error can point at it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from sweeps.errors import SweepError
from trainables.places.place import Place

KeyPath = tuple[str | int, ...]
Where = Callable[[Sequence[str | int]], str]
"""Tells the place of a key path in the user's file, as ``file:line``."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with numbers as people write them: ``1e-3`` is a float, not text."""


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back as it was: the text "1e3" in quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )


_YAML = "tag:yaml.org,2002:"
_NO_PLAIN_DATA = {
    "timestamp": "a date",
    "binary": "binary data",
    "set": "a set",
    "omap": "an ordered mapping",
    "pairs": "a list of pairs",
}
_MOST_NODES, _DEEPEST = 100_000, 50


@dataclass(frozen=True)
class Source:
    """A file's data with the line (from 1) of every key and item, and the ``--set`` texts that changed it."""

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: Sequence[str | int]) -> str:
        """Return ``file:line`` of a key, or of the nearest key above it that the file holds.

        A key that ``--set`` set has that text as its place.
        """
        for length in range(len(path), 0, -1):
            override = self.overrides.get(tuple(path[:length]))
            if override is not None:
                return f"--set {override}"
            here = tuple(path[:length])
            # as texts too: a number may stand as a key
            line = self.lines.get(here, self.lines.get(tuple(map(str, here))))
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


def parse_value(text: str) -> Any:
    """Read one YAML value, as ``--set key=value`` gives it."""
    try:
        return _composed(text, "--set", Source("--set", {}))
    except SweepError as error:
        said = str(error).removeprefix("--set:1: ").removeprefix("--set: ").removeprefix("not valid YAML: ")
        raise SweepError(f"--set: cannot read the value {text!r}: {said}") from error


def dumped(data: Mapping[str, Any]) -> str:
    """Return the text of a file that holds ``data``."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read(path: Place) -> Source:
    """Read the mapping in the file ``path``. Raises `SweepError` naming file and line of what is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SweepError(f"{path}: no such file.") from error
    except IsADirectoryError as error:
        raise SweepError(f"{path} is a folder, not a sweep file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: cannot be read: {error}.") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Source:
    """Read the mapping in ``text``; ``name`` stands for the file in messages."""
    source = Source(name, {})
    data = _composed(text, name, source)
    if data is None and not source.lines:
        raise SweepError(f"{name}: the file is empty.")
    if not isinstance(data, dict):
        raise SweepError(f"{name}:1: expected keys and values at the top, as in `name: my_sweep`.")
    source.data.update(data)
    return source


def _composed(text: str, name: str, source: Source) -> Any:
    """Return the plain data in ``text``, and note the lines of its keys in ``source``."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _Walk(source).note(root, (), ())
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SweepError(f"{name}{line}: not valid YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a number of thousands of digits, a day that is none
        raise SweepError(f"{name}: not valid YAML: {_first_line(error)}.") from error
    except RecursionError as error:
        raise SweepError(f"{name}: keys and lists are nested too deeply.") from error
    finally:
        if loader:
            loader.dispose()


class _Walk:
    """Notes the line of every key and item, an alias's as often as it stands.

    It refuses what is no plain and finite data.
    """

    def __init__(self, source: Source):
        self._source, self._seen = source, 0

    def note(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        """Note what lies at and below ``node``, which stands at ``path`` below the nodes ``above``."""
        self._check(node, above)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                line = key.start_mark.line + 1
                if here in self._source.lines:
                    raise SweepError(
                        f'{self._source.name}:{line}: the key "{key.value}" stands twice '
                        f"(first on line {self._source.lines[here]})."
                    )
                self._source.lines[here] = line
                self.note(value, here, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._source.lines[(*path, index)] = value.start_mark.line + 1
                self.note(value, (*path, index), (*above, node))

    def _check(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> None:
        place = f"{self._source.name}:{node.start_mark.line + 1}"
        self._seen += 1
        if any(node is other for other in above):
            raise SweepError(f"{place}: an anchor here holds itself.")
        if self._seen > _MOST_NODES:
            raise SweepError(
                f"{place}: more than {_MOST_NODES:,} keys and values, those that aliases repeat included."
            )
        if len(above) > _DEEPEST:
            raise SweepError(f"{place}: keys and lists are nested more than {_DEEPEST} deep.")
        kind = node.tag.removeprefix(_YAML)
        if kind in _NO_PLAIN_DATA:
            raise SweepError(
                f"{place}: {node.value!r} is {_NO_PLAIN_DATA[kind]} to YAML; "
                "put it in quotes if it is a text."
            )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
