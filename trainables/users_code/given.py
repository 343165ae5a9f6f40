"""What a program gives in place of a name: functions of a notebook, and data that are in memory."""

import ast
import dis
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from itertools import chain
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, get_origin

from trainables.errors import TaskError
from trainables.users_code.import_graph import find_spec, read_source

_BEGINNING = "given_"
_NAME = re.compile(rf"{_BEGINNING}[0-9a-f]{{16}}")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def is_given(module: str) -> bool:
    """Tell whether a module of this name is one that a single process has: a program, or what it gave."""
    return module == "__main__" or _NAME.fullmatch(module) is not None


def reference_to(given: Callable[..., Any], what: str) -> str:
    """Return the ``module:attribute`` text by which trials of this process find a function or class.

    One that lies at the top of a module's file is named by it. Any other becomes the attribute of a module
    that this process alone has; its name holds the SHA-256 of the source of all that the function uses of the
    notebook's, so that the same cells give the same text, and edited ones another. Raises `TaskError`, which
    begins with ``what``, where the source of something it uses cannot be told.
    """
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", "")
    if module and _is_in(module, name, given) and _has_file(module):
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


def _is_in(module: str, name: str, value: Any) -> bool:
    """Tell whether a module that is loaded has a value under this name."""
    return module in sys.modules and getattr(sys.modules[module], name, None) is value


def _has_file(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and read_source(spec) is not None


def _sources(given: Any, what: str) -> Iterator[str]:
    """Yield the source of a function or class, and of what it uses of the module that it was written in.

    Each is a statement, so that whoever reads them finds what they import.
    """
    home = getattr(given, "__module__", None) or ""
    waiting, seen = [_undecorated(given, home)], set()
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield from map(_as_statement, _own_source(one, what))
        for name, value in chain.from_iterable(_parts(*used) for used in _used(one)):
            value = _undecorated(value, home)
            if isinstance(value, type | FunctionType) and _written_in(value) == home:
                waiting.append(value)
            elif told := _told(name, value, home):
                yield _as_statement(told)
            else:
                raise TaskError(
                    f"{what}: {one.__name__} uses {name}, a {type(value).__name__} of the notebook, whose "
                    "changes would go unnoticed; make it within the function."
                )


def _told(name: str, value: Any, home: str) -> str:
    """Return a statement that tells all of what a name stands for; empty where none does."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}"
    if isinstance(value, type | FunctionType):
        return f"from {_written_in(value)} import {value.__name__}"
    if _is_plain(value) or get_origin(value):  # a type with others in brackets
        return f"{name} = {value!r}"
    # some compiled functions know no module, and numpy's only that of their type
    module = getattr(value, "__module__", None) or type(value).__module__
    own_name = getattr(value, "__name__", "")
    is_compiled = isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | type)
    if is_compiled or (module != home and _is_in(module, own_name, value)):
        return f"{name} = {module, own_name}"
    return ""


def _own_source(one: Any, what: str) -> Iterator[str]:
    if isinstance(one, type):  # inspect finds no source of a notebook's classes, only of their methods
        yield f"class {one.__name__}: pass"
        for method in _methods(one):
            yield from _own_source(method, what)
        return
    try:
        yield inspect.getsource(getattr(one, "__code__", one))
    except (OSError, TypeError) as error:
        raise TaskError(f"{what}: the source of {one!r} is not to be had; put it into a file.") from error


def _as_statement(source: str) -> str:
    """Return source that can be parsed: a method stands further to the right, a lambda within a line."""
    for text in (source, f"if True:\n{source}"):
        with suppress(SyntaxError):
            ast.parse(text)
            return text
    return repr(source)


def _written_in(value: type | FunctionType) -> Any:
    """Return the name of the module that a class or function was written in, whatever it was put around."""
    return value.__module__ if isinstance(value, type) else value.__globals__.get("__name__")


def _undecorated(value: Any, home: str) -> Any:
    """Return what decorators of other modules were put around; one of the notebook's is code as any other."""
    if not callable(value):
        return value
    return inspect.unwrap(value, stop=lambda one: isinstance(one, FunctionType) and _written_in(one) == home)


def _methods(kind: type) -> Iterator[FunctionType]:
    """Yield the methods that are written out with the class.

    Those that a decorator made of text follow from the others; those of other modules are attributes.
    """
    for value in vars(kind).values():
        for part in (*(getattr(value, name, None) for name in ("__func__", "fget", "fset", "func")), value):
            method = _undecorated(part, kind.__module__)
            is_own = isinstance(method, FunctionType) and _written_in(method) == kind.__module__
            if is_own and method.__code__.co_filename != "<string>":
                yield method


def _used(one: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names around it that a function, or a class with its methods, reads, and its defaults.

    A default was computed when the function was made: of ``width=WIDTH`` its source does not tell the width.
    """
    if isinstance(one, type):
        yield from ((base.__name__, base) for base in one.__bases__)
        attributes = ((name, value) for name, value in vars(one).items() if not name.startswith("__"))
        yield from ((f"{one.__name__}.{name}", value) for name, value in attributes if _can_be_told(value))
        for method in _methods(one):
            yield from _used(method)
        return
    names = _names(one.__code__)
    yield from ((name, one.__globals__[name]) for name in sorted(names & one.__globals__.keys()))
    cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=True)
    yield from ((name, cell.cell_contents) for name, cell in cells if name != "__class__")
    defaults: Iterable[Any] = (*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values())
    yield from (
        (f"{one.__name__}.default_{place}", value)
        for place, value in enumerate(defaults)
        if _can_be_told(value)
    )
    if isinstance(one, MethodType):
        yield f"{one.__name__}.__self__", one.__self__


def _can_be_told(value: Any) -> bool:
    return isinstance(value, type | FunctionType | partial) or _is_plain(value)


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a partial or a bound method is made of; anything else as it is."""
    if isinstance(value, partial):
        yield from _parts(f"{name}.func", value.func)
        for key, given in (*enumerate(value.args), *value.keywords.items()):
            yield from _parts(f"{name}.{'keywords' if isinstance(key, str) else 'args'}[{key!r}]", given)
    elif isinstance(value, MethodType):
        yield f"{name}.__func__", value.__func__
        yield f"{name}.__self__", value.__self__
    else:
        yield name, value


def _names(code: CodeType) -> set[str]:
    """Return the global names that code reads: those of attributes are none."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    own = (s.argval for s in dis.get_instructions(code) if "GLOBAL" in s.opname or s.opname == "LOAD_NAME")
    return set(own).union(*inner)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
