"""What on this machine would keep a sweep from running well, and how to mend it."""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement

from sweeps.errors import SweepError
from sweeps.tracking.mode import choose_mode

_GIGABYTE = 10**9
_SHOWN = ("torch", "torchvision", "ray", "optuna", "wandb")
_TESTED_APART = "torchvision"
_ENOUGH_DISK = 5 * _GIGABYTE
_ENOUGH_SHARED_MEMORY = _GIGABYTE
_RAY_FULL = 0.95  # Ray refuses objects and runtime environments on a disk that is fuller


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its name, whether it is well, what was seen, and what to do where it is not."""

    name: str
    ok: bool
    sentence: str
    mend: str = ""


def diagnose() -> list[Finding]:
    """Examine everything that a sweep needs here; imports every large package, asks no server."""
    temporary = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")
    findings = [python(), *packages(), torchvision_fits_torch(), gpus(), sweeps_is_ours(), wandb_mode()]
    findings += [free_disk(Path.cwd()), ray_temporary_folder(temporary)]
    shared_memory = Path("/dev/shm")
    return [*findings, shared_memory_size(shared_memory)] if shared_memory.exists() else findings


def python() -> Finding:
    """Tell the interpreter; an older one than the project needs cannot install it."""
    return Finding("Python", True, f"{platform.python_version()} at {sys.prefix}.")


def packages() -> Iterator[Finding]:
    """Compare the large packages with the versions that this project asks for, and import them."""
    try:
        required = {
            wanted.name: wanted
            for wanted in map(Requirement, metadata.requires("tombola") or [])
            if wanted.marker is None
        }
    except metadata.PackageNotFoundError:
        yield Finding(
            "tombola", False, "It runs from its folder without being installed.", "Run `make setup`."
        )
        return
    for name in _SHOWN:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "It is missing.", "Run `make setup`.")
            continue
        wanted, sentence = required[name].specifier, f"{version}."
        if not wanted.contains(version, prereleases=True):
            sentence = f"{version}, but {wanted} is needed."
        elif name != _TESTED_APART and (error := _broken(name)):
            sentence = f"{version}, but it cannot be imported: {error}."
        yield Finding(name, sentence == f"{version}.", sentence, "Run `make setup`.")


def _broken(name: str) -> str | None:
    """Return why a package cannot be imported, None where it can."""
    try:
        importlib.import_module(name)
    except Exception as error:  # a library that is missing, or whatever the package runs when it is imported
        return str(error).rstrip(".")
    return None


def torchvision_fits_torch() -> Finding:
    """Tell whether torch and torchvision were built for each other.

    A CPU-only torch beside PyPI's torchvision is not.
    """
    mend = "Install both from the same index: `make setup` takes both from requirements.txt."
    try:
        importlib.import_module("torchvision")
    except (
        Exception
    ) as error:  # the mismatch shows as a RuntimeError about an operator, or as an ImportError of a library
        return Finding("torch with torchvision", False, f"torchvision cannot be imported: {error}.", mend)
    return Finding("torch with torchvision", True, "They belong together.")


def gpus() -> Finding:
    """Tell the GPUs that torch can use.

    Having none is well, having one that torch cannot use is not.
    """
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Finding("GPUs", True, f"{names}.")
    if shutil.which("nvidia-smi"):
        mend = (
            f"torch {torch.__version__} was built for CUDA {torch.version.cuda}: "
            "update the driver, or install a torch that fits it."
        )
        return Finding("GPUs", False, "There is an NVIDIA driver, but torch cannot use it.", mend)
    return Finding("GPUs", True, "None; trials run on CPUs.")


def sweeps_is_ours() -> Finding:
    """Tell whether PyPI's old package ``sweeps`` (the extra ``wandb[sweeps]``) hides or overwrites ours."""
    try:
        version = metadata.version("sweeps")
    except metadata.PackageNotFoundError:
        return Finding("package sweeps", True, "It is this project's.")
    sentence = f"PyPI's package sweeps {version} is installed too and has the same import name."
    return Finding(
        "package sweeps",
        False,
        sentence,
        "Run `pip uninstall sweeps`, then install tombola again; wandb works without it.",
    )


def wandb_mode() -> Finding:
    """Tell where W&B's runs go."""
    try:
        mode = choose_mode()
    except SweepError as error:
        return Finding("W&B", False, str(error), "Mend or unset that setting of W&B's.")
    where = {
        "online": "Runs go to the server.",
        "offline": "Runs stay in the study directory; `wandb sync` uploads them, "
        "`wandb login` makes further ones go online.",
        "disabled": "Nothing is logged: WANDB_MODE, or `wandb disabled`, says so.",
    }
    return Finding("W&B", True, where[mode])


def free_disk(folder: Path, enough: int = _ENOUGH_DISK) -> Finding:
    """Tell whether the disk of ``folder`` has ``enough`` bytes left for studies."""
    free = shutil.disk_usage(folder).free
    sentence = f"{free / _GIGABYTE:.0f} GB free in {folder}."
    return Finding(
        "disk",
        free >= enough,
        sentence,
        f"Free {enough / _GIGABYTE:.0f} GB, or name a roomier folder with --out.",
    )


def ray_temporary_folder(folder: Path, full: float = _RAY_FULL) -> Finding:
    """Tell whether Ray can keep its sessions in ``folder``.

    A disk used beyond ``full`` (0 to 1) is too full for it.
    """
    mend = "Name a folder that is writable and roomy in RAY_TMPDIR; its path must be short."
    nearest = next(path for path in ((folder / "ray"), folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Finding("Ray's temporary folder", False, f"{folder / 'ray'} is not writable.", mend)
    disk = shutil.disk_usage(nearest)
    used = 1 - disk.free / disk.total
    return Finding(
        "Ray's temporary folder",
        used < full,
        f"{folder / 'ray'} is writable, its disk {used:.0%} used.",
        mend,
    )


def shared_memory_size(folder: Path, enough: int = _ENOUGH_SHARED_MEMORY) -> Finding:
    """Tell whether Ray's object store fits in shared memory of ``enough`` bytes.

    It goes to the slower disk otherwise.
    """
    total = shutil.disk_usage(folder).total
    sentence = f"{folder} holds {total / _GIGABYTE:.2g} GB."
    return Finding(
        "shared memory", total >= enough, sentence, "In a container, start it with --shm-size=2g or more."
    )
