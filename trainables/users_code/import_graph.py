"""Which modules of the user's own code a module pulls in, read from the sources without running any."""

import ast
import importlib.util
import pkgutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

Read = Callable[[str, ModuleSpec], bytes | None]
"""Gives a module's source by its name and spec; None where it has none."""

_OURS = ("pruners", "trainables", "sweeps")
_STANDARD_LIBRARY = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")})
_INSTALLED = ("site-packages", "dist-packages")
_BY_NAME = {"import_module", "__import__"}
_BY_OTHER_MEANS = {"spec_from_file_location", "load_module", "run_path", "run_module"}


def users_modules(name: str, read: Read | None = None) -> dict[str, ModuleSpec]:
    """Find the modules of the user's own that importing ``name`` may run, itself and packages above included.

    Imports inside functions count, and so does ``import_module`` of a literal name. Where a module's name is
    computed, all modules beside the one that computes it count. What is there for type checkers only does
    not. ``read`` gives the sources, by default as the disk has them. Installed packages, the standard library
    and Tombola end the search; ``name`` itself may be an installed one.
    """
    found: dict[str, ModuleSpec] = {}
    waiting, seen = [name], set()
    while waiting:
        module = waiting.pop(0)
        if module in seen:
            continue
        seen.add(module)
        if module != name and not _may_be_users(module):
            continue
        spec = find_spec(module)
        if spec is None or (module != name and not is_users(spec)):
            continue
        found[module] = spec
        waiting.extend(_above(module))
        if is_users(spec):
            waiting.extend(_pulled_in(module, spec, read or _on_disk))
    return found


def find_spec(name: str) -> ModuleSpec | None:
    """Find a module's spec, a loaded one's own; runs no package's code, as importlib's would."""
    loaded = sys.modules.get(name)
    if isinstance(spec := getattr(loaded, "__spec__", None), ModuleSpec):
        return spec
    if name == "__main__":
        file = getattr(loaded, "__file__", None)
        return importlib.util.spec_from_file_location(name, file) if file else None
    above = name.rpartition(".")[0]
    within = _locations(above) if above else None
    if above and within is None:
        return None
    for finder in sys.meta_path:
        if spec := finder.find_spec(name, within):
            return spec
    return None


def read_source(spec: ModuleSpec) -> bytes | None:
    """Read a module's file, a compiled one's binary, as the disk has it now; None where there is none."""
    get_data = getattr(spec.loader, "get_data", None)
    if not spec.has_location or not spec.origin or get_data is None:
        return None
    try:
        content: bytes = get_data(spec.origin)
    except OSError:  # removed since it was loaded
        return None
    return content


def is_users(spec: ModuleSpec) -> bool:
    """Tell whether a module is the user's own: neither installed nor the standard library's nor Tombola's.

    A package installed as editable is the user's own: its files lie in a project.
    """
    if spec.name.partition(".")[0] in _OURS:
        return False
    files = (
        [Path(spec.origin).parent]
        if spec.has_location and spec.origin
        else [Path(p) for p in spec.submodule_search_locations or ()]
    )
    return any(not _is_installed(folder.resolve()) for folder in files)


def _is_installed(folder: Path) -> bool:
    return any(part in _INSTALLED for part in folder.parts) or any(
        folder.is_relative_to(place) for place in _STANDARD_LIBRARY
    )


def _may_be_users(name: str) -> bool:
    """Tell whether the package at the top of ``name`` is the user's: the search need look below no other."""
    spec = find_spec(name.partition(".")[0])
    return spec is not None and is_users(spec)


def _on_disk(_: str, spec: ModuleSpec) -> bytes | None:
    return read_source(spec)


def _locations(package: str) -> list[str] | None:
    loaded = sys.modules.get(package)
    if loaded is not None:
        return list(path) if (path := getattr(loaded, "__path__", None)) is not None else None
    spec = find_spec(package)
    return (
        list(spec.submodule_search_locations)
        if spec and spec.submodule_search_locations is not None
        else None
    )


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _pulled_in(name: str, spec: ModuleSpec, read: Read) -> Iterator[str]:
    imports = _imports(read(name, spec) or b"", _package(name, spec))
    yield from imports.names
    for package in imports.stars:
        if (above := find_spec(package)) and above.submodule_search_locations is not None:
            yield from (f"{package}.{exported}" for exported in _exported(read(package, above) or b""))
    for package in imports.whole_packages:
        yield package
        yield from _below(package)
    if imports.computes_names:
        yield from _beside(name, spec)


def _package(name: str, spec: ModuleSpec) -> str:
    """Return the package that a module's relative imports start from; empty for a module of no package."""
    return name if spec.submodule_search_locations is not None else name.rpartition(".")[0]


def _beside(name: str, spec: ModuleSpec) -> Iterator[str]:
    """Find all modules of the package at the top, or in the folder, that a module lies in."""
    top = name.partition(".")[0]
    if _package(name, spec):
        yield from _below(top)
    elif spec.origin:
        for module in pkgutil.iter_modules([str(Path(spec.origin).parent)]):
            yield module.name
            if module.ispkg:
                yield from _below(module.name)


def _below(package: str) -> Iterator[str]:
    for module in pkgutil.iter_modules(_locations(package) or []):
        name = f"{package}.{module.name}"
        yield name
        if module.ispkg:
            yield from _below(name)


@lru_cache(maxsize=4096)
def _imports(text: bytes, package: str) -> "_Imports":
    found = _Imports(package)
    if tree := _parsed(text):
        found.visit(tree)
    return found


@lru_cache(maxsize=4096)
def _exported(text: bytes) -> frozenset[str]:
    """Collect the texts that a package's ``__all__`` is made of."""
    targets = (ast.Assign, ast.AugAssign, ast.AnnAssign)
    tree = _parsed(text)
    statements = [node for node in ast.walk(tree) if isinstance(node, targets)] if tree else []
    named = [
        node
        for node in statements
        if any(isinstance(part, ast.Name) and part.id == "__all__" for part in ast.walk(node))
    ]
    texts = (part.value for node in named for part in ast.walk(node) if isinstance(part, ast.Constant))
    return frozenset(text for text in texts if isinstance(text, str))


def _parsed(text: bytes) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):  # a compiled module
        return None


@dataclass
class _Imports(ast.NodeVisitor):
    """Collects what a module imports: ``names`` of modules or in modules, and packages read with ``*``."""

    package: str
    names: list[str] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    whole_packages: list[str] = field(default_factory=list)
    computes_names: bool = False
    _importers: set[str] = field(default_factory=_BY_NAME.copy)

    def visit_If(self, node: ast.If) -> None:
        """Leave out what only type checkers read."""
        test = node.test
        if (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)) != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        """Note ``import a.b``."""
        self.names.extend(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note ``from a import b``, where b may be a module, a class or anything else."""
        base = self._absolute("." * node.level + (node.module or ""))
        if base is None:
            return
        self.names.append(base)
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(base)
            else:
                self.names.append(f"{base}.{alias.name}")
            if base == "importlib" and alias.name in _BY_NAME:
                self._importers.add(alias.asname or alias.name)

    def visit_Call(self, node: ast.Call) -> None:
        """Note ``import_module("a.b")``, and modules that are loaded by names not written out."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called in self._importers:
            self._by_name(node)
        self.computes_names |= called in _BY_OTHER_MEANS
        self.generic_visit(node)

    def _by_name(self, node: ast.Call) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "name")][:1]
        literal = _beginning(given[0]) if given else None
        if given and isinstance(given[0], ast.Constant) and literal is not None:
            named = self._absolute(literal, _anchor(node))
            self.names.extend([named] if named else [])
            return
        self.computes_names = True
        prefix = self._absolute(literal.rpartition(".")[0], _anchor(node)) if literal else None
        self.whole_packages.extend([prefix] if prefix else [])

    def _absolute(self, name: str, anchor: str | None = None) -> str | None:
        if not name.startswith("."):
            return name or None
        try:
            return importlib.util.resolve_name(name, anchor or self.package).rstrip(".")
        except ImportError:  # beyond the top: the import itself fails
            return None


def _anchor(node: ast.Call) -> str | None:
    """Return the package that ``import_module(".b", "a")`` starts from, where it is written out."""
    given: Iterable[ast.expr] = [
        *node.args[1:2],
        *(keyword.value for keyword in node.keywords if keyword.arg == "package"),
    ]
    return next(
        (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)), None
    )


def _beginning(expression: ast.expr) -> str | None:
    """Return the text that a text expression begins with, as far as it is written out: all of a literal."""
    if isinstance(expression, ast.Constant):
        return expression.value if isinstance(expression.value, str) else None
    if isinstance(expression, ast.JoinedStr) and expression.values:
        return _beginning(expression.values[0])
    if isinstance(expression, ast.BinOp):
        return _beginning(expression.left)
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):  # "a.{}".format(b)
        return _beginning(expression.func.value)
    return None
