"""All that an exported folder holds besides the artifact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import pruners
import trainables
from pruners.network.inputs import Inputs, join_inputs
from sweeps.deployment import graphs, speed
from sweeps.deployment.plain_torch import LOADER, write_loader
from sweeps.deployment.trial_sections import sections_of
from sweeps.errors import FAILED, SweepError
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.execution.network import INT8, Network, save
from trainables.training.device import reproducible


@dataclass(frozen=True)
class Wanted:
    """What is made besides the loader and the table; ``compiled`` times torch.compile, too."""

    onnx: bool = False
    program: bool = False
    int8: bool = False
    compiled: bool = False


def check(wanted: Wanted) -> None:
    """Check that what is wanted can be made on this machine. Raises `SweepError`."""
    if wanted.onnx:
        graphs.check_onnx()
    if wanted.compiled and not speed.can_compile():
        raise SweepError(f"--compile needs a C++ compiler, and there is no {speed.compiler()}.")


def deploy(record: StudyRecord, trial: TrialRecord, folder: Path, wanted: Wanted) -> Iterator[str]:
    """Make what is wanted of the artifact in ``folder``, and yield what there is to say of it.

    The network is built as the task says. Raises `SweepError` for what was asked for and cannot be made; the
    artifact stays in any case.
    """
    sections = sections_of(record, trial)
    try:
        factory = partial(trainables.build_network, sections.task)
        dense, example = factory().eval(), trainables.example_input(sections.task)
    except trainables.TaskError as error:
        if wanted != Wanted():
            raise SweepError(f"The task's own network cannot be built here: {error}", FAILED) from error
        yield f"No loader and no table: the task's own network cannot be built here ({error})"
        return
    with reproducible(record.sweep.get("resources", {}).get("cpus", 1)):
        batch = join_inputs([example] * sections.compression.latency_batch)
        yield from _made(factory, dense, batch, folder, wanted)


def _made(
    factory: Callable[[], nn.Module], dense: nn.Module, batch: Inputs, folder: Path, wanted: Wanted
) -> Iterator[str]:
    artifact = pruners.load(folder)
    small = artifact.apply(dense).eval()
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    sizes = {speed.SMALL: sum(size for name, size in files.items() if name != INT8)}
    networks: dict[str, nn.Module] = {speed.DENSE: dense, speed.SMALL: small}
    sizes[speed.DENSE] = _bytes_of(dense)
    try:
        write_loader(artifact, small, factory, batch, folder)
        yield f"{LOADER} loads it with torch and safetensors alone, into your own factory's network."
    except SweepError as error:
        yield f"No plain loader: {error}"
    networks |= speed.variants(small, batch, wanted.compiled)
    if wanted.onnx or wanted.program:
        program = graphs.program_of(small, batch)
        if wanted.program:
            graphs.write_program(program, folder / graphs.PROGRAM)
            sizes[graphs.PROGRAM] = (folder / graphs.PROGRAM).stat().st_size
            networks[graphs.PROGRAM] = _Program(program.module())
        if wanted.onnx:
            apart = graphs.write_onnx(program, small, batch, folder / graphs.ONNX)
            yield f"{graphs.ONNX} gives the same in ONNX Runtime, to {apart:.1g} of the largest output."
            sizes["ONNX Runtime"] = (folder / graphs.ONNX).stat().st_size
            networks["ONNX Runtime"] = graphs.OnnxNetwork(folder / graphs.ONNX)
    if wanted.int8 and INT8 not in files:
        pruners.quantize(small, batch, "dynamic").save(folder / INT8)
    if (folder / INT8).exists():  # also a trial's own
        networks["int8"] = pruners.load_int8(folder / INT8)
        sizes["int8"] = (folder / INT8).stat().st_size
    with graphs.quietly():  # torch.compile begins to compile at the first call
        rows = speed.measured(networks, sizes, batch)
    speed.write(rows, batch, folder)
    yield speed.text(rows, batch)


class _Program(nn.Module):
    """An exported program, which has no modes, as a network that is always in eval mode."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self._run = [program]  # in a list: its own train() and eval() refuse

    def forward(self, *inputs: torch.Tensor) -> object:
        """Run it."""
        return self._run[0](*inputs)


def _bytes_of(dense: nn.Module) -> int:
    with TemporaryDirectory() as name:
        save(Network(dense), Path(name))
        return sum(path.stat().st_size for path in Path(name).iterdir())
