"""Tombola for Python, and the command's first step.

import tombola

small = tombola.compress(network, "alds", keep_ratio=0.25).apply(network)
study = tombola.run(tombola.Sweep.from_file("sweep.yaml"), "runs/mine")
study.best, study.trials_dataframe(), study.plot_front(), study.network()

Its names come from the packages `pruners` and `sweeps`. A file or folder of yours, or PyPI's old package
`sweeps`, may have the same name: ours are loaded from beside this file, wherever Python would look first.
Each name is imported when it is first used.
"""

import importlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from pruners import (
        Artifact,
        PrunerError,
        compress,
        cost,
        load,
        methods,
        plan,
        prunable,
        recalibrate_batchnorm,
        scores,
    )
    from sweeps import Study, Sweep, SweepError, run

__all__ = [
    "Artifact",
    "PrunerError",
    "Study",
    "Sweep",
    "SweepError",
    "compress",
    "cost",
    "load",
    "main",
    "methods",
    "plan",
    "prunable",
    "recalibrate_batchnorm",
    "run",
    "scores",
]
_OF_SWEEPS = ("Study", "Sweep", "SweepError", "run")
_PACKAGES = ("pruners", "trainables", "sweeps")
_HERE = Path(__file__).resolve().parent
_OVERWRITTEN = (
    "tombola: PyPI's package sweeps {version} (the extra wandb[sweeps]) has overwritten this "
    "project's package of the same name. Run `pip uninstall sweeps`, then install tombola again; wandb works "
    "without it."
)
_BROKEN = "tombola: The installation is broken ({error}). Run `make setup`, or install tombola again."


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tombola' has no attribute {name!r}")
    _load_ours()
    return getattr(importlib.import_module("sweeps" if name in _OF_SWEEPS else "pruners"), name)


def __dir__() -> list[str]:
    return __all__


def main() -> None:
    """Run the command, or say in a sentence or two why it cannot run."""
    version = version_that_overwrote_ours()
    if version is not None:
        _refuse(_OVERWRITTEN.format(version=version))
    try:
        _load_ours()
        from sweeps.cli import main as command
    except ImportError as error:
        _refuse(_BROKEN.format(error=error))
    command()


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(2)


def version_that_overwrote_ours() -> str | None:
    """Return the version of PyPI's ``sweeps`` where it was installed over ours."""
    try:
        theirs = metadata.distribution("sweeps")
    except metadata.PackageNotFoundError:
        return None
    place = Path(str(theirs.locate_file("sweeps/__init__.py")))
    return theirs.version if place.resolve() == _HERE / "sweeps" / "__init__.py" else None


def _load_ours() -> None:
    """Load our packages from beside this file.

    Raises ImportError where a module of another place has a name of theirs already.
    """
    for package in _PACKAGES:
        _load_from_here(package)


def _load_from_here(package: str) -> None:
    file = _HERE / package / "__init__.py"
    loaded = sys.modules.get(package)
    if loaded is None:
        spec = importlib.util.spec_from_file_location(
            package, file, submodule_search_locations=[str(file.parent)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    elif Path(theirs := getattr(loaded, "__file__", None) or "").resolve() != file:
        raise ImportError(
            f"{theirs or package} has the name of a package of Tombola's and was imported before it: "
            "import tombola first, or rename that one."
        )


if __name__ == "__main__":
    main()
