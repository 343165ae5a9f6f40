"""A network as a graph that runs without its code: an ONNX file, a torch.export program."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, forward_on_copy, map_tensors
from pruners.quantization.capture import by_position, exported, first_line, several
from sweeps.deployment.agreement import largest_difference
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

    def forward(self, *inputs: Any, **by_name: Tensor) -> list[Tensor]:
        """Return all outputs, in one list."""
        given = by_name or dict(zip(self._names, tree_leaves(inputs), strict=True))
        found = self._session.run(None, {name: given[name].numpy() for name in self._names})
        return [torch.from_numpy(each) for each in found]


def check_onnx() -> None:
    """Check that what ONNX files need is installed. Raises `SweepError`."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise SweepError(f"--onnx needs {', '.join(missing)}: pip install 'tombola[onnx]'.")


def program_of(network: nn.Module, example: Inputs) -> torch.export.ExportedProgram:
    """Export a network in eval mode for batches of any size. Raises `SweepError` where torch cannot."""
    inputs = several(_called_with(map_tensors(torch.zeros_like, example)))
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

    That is the largest difference as a share of an output's largest value, for the example and for a batch of
    two. Raises `SweepError` where it is above a thousandth, and for what ONNX has no operators for.
    """
    inputs = _called_with(example)
    try:
        with quietly():
            made = torch.onnx.export(program, verbose=False)
            assert made is not None
            made.save(path, external_data=False)
        runs = OnnxNetwork(path)
        with torch.no_grad():
            pairs = [[forward_on_copy(one, x) for one in (network, runs)] for x in (inputs, several(inputs))]
        apart = [largest_difference(*pair) for pair in pairs]
    except MemoryError:
        raise
    except Exception as error:  # the exporter's and ONNX Runtime's are of many kinds
        path.unlink(missing_ok=True)
        raise SweepError(
            f"The network cannot be an ONNX file: {first_line(_cause(error))}.", FAILED
        ) from error
    if not all(one <= 1e-3 for one in apart):
        path.unlink()
        off = next(one for one in apart if not one <= 1e-3)
        raise SweepError(
            f"ONNX Runtime's outputs are off by {off:.2g} of the largest; no file is kept.", FAILED
        )
    return max(apart)


def _called_with(example: Inputs) -> Inputs:
    """Return a batch as positional arguments, or as a dictionary of those by name."""
    return example if isinstance(example, Mapping) else by_position(example)


def _cause(error: BaseException) -> BaseException:
    """Return what an error comes from in the end: the exporter's own says only in which of its steps."""
    return error if error.__cause__ is None else _cause(error.__cause__)


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
