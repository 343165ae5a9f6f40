"""Reads a YAML file and remembers on which line every key stands, so that an error can point at it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweeps.errors import SweepError

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with numbers as people write them: ``1e-3`` is a float, not text."""


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back as it was: the text "1e3" in quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789."))


@dataclass(frozen=True)
class Source:
    """A file's data with the line (from 1) of every key and list item, and the ``--set`` texts that changed it."""

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: Sequence[str | int]) -> str:
        """``file:line`` of a key, or of the nearest key above it that the file holds; ``--set ...`` where that set it."""
        for length in range(len(path), 0, -1):
            override = self.overrides.get(tuple(path[:length]))
            if override is not None:
                return f"--set {override}"
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


def parse_value(text: str) -> Any:
    """One YAML value, as ``--set key=value`` gives it."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SweepError(f"--set: cannot read the value {text!r}: {_first_line(error)}.") from error


def dumped(data: Mapping[str, Any]) -> str:
    """The text of a file that holds ``data``."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read(path: Path) -> Source:
    """The mapping in ``path``; a `SweepError` names the file and the line of what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SweepError(f"{path}: no such file.") from error
    except IsADirectoryError as error:
        raise SweepError(f"{path} is a folder, not a sweep file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: cannot be read: {error}.") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Source:
    """The mapping in ``text``; ``name`` stands for the file in messages."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise SweepError(f"{name}: the file is empty.")
        if not isinstance(root, yaml.MappingNode):
            raise SweepError(f"{name}:1: expected keys and values at the top, as in `name: my_sweep`.")
        source = Source(name, {})
        _note_lines(root, (), source)
        source.data.update(loader.construct_document(root))
        return source
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SweepError(f"{name}{line}: not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise SweepError(f"{name}: not valid YAML: {_first_line(error)}.") from error
    finally:
        loader.dispose()


def _note_lines(node: yaml.Node, path: KeyPath, source: Source) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in source.lines:
                raise SweepError(
                    f'{source.name}:{key.start_mark.line + 1}: the key "{key.value}" stands twice (first on line {source.lines[here]}).'
                )
            source.lines[here] = key.start_mark.line + 1
            _note_lines(value, here, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            source.lines[(*path, index)] = value.start_mark.line + 1
            _note_lines(value, (*path, index), source)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
