"""How long networks take in the ways that they can be run, and how large their files are."""

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pruners
from pruners.latency.timed_on import device_name
from pruners.network.copying import copied
from pruners.network.inputs import Inputs, batch_size

DENSE, SMALL = "dense", "small"
_FILE = "latency.json"


@dataclass(frozen=True)
class Row:
    """One way to run a network: median milliseconds of a pass, their share of dense, bytes of its files."""

    network: str
    ms: float
    kept: float
    bytes: int | None


class ChannelsLast(nn.Module):
    """A network of images whose tensors are in the order that some devices compute faster in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copied(network).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Any:
        """Put the images in that order first."""
        return self.network(images.contiguous(memory_format=torch.channels_last))


def variants(small: nn.Module, example: Inputs, compiled: bool) -> Iterator[tuple[str, nn.Module]]:
    """Yield the other ways in which torch runs a network."""
    # torch refuses the order to the weights of a Conv3d
    if isinstance(example, Tensor) and example.dim() == 4 and all(p.dim() < 5 for p in small.parameters()):
        yield f"{SMALL}, channels last", ChannelsLast(small)
    if compiled:
        own = copied(small)
        own.compile()
        yield f"{SMALL}, torch.compile", own


def compiler() -> str:
    """Return the name of the compiler that torch.compile takes for a CPU."""
    return os.environ.get("CXX", "g++")


def can_compile() -> bool:
    """Tell whether there is the compiler that torch.compile needs."""
    return shutil.which(compiler()) is not None


def measured(networks: Mapping[str, nn.Module], sizes: Mapping[str, int], batch: Inputs) -> list[Row]:
    """Time networks in turn, the dense one first."""
    timed = pruners.latencies(networks, batch)
    return [Row(name, one.ms, one.kept, sizes.get(name)) for name, one in timed.items()]


def write(rows: list[Row], batch: Inputs, folder: Path) -> None:
    """Write the rows, and where they were measured, as latency.json."""
    told = {
        "device": device_name(torch.device("cpu")),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "batch": batch_size(batch),
        "networks": [asdict(row) for row in rows],
    }
    (folder / _FILE).write_text(json.dumps(told, indent=1) + "\n")


def text(rows: list[Row], batch: Inputs) -> str:
    """Return the rows as a table for people."""
    width = max(len(row.network) for row in rows)
    size = batch_size(batch)
    head = f"ms for {size} input{'s' if size > 1 else ''}"
    lines = [f"{'network':<{width}}  {head:>16}  {'of dense':>8}  {'kB':>9}"]
    for row in rows:
        kb = "" if row.bytes is None else f"{row.bytes / 1000:.1f}"
        lines.append(f"{row.network:<{width}}  {row.ms:>16.2f}  {row.kept:>8.2f}  {kb:>9}".rstrip())
    return "\n".join(lines)
