"""Turns pydantic's findings into one or two sentences that name the file, the line and the key."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from pruners.errors import nearest
from sweeps.errors import Incompatible, SweepError
from sweeps.sweep_file.yaml_file import Where
from trainables.errors import Incompatible as IncompatibleSettings

_MOST_TOLD = 20
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING_KEY = ("missing", "missing_argument")


def checked(kind: Any, data: Any, where: Where) -> Any:
    """Return ``data`` as ``kind`` (a model or a pydantic dataclass).

    ``where`` tells the place of a key path in the user's file.
    Raises `SweepError` with a line for each thing wrong, `Incompatible` where values do not go together and
    no single one is wrong.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as failure:
        errors = sorted(
            failure.errors(include_url=False),
            key=lambda e: (e["type"] not in _UNKNOWN_KEY, _is_of_several(e)),
        )
        if _is_of_several(errors[0]):
            raise Incompatible(*_sentence(errors[0], kind, where)) from failure
        # a value that no member of a union takes is one thing to mend
        by_key = {_path(error): error for error in reversed(errors)}
        wrong = sorted(by_key.values(), key=errors.index)
        told = [": ".join(_sentence(error, kind, where)) for error in wrong[:_MOST_TOLD]]
        more = [f"{len(wrong) - _MOST_TOLD} more to mend after that."] if len(wrong) > _MOST_TOLD else []
        raise SweepError("\n".join(told + more)) from failure


def _is_of_several(error: Any) -> bool:
    """Tell whether several values do not go together, each of which is sound."""
    return isinstance(error.get("ctx", {}).get("error"), IncompatibleSettings)


def _sentence(error: Any, kind: Any, where: Where) -> tuple[str, str]:
    """Return where a finding lies, and what it says."""
    path = _path(error)
    place = where(path)
    key = ".".join(map(str, path))
    if error["type"] in _UNKNOWN_KEY:
        return place, f'unknown key "{key}"{nearest(str(path[-1]), _keys_at(kind, path[:-1]))}'
    if error["type"] in _MISSING_KEY:
        return place, f'the key "{key}" is missing.'
    text = _text(error)
    return place, f"{key}: {text}" if key else text


def _path(error: Any) -> tuple[str | int, ...]:
    return tuple(part for part in error["loc"] if not _is_a_type(part))


def _text(error: Any) -> str:
    if error["type"] == "value_error":
        text = str(error["ctx"]["error"])
    elif error["type"] in ("model_type", "dataclass_type"):
        text = f"expected keys with values below it, not {error['input']!r}"
    else:
        text = error["msg"].replace("Input should", "should", 1)
        text = text[:1].lower() + text[1:]
        if error["type"].endswith(("_type", "_parsing")) or error["type"] in (
            "literal_error",
            "string_pattern_mismatch",
        ):
            text += f", not {error['input']!r}"
    return text if text.endswith((".", "?")) else text + "."


def _is_a_type(part: Any) -> bool:
    """Tell whether pydantic put a member of a union, not a key, into the path."""
    return part in ("int", "float", "str", "bool") or (
        isinstance(part, str) and "[" in part and part.endswith("]") and "-" in part
    )


def _keys_at(kind: Any, path: Sequence[str | int]) -> list[str]:
    """Return the known keys of the mapping at ``path`` below ``kind``."""
    for part in path:
        fields = _fields(kind)
        kind = _inner(fields[part]) if part in fields else _inner(kind)
    return list(_fields(kind))


def _fields(kind: Any) -> dict[Any, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: info.annotation for name, info in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        return {f.name: f.type for f in dataclasses.fields(kind)}
    return {}


def _inner(kind: Any) -> Any:
    """Return the class with keys inside an Optional, a list or the values of a dict; a class is its own."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _inner(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType, dict, list, tuple):
        inner = [_inner(a) for a in typing.get_args(kind)]
        return next((i for i in inner if _fields(i)), kind)
    return kind
