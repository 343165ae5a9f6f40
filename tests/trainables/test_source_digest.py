"""Which of the user's modules a factory pulls in; an edit of any of them, and of no other, is noticed."""

import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import trainables
from trainables.users_code.import_graph import find_spec, users_modules
from trainables.users_code.source_digest import source_digests

_numbers = itertools.count()


class Project:
    """A folder of modules that Python finds, under names that no other test uses: @ stands for the number."""

    def __init__(self, folder: Path):
        self.folder, self.number = folder, next(_numbers)

    def name(self, text: str) -> str:
        return text.replace("@", str(self.number))

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            file = self.folder / self.name(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.name(text))
        importlib.invalidate_caches()

    def modules(self, name: str) -> set[str]:
        return {module.replace(str(self.number), "@") for module in users_modules(self.name(name))}

    def digests(self, name: str) -> dict[str, str]:
        return source_digests([self.name(f"{name}:network")])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Project(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


PACKAGE = {"p@/__init__.py": "", "p@/a.py": "", "p@/b.py": "", "p@/deep/__init__.py": "", "p@/deep/c.py": ""}
LAYOUTS: dict[str, tuple[dict[str, str], str, set[str]]] = {
    "one module alone": ({"n@.py": "import torch, json", "other@.py": ""}, "n@", {"n@"}),
    "a module beside it": (
        {"n@.py": "import h@", "h@.py": "import g@", "g@.py": ""},
        "n@",
        {"n@", "h@", "g@"},
    ),
    "a circle": ({"n@.py": "import h@", "h@.py": "import n@"}, "n@", {"n@", "h@"}),
    "what a module holds": ({"n@.py": "from h@ import block as b", "h@.py": "block = 3"}, "n@", {"n@", "h@"}),
    "inside a function": (
        {"n@.py": "def network():\n    from h@ import block", "h@.py": ""},
        "n@",
        {"n@", "h@"},
    ),
    "what may be missing": (
        {"n@.py": "try:\n    import fast@\nexcept ImportError:\n    import h@", "h@.py": ""},
        "n@",
        {"n@", "h@"},
    ),
    "for type checkers only": (
        {
            "n@.py": "import typing\nif typing.TYPE_CHECKING:\n    import t@\nelse:\n    import h@",
            "h@.py": "",
            "t@.py": "",
        },
        "n@",
        {"n@", "h@"},
    ),
    "a submodule, and packages above it": (
        {**PACKAGE, "n@.py": "import p@.deep.c"},
        "n@",
        {"n@", "p@", "p@.deep", "p@.deep.c"},
    ),
    "the package's own imports": (
        {**PACKAGE, "p@/__init__.py": "from .a import x"},
        "p@.deep.c",
        {"p@", "p@.a", "p@.deep", "p@.deep.c"},
    ),
    "a submodule by from": ({**PACKAGE, "n@.py": "from p@ import b, nothing"}, "n@", {"n@", "p@", "p@.b"}),
    "relative imports": (
        {**PACKAGE, "p@/deep/c.py": "from .. import a\nfrom ..b import x\nfrom ... import beyond"},
        "p@.deep.c",
        {"p@", "p@.a", "p@.b", "p@.deep", "p@.deep.c"},
    ),
    "a star": (
        {**PACKAGE, "p@/__init__.py": "__all__ = ['a', 'f']", "n@.py": "from p@ import *"},
        "n@",
        {"n@", "p@", "p@.a"},
    ),
    "import_module of a literal": (
        {
            **PACKAGE,
            "n@.py": "import importlib\nimportlib.import_module('p@.a')\n__import__('h@')",
            "h@.py": "",
        },
        "n@",
        {"n@", "p@", "p@.a", "h@"},
    ),
    "import_module under another name, relative": (
        {
            **PACKAGE,
            "n@.py": "from importlib import import_module as load\n"
            "load('.b', 'p@')\nload(name='.c', package='p@.deep')",
        },
        "n@",
        {"n@", "p@", "p@.b", "p@.deep", "p@.deep.c"},
    ),
    "import_module of a computed name in a package": (
        {
            **PACKAGE,
            "n@.py": "",
            "p@/a.py": "import importlib\ndef f(x): importlib.import_module(f'{__package__}.{x}')",
        },
        "p@.a",
        {"p@", "p@.a", "p@.b", "p@.deep", "p@.deep.c"},
    ),
    "import_module of a name that begins with a package": (
        {
            **PACKAGE,
            "q@/n.py": "import importlib\ndef f(x): importlib.import_module('p@.' + x)",
            "other@.py": "",
        },
        "q@.n",
        {"q@", "q@.n", "p@", "p@.a", "p@.b", "p@.deep", "p@.deep.c"},
    ),
    "import_module of a name from elsewhere": (
        {"n@.py": "import importlib\ndef f(x): importlib.import_module(x)", "h@.py": "", "sub/other@.py": ""},
        "n@",
        {"n@", "h@"},
    ),
    "a namespace package": (
        {"s@/n.py": "from s@.h import x", "s@/h.py": "", "s@/g.py": ""},
        "s@.n",
        {"s@", "s@.n", "s@.h"},
    ),
    "what is installed": (
        {
            "site-packages/i@/__init__.py": "import h@",
            "h@.py": "",
            "n@.py": "import i@, torch, pruners, trainables.task.task, collections.abc",
        },
        "n@",
        {"n@"},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_module_pulls_in_what_it_imports_and_nothing_else(
    project: Project, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    files, name, expected = LAYOUTS[layout]
    project.write({"unrelated@.py": "", **files})
    monkeypatch.syspath_prepend(project.folder / "site-packages")
    if layout == "import_module of a name from elsewhere":  # whatever lies beside the module may be meant
        expected = expected | {"unrelated@"}
    assert project.modules(name) == expected
    assert not [module for module in sys.modules if module.startswith(project.name("p@"))], (
        "something was run"
    )


def test_a_package_that_lies_in_a_project_is_the_users_own_however_it_is_found(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(
        {
            "project/src/e@/__init__.py": "from e@ import h",
            "project/src/e@/h.py": "",
            "site-packages/none.txt": "",
        }
    )
    (project.folder / "site-packages" / project.name("e@")).symlink_to(
        project.folder / "project" / "src" / project.name("e@")
    )
    monkeypatch.syspath_prepend(project.folder / "site-packages")
    assert project.modules("e@") == {"e@", "e@.h"}


@pytest.mark.parametrize(
    "layout", ["a module beside it", "relative imports", "import_module of a literal", "a namespace package"]
)
def test_an_edit_changes_the_digest_of_its_module_alone(project: Project, layout: str) -> None:
    files, name, expected = LAYOUTS[layout]
    project.write({"unrelated@.py": "", **files})
    before = project.digests(name)
    project.write({"unrelated@.py": "WIDTH = 7"})
    assert project.digests(name) == before
    for module in expected:
        spec = find_spec(project.name(module))
        if spec and spec.has_location:
            path = Path(str(spec.origin))
            path.write_text(path.read_text() + "\n# edited")
            after = project.digests(name)
            assert {n for n in before if after[n] != before[n]} == {project.name(module)}
            before = after


@pytest.mark.parametrize("imported", ["at the top", "inside a function"])
def test_the_digest_is_of_the_code_that_runs(project: Project, imported: str) -> None:
    text = "import h@" if imported == "at the top" else "def network():\n    import h@"
    project.write({"n@.py": text, "h@.py": "WIDTH = 1"})
    helper = project.name("h@")
    first = project.digests("n@")
    importlib.import_module(project.name("n@"))
    importlib.import_module(helper)
    assert project.digests("n@") == first
    project.write({"h@.py": "WIDTH = 12"})
    with pytest.warns(
        trainables.StoreWarning,
        match=rf"{helper}\.py was edited after this process had loaded it: .* as it was",
    ):
        assert project.digests("n@") == first
    importlib.reload(sys.modules[helper])
    second = project.digests("n@")
    assert second != first
    project.write({"h@.py": "WIDTH = 1"})  # and back: nothing remembers the wrong text
    importlib.reload(sys.modules[helper])
    assert project.digests("n@") == first


def test_code_of_which_nobody_knows_which_edit_runs_matches_no_other(project: Project) -> None:
    project.write({"n@.py": "def network():\n    import h@", "h@.py": "WIDTH = 1"})
    first = project.digests("n@")
    importlib.import_module(project.name("h@"))
    project.write({"h@.py": "WIDTH = 12"})  # after the import or before it: the file does not tell
    with pytest.warns(trainables.StoreWarning, match="was edited after"):
        unsure = project.digests("n@")
    importlib.reload(sys.modules[project.name("h@")])
    assert len({str(digests) for digests in (first, unsure, project.digests("n@"))}) == 3


def test_a_module_that_puts_an_object_in_its_place_is_known_by_its_file(project: Project) -> None:
    project.write(
        {"n@.py": "import h@", "h@.py": "import sys\nclass Lazy: ...\nsys.modules[__name__] = Lazy()"}
    )
    importlib.import_module(project.name("n@"))
    before = project.digests("n@")
    assert set(before) == {project.name("n@"), project.name("h@")}
    project.write({"h@.py": "import sys"})
    with pytest.warns(trainables.StoreWarning, match="was edited after"):
        assert project.digests("n@") == before
    del sys.modules[project.name("h@")]


def test_a_module_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    main = type(sys)("__main__")
    main.network = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(
        trainables.TaskError,
        match="__main__:network: the module __main__ has no source file, so an edit of it would go",
    ):
        source_digests(["__main__:network"])
