"""A network on its way through a recipe, and how it is kept on disk."""

import errno
import io
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

import pruners
from pruners.whole_files import sync
from trainables.config import TaskConfig
from trainables.places.folders import at_hand, upload
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place
from trainables.task.task import build_network

OPTIMIZER = "optimizer.pt"
"""The file of a snapshot that holds the optimiser's state."""
INT8 = "int8.pt2"
"""The file of an exported network that holds its int8 one."""
_REMOVED = "removed.safetensors"


@dataclass(frozen=True)
class Network:
    """A module, what it was compressed by (None: it is dense) and the metrics of every epoch of the training
    it comes from, if any.

    ``trained_with`` holds what computed it and the networks that it comes from (see `trained_by`), the last
    to do so last. ``removed`` holds, by parameter, the values of removed weights that may come back
    (`GradualMask`), zero elsewhere. ``int8`` is what the module was made at the end of a trial.
    """

    module: nn.Module
    artifact: pruners.Artifact | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    trained_with: tuple[str, ...] = ()
    removed: dict[str, Tensor] = field(default_factory=dict)
    int8: pruners.Int8Network | None = None

    @property
    def in_use(self) -> nn.Module:
        """Return what is evaluated and deployed: the int8 network where there is one."""
        return self.int8 or self.module


def trained_by(module: nn.Module, device: torch.device) -> str:
    """Name what decides over the last bits of a training: torch's version, the kind of device and the
    parameters' types.
    """
    types = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in module.parameters()})
    return f"torch {torch.__version__}, {device.type}, {' and '.join(types)}"


def in_order(*trained_with: str) -> tuple[str, ...]:
    """Return each name once, at its last place."""
    return tuple(reversed(dict.fromkeys(reversed(trained_with))))


def save(network: Network, folder: Path) -> None:
    """Write ``network`` into ``folder``: model.safetensors, spec.json where it is compressed, int8.pt2
    where it was made int8.
    """
    if network.int8:
        network.int8.save(folder / INT8)
    if network.artifact is None:
        save_model(network.module, str(folder / "model.safetensors"))
    else:
        network.artifact.capture(network.module).save(folder)


def bytes_of(network: Network) -> int:
    """Count the bytes of the files that a network is deployed with: of an int8 one that alone, of others all
    that `save` writes.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        if network.int8:
            network.int8.save(folder / INT8)
        else:
            save(network, folder)
        return sum(file.stat().st_size for file in folder.iterdir())


def save_snapshot(network: Network, optimizer: torch.optim.Optimizer | None, folder: Path) -> None:
    """Write the files of a snapshot; without ``optimizer`` training cannot go on from it."""
    save(network, folder)
    if network.removed:
        save_file({name: values.contiguous() for name, values in network.removed.items()}, folder / _REMOVED)
    if optimizer is not None:
        content = io.BytesIO()  # torch's own writing to a file hides why it failed
        torch.save(optimizer.state_dict(), content)
        (folder / OPTIMIZER).write_bytes(content.getbuffer())


def export(network: Network, folder: Place) -> None:
    """Save ``network`` into ``folder`` whole or not at all. What is there already is kept: another worker may
    end the same trial at once.
    """
    if isinstance(folder, ObjectPath):
        if not (folder / "spec.json").exists():
            with TemporaryDirectory() as name:
                save(network, Path(name))
                upload(Path(name), folder)
        return
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        save(network, temporary)
        sync(*temporary.iterdir(), temporary)
        temporary.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_from(folder: Place, task: TaskConfig, device: torch.device) -> Network:
    """Read back what `export` wrote, onto ``device``."""
    with at_hand(folder) as local:
        return load(local, task, device)


def load(folder: Path, task: TaskConfig, device: torch.device) -> Network:
    """Read back what `save` or `save_snapshot` wrote, onto ``device``; its history lies elsewhere."""
    module = build_network(task)
    if not (folder / "spec.json").exists():
        load_model(module, str(folder / "model.safetensors"))
        return Network(module.to(device))
    artifact, removed, int8 = pruners.load(folder), folder / _REMOVED, folder / INT8
    return Network(
        artifact.apply(module).to(device),
        artifact,
        removed=load_file(removed) if removed.exists() else {},
        int8=pruners.load_int8(int8) if int8.exists() else None,
    )
