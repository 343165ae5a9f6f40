"""A network as a graph that runs without its code: an ONNX file, a torch.export program."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, forward_on_copy, map_tensors
from pruners.quantization.capture import by_position, exported, several
from sweeps.errors import FAILED, SweepError

ONNX, PROGRAM = "network.onnx", "network.pt2"
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


class OnnxNetwork(nn.Module):
    """An ONNX file in ONNX Runtime on the CPU, called as the network that it was made of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [each.name for each in self._session.get_inputs()]

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Return all outputs, in one list."""
        given = {name: each.numpy() for name, each in zip(self._names, inputs, strict=True)}
        return [torch.from_numpy(each) for each in self._session.run(None, given)]


def check_onnx() -> None:
    """Check that what ONNX files need is installed. Raises `SweepError`."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise SweepError(f"--onnx needs {', '.join(missing)}: pip install 'tombola[onnx]'.")


def program_of(network: nn.Module, example: Inputs) -> torch.export.ExportedProgram:
    """Export a network in eval mode for batches of any size. Raises `SweepError` where torch cannot."""
    inputs = several(by_position(map_tensors(torch.zeros_like, example)))
    try:
        with quietly():
            return exported(network.eval(), inputs, strict=False, what="exported")
    except PrunerError as error:
        raise SweepError(str(error), FAILED) from error


def write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program as `torch.export.load` reads it."""
    with quietly():
        torch.export.save(program, path)


def write_onnx(
    program: torch.export.ExportedProgram, network: nn.Module, example: Inputs, path: Path
) -> float:
    """Write a program as an ONNX file; return how far ONNX Runtime's outputs are from the network's.

    That is the largest difference as a share of the largest output, for one example and for a batch. Raises
    `SweepError` where it is above a thousandth.
    """
    with quietly():
        made = torch.onnx.export(program, verbose=False)
        assert made is not None
        made.save(path, external_data=False)
    runs = OnnxNetwork(path)
    inputs = by_position(example)
    apart = max(_apart(network, runs, batch) for batch in (inputs, several(inputs)))
    if not apart <= 1e-3:
        path.unlink()
        raise SweepError(
            f"ONNX Runtime's outputs are off by {apart:.2g} of the largest; no file is kept.", FAILED
        )
    return apart


def _apart(network: nn.Module, runs: OnnxNetwork, inputs: tuple[Any, ...]) -> float:
    with torch.no_grad():
        ours, theirs = tree_leaves(forward_on_copy(network, inputs)), runs(*inputs)
    largest = max(float(each.abs().max()) for each in ours)
    pairs = zip(ours, theirs, strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs) / (largest or 1.0)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep back what torch says about its own exporter."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
