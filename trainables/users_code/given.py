"""What a program gives in place of a name: functions of a notebook, and data that are in memory."""

import ast
import dis
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, ModuleType
from typing import Any

from trainables.errors import TaskError
from trainables.users_code.import_graph import find_spec, read_source

_BEGINNING = "given_"
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def is_given(reference: str) -> bool:
    """Tell whether a text names an object that a program gave: it is known to that process alone."""
    return reference.startswith(_BEGINNING)


def reference_to(given: Callable[..., Any], what: str) -> str:
    """Return the ``module:attribute`` text by which trials of this process find a function or class.

    One that lies at the top of a module's file is named by it. Any other becomes the attribute of a module
    that this process alone has; its name holds the SHA-256 of the source of all that the function uses of the
    notebook's, so that the same cells give the same text, and edited ones another. Raises `TaskError`, which
    begins with ``what``, where the source of something it uses cannot be told.
    """
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    if module in sys.modules and getattr(sys.modules[module], name, None) is given and _has_file(module):
        return f"{module}:{name}"
    return hold(given, "\n".join(_sources(given, what)).encode())


def hold(given: Callable[..., Any], source: bytes) -> str:
    """Keep a function in a module of this process, and return the text by which trials find it.

    ``source`` stands for all that it does.
    """
    name = f"{_BEGINNING}{hashlib.sha256(source).hexdigest()[:16]}"
    attribute = getattr(given, "__name__", "given").strip("<>")
    if name not in sys.modules:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, _Source(source), origin=f"{name}.py")
        module.__spec__.has_location = True
        sys.modules[name] = module
    setattr(sys.modules[name], attribute, given)
    return f"{name}:{attribute}"


class _Source(Loader):
    """Gives a module's source as importlib's loaders do."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def get_data(self, _: str) -> bytes:
        """Return the source."""
        return self._source


def _has_file(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and read_source(spec) is not None


def _sources(given: Any, what: str) -> Iterator[str]:
    """Yield the source of a function or class, and of what it uses of the module that it was written in.

    Each is a statement, so that whoever reads them finds what they import.
    """
    waiting, seen = [given], set()
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield from map(_as_statement, _own_source(one, what))
        for name, value in _used(one):
            if isinstance(value, ModuleType):
                yield f"import {value.__name__}"
            elif isinstance(value, type | FunctionType):
                if value.__module__ == given.__module__:
                    waiting.append(value)
                else:
                    yield f"from {value.__module__} import {value.__name__}"
            elif _is_plain(value):
                yield f"{name} = {value!r}"
            elif not callable(value):
                raise TaskError(
                    f"{what}: {one.__name__} uses {name}, a {type(value).__name__} of the notebook, whose "
                    "changes would go unnoticed; make it within the function."
                )


def _own_source(one: Any, what: str) -> Iterator[str]:
    if isinstance(one, type):  # inspect finds no source of a notebook's classes, only of their methods
        yield f"class {one.__name__}: pass"
        for name, value in vars(one).items():
            if _is_plain(value):
                yield f"{name} = {value!r}"
        for method in _methods(one):
            yield from _own_source(method, what)
        return
    try:
        yield inspect.getsource(one)
    except (OSError, TypeError) as error:
        raise TaskError(f"{what}: the source of {one!r} is not to be had; put it into a file.") from error


def _as_statement(source: str) -> str:
    """Return source that can be parsed: a method stands further to the right, a lambda within a line."""
    for text in (source, f"if True:\n{source}"):
        with suppress(SyntaxError):
            ast.parse(text)
            return text
    return repr(source)


def _methods(kind: type) -> Iterator[FunctionType]:
    """Yield the methods that are written out; those that a decorator made of text follow from the others."""
    for value in vars(kind).values():
        method = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))
        if isinstance(method, FunctionType) and method.__code__.co_filename != "<string>":
            yield method


def _used(one: Any) -> Iterator[tuple[str, Any]]:
    """Yield the global and enclosing names that a function, or the methods of a class, read."""
    if isinstance(one, type):
        yield from ((base.__name__, base) for base in one.__bases__)
        for method in _methods(one):
            yield from _used(method)
        return
    names = _names(one.__code__)
    yield from ((name, one.__globals__[name]) for name in sorted(names & one.__globals__.keys()))
    cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=True)
    yield from ((name, cell.cell_contents) for name, cell in cells if name != "__class__")


def _names(code: CodeType) -> set[str]:
    """Return the global names that code reads: those of attributes are none."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    own = (s.argval for s in dis.get_instructions(code) if "GLOBAL" in s.opname or s.opname == "LOAD_NAME")
    return set(own).union(*inner)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
