"""The work of one epoch as files, for processes that share it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor

import pruners
from trainables.config import TaskConfig, TrainingConfig
from trainables.execution import network
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.places.place import place_of
from trainables.stages import Train
from trainables.task.task import load_data
from trainables.training.optimizer import make

_WORK, _NETWORK, _TEACHER, _AIMS = "work.json", "network", "teacher", "aims.safetensors"
_TRAINED, _METRICS = "trained", "metrics.json"


@dataclass(frozen=True)
class Beside:
    """What a training follows beside its labels: another network, and what the weights are drawn to."""

    teacher: Network | None = None
    aims: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Work:
    """The part of a training from the first of ``steps`` to the second, in one epoch, and where it is done.

    The network is kept at the steps ``keep``.
    """

    stage: Train
    steps: tuple[int, int]
    seed: int
    task: TaskConfig
    training: TrainingConfig
    store: str
    trainer: str
    num_workers: int = 0
    threads: int = 1
    keep: tuple[int, ...] = ()

    def setting(self, device: torch.device) -> TrialSetting:
        """Make ready the setting that the work is done in."""
        examples = load_data(self.task).read_by(self.num_workers)
        store = place_of(self.store)
        return TrialSetting(self.task, self.training, examples, device, store, self.trainer, 1)


_as_data: TypeAdapter[Work] = TypeAdapter(Work)


def write(
    folder: Path, work: Work, current: Network, optimizer: torch.optim.Optimizer, beside: Beside
) -> None:
    """Write a work into an empty folder, with the network and its optimiser as they are before it."""
    (folder / _WORK).write_text(json.dumps(asdict(work)))
    (folder / _NETWORK).mkdir()
    network.save_snapshot(current, optimizer, folder / _NETWORK)
    if beside.teacher:
        (folder / _TEACHER).mkdir()
        network.save(beside.teacher, folder / _TEACHER)
    if beside.aims is not None:
        plain = torch.contiguous_format  # the file knows no other
        aims = {name: aim.detach().clone(memory_format=plain) for name, aim in beside.aims.items()}
        save_file(aims, folder / _AIMS)


def read(folder: Path) -> Work:
    """Read which work is in a folder."""
    return _as_data.validate_json((folder / _WORK).read_bytes())


def read_networks(folder: Path, setting: TrialSetting) -> tuple[Network, torch.optim.Optimizer, Beside]:
    """Read the network that a work begins with, its optimiser, and what it follows."""
    current = network.load(folder / _NETWORK, setting.task, setting.device)
    optimizer = make(current.module, setting.training)
    _load_state(optimizer, folder / _NETWORK)
    teacher, aims = folder / _TEACHER, folder / _AIMS
    return (
        current,
        optimizer,
        Beside(
            network.load(teacher, setting.task, setting.device) if teacher.exists() else None,
            load_file(aims) if aims.exists() else None,
        ),
    )


def write_trained(
    folder: Path, trained: Network, optimizer: torch.optim.Optimizer, metrics: Mapping[str, float]
) -> None:
    """Write what came of a work beside it."""
    (folder / _TRAINED).mkdir()
    network.save_snapshot(trained, optimizer, folder / _TRAINED)
    (folder / _METRICS).write_text(json.dumps(dict(metrics)))


def take_trained(
    folder: Path, current: Network, optimizer: torch.optim.Optimizer, setting: TrialSetting
) -> tuple[Network, dict[str, float]]:
    """Read what came of a work into its network and optimiser, in place.

    Returns the network, whose mask may have changed, and the training's metrics.
    """
    trained = network.load(folder / _TRAINED, setting.task, setting.device)
    current.module.load_state_dict(trained.module.state_dict())
    _load_state(optimizer, folder / _TRAINED)
    metrics: dict[str, float] = json.loads((folder / _METRICS).read_text())
    if isinstance(trained.artifact, pruners.Mask):
        current = replace(current, artifact=trained.artifact, removed=trained.removed)
    return current, metrics


def kept(folder: Path, step: int) -> Path:
    """Return the folder with the network as it was after a step at which it is kept."""
    return folder / f"step-{step}"


def copy_kept(folder: Path, step: int, to: Path) -> None:
    """Copy the files of the network that was kept after a step."""
    for path in kept(folder, step).iterdir():
        shutil.copyfile(path, to / path.name)  # copytree hides why it failed


def _load_state(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    optimizer.load_state_dict(torch.load(folder / network.OPTIMIZER, map_location="cpu", weights_only=True))
