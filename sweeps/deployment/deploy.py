"""All that an exported folder holds besides the artifact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

import pruners
import trainables
from pruners.errors import PrunerError
from pruners.network.forward_pass import batch_that_runs
from pruners.network.inputs import Inputs, join_inputs
from pruners.quantization.int8 import has_int8_operators
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
    try:
        sections = sections_of(record, trial)
        factory = partial(trainables.build_network, sections.task)
        dense, example = factory().eval(), trainables.example_input(sections.task)
    except (trainables.TaskError, SweepError) as error:
        if wanted != Wanted():
            raise SweepError(f"The task's own network cannot be built here: {error}", FAILED) from error
        yield f"No loader and no table: the task's own network cannot be built here ({error})"
        return
    with reproducible(record.sweep.get("resources", {}).get("cpus", 1)):
        batch = join_inputs([example] * sections.compression.latency_batch)
        yield from deploy_network(factory, dense, batch, folder, wanted)


def deploy_network(
    factory: Callable[[], nn.Module], dense: nn.Module, batch: Inputs, folder: Path, wanted: Wanted
) -> Iterator[str]:
    """Make what is wanted of the artifact in ``folder`` and its dense network, timed with ``batch``.

    Yields and raises as `deploy`.
    """
    artifact = pruners.load(folder)
    small = artifact.apply(dense).eval()
    tried, _ = batch_that_runs(small, batch)
    own = sum(path.stat().st_size for path in folder.iterdir() if path.name != INT8)
    ways = _Ways({speed.DENSE: dense, speed.SMALL: small}, {speed.DENSE: _bytes_of(dense), speed.SMALL: own})
    try:
        write_loader(artifact, small, factory, tried, folder)
        yield f"{LOADER} loads it with torch and safetensors alone, into your own factory's network."
    except SweepError as error:
        yield f"No plain loader: {error}"
    for name, other in speed.variants(small, batch, wanted.compiled):
        try:
            with graphs.quietly():  # torch.compile compiles at the first call
                batch_that_runs(other, batch)
            ways.add(name, other)
        except PrunerError as error:
            yield f"{name} is not in the table: {error}"
    yield from _graphs(small, tried, folder, wanted, ways)
    yield from _int8(small, tried, folder, wanted, ways)
    rows = speed.measured(ways.networks, ways.sizes, batch)
    speed.write(rows, batch, folder)
    yield speed.text(rows, batch)


@dataclass(frozen=True)
class _Ways:
    """The ways in which a network can be run, by name, and the bytes of the files of those that have some."""

    networks: dict[str, nn.Module]
    sizes: dict[str, int]

    def add(self, name: str, network: nn.Module, file: Path | None = None) -> None:
        self.networks[name] = network
        if file is not None:
            self.sizes[name] = file.stat().st_size


def _graphs(small: nn.Module, batch: Inputs, folder: Path, wanted: Wanted, ways: _Ways) -> Iterator[str]:
    if not (wanted.onnx or wanted.program):
        return
    program = graphs.program_of(small, batch)
    if wanted.program:
        file = folder / graphs.PROGRAM
        graphs.write_program(program, file)
        ways.add(graphs.PROGRAM, _Program(program.module()), file)
    if wanted.onnx:
        file = folder / graphs.ONNX
        apart = graphs.write_onnx(program, small, batch, file)
        yield f"{graphs.ONNX} gives the same in ONNX Runtime, to {apart:.1g} of the largest output."
        ways.add("ONNX Runtime", graphs.OnnxNetwork(file), file)


def _int8(small: nn.Module, batch: Inputs, folder: Path, wanted: Wanted, ways: _Ways) -> Iterator[str]:
    file = folder / INT8
    if wanted.int8 and not file.exists():
        try:
            pruners.quantize(small, batch, "dynamic").save(file)
        except PrunerError as error:
            raise SweepError(f"--int8: {error}", FAILED) from error
    if not file.exists():  # nor has the trial one of its own
        return
    if has_int8_operators():
        ways.add("int8", pruners.load_int8(file), file)
    else:
        yield "int8 is not in the table: its operators are for x86 processors."


class _Program(nn.Module):
    """An exported program, which has no modes, as a network that is always in eval mode."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self._run = [program]  # in a list: its own train() and eval() refuse

    def forward(self, *inputs: Any, **by_name: Any) -> Any:
        """Run it."""
        return self._run[0](*inputs, **by_name)


def _bytes_of(dense: nn.Module) -> int:
    with TemporaryDirectory() as name:
        save(Network(dense), Path(name))
        return sum(path.stat().st_size for path in Path(name).iterdir())
