"""Takes the project's code and the user's factories to workers that never saw them."""

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeps.spec.sweep import Sweep

_OURS = ("pruners", "trainables", "sweeps")


@contextmanager
def runtime_env(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Ray's ``runtime_env`` with this project and every module that the sweep's task names, packed in one folder."""
    with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
        for name in (*_OURS, *user_modules(sweep)):
            _copy(name, Path(folder))
        yield {"working_dir": folder}


def user_modules(sweep: Sweep) -> list[str]:
    """Top-level names of the modules that the task's ``package.module:factory`` texts point into."""
    texts = [sweep.file.task.get(key) for key in ("network", "data", "loss")]
    for name, distribution in sweep.space.distributions.items():
        if name.startswith("task."):
            texts.extend(getattr(distribution, "choices", ()))
    texts.extend(value for name, value in sweep.space.constants.items() if name.startswith("task."))
    modules = {t.split(":")[0].split(".")[0] for t in texts if isinstance(t, str) and ":" in t and not t.startswith("torchvision:")}
    return sorted(modules - set(_OURS))


def _copy(name: str, folder: Path) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return
    # A package's folders: several, and no __init__.py, where it is a namespace package.
    packages = [Path(place) for place in spec.submodule_search_locations or ()]
    sources = packages or ([Path(spec.origin)] if spec.has_location and spec.origin else [])
    for source in sources:
        if name not in _OURS and _is_installed(source):
            continue
        if packages:
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / source.name)


def _is_installed(source: Path) -> bool:
    """Whether a module comes from the environment, which the cluster's nodes are set up with, rather than from a project."""
    return "site-packages" in source.parts or source.is_relative_to(Path(sys.base_prefix))
