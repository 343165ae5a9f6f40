"""The project's code and the user's factories, packed for workers that never saw them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeps.errors import SweepError
from sweeps.sweep_file.sweep import Sweep
from trainables.users_code.given import is_given
from trainables.users_code.import_graph import find_spec, is_users, users_modules

_OURS = ("pruners", "trainables", "sweeps")


@contextmanager
def runtime_env(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Pack this project and the user's code that the sweep pulls in, as Ray's ``runtime_env``."""
    with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
        copy_code(sweep, Path(folder))
        yield {"working_dir": folder}


def copy_code(sweep: Sweep, folder: Path) -> None:
    """Copy this project, and the user's code that the sweep pulls in, into a folder to be imported from."""
    for name in (*_OURS, *user_modules(sweep)):
        _copy(name, folder)


def check_is_portable(sweep: Sweep) -> None:
    """Check that other processes can import what the sweep names.

    They are Ray's workers and those that share a training. Raises `SweepError` for functions and data that
    this program gave in place of names.
    """
    if any(map(is_given, user_modules(sweep))):
        raise SweepError(
            "A network, data or loss of this sweep is an object of this process, which no other can import: "
            "give without_ray=True and leave resources.processes out, or put it into a module."
        )


def user_modules(sweep: Sweep) -> list[str]:
    """Return the top-level names of the user's modules that a sweep's trials need.

    The ``package.module:factory`` texts of tasks, optimisers and methods point into these modules, or into
    such as import them.
    """
    transfers = [s.lottery.transfer for s in sweep.for_all if s.lottery and s.lottery.transfer]
    tasks = [sections.task for sections in sweep.for_all] + [
        transfer.task for transfer in transfers if transfer.task
    ]
    trainings = [sections.training for sections in sweep.for_all] + [
        t.training for t in transfers if t.training
    ]
    texts = {getattr(task, key) for task in tasks for key in ("network", "data", "loss")}
    texts |= {metric.name for task in tasks for metric in task.metrics} | {
        training.optimizer for training in trainings
    }
    texts |= {sections.compression.method for sections in sweep.for_all}
    texts |= {baseline.method for baseline in sweep.file.baselines}
    modules = {text.split(":")[0] for text in texts if ":" in text and not text.startswith("torchvision:")}
    return sorted(
        {name.partition(".")[0] for module in modules for name in users_modules(module)} - set(_OURS)
    )


def _copy(name: str, folder: Path) -> None:
    spec = find_spec(name)
    if spec is None or not (name in _OURS or is_users(spec)):
        return  # the environment, which the cluster's nodes are set up with, has it
    # A package's folders: several, and no __init__.py, where it is a namespace package.
    packages = [Path(place) for place in spec.submodule_search_locations or ()]
    sources = packages or ([Path(spec.origin)] if spec.has_location and spec.origin else [])
    for source in sources:
        if packages:
            shutil.copytree(
                source,
                folder / name,
                ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
                dirs_exist_ok=True,
            )
        else:
            shutil.copy2(source, folder / source.name)
