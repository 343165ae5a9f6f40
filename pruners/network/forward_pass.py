"""One forward pass of a network as it stands.

In eval mode, and with a sentence about the layer that refuses its input.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, batch_size, forward_on_copy, input_tensors, join_inputs
from pruners.network.layer_names import named_modules

REFUSED = "The network cannot be run on the calibration images"
COMPRESSED_REFUSED = "The compressed network cannot be run on the calibration images"
"""How `naming_refusals` begins where it is the calibration images that are run."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the network in eval mode without gradients; every module's own mode returns afterwards.

    Raises PrunerError for a network that has no modes, as torch.export's have none.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
    except NotImplementedError as error:
        raise PrunerError(
            f"The network cannot be brought into eval mode: {str(error).rstrip('.')}."
        ) from error
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def naming_refusals(model: nn.Module, failed: str) -> Iterator[None]:
    """Turn what a forward or backward pass raises into a PrunerError that names the layer.

    Its message begins with ``failed``. Running out of memory stays what it is.
    """
    try:
        yield
    except (PrunerError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "").rstrip(".!") or type(error).__name__
        raise PrunerError(f"{failed}{_refusing(model, error)}: {reason}.") from error


@contextmanager
def evaluating_on(model: nn.Module, inputs: Inputs) -> Iterator[None]:
    """Hold the network in eval mode for a pass over a batch.

    Raises PrunerError, with the layer's name, where it refuses the batch.
    """
    try:
        shapes = " of shape " + ", ".join(str(tuple(tensor.shape)) for tensor in input_tensors(inputs))
    except PrunerError:
        shapes = ""  # of what is no tensor
    with evaluating(model), naming_refusals(model, f"The network cannot be run on inputs{shapes}"):
        yield


def _refusing(model: nn.Module, error: Exception) -> str:
    """Find the innermost module whose code was running, as the traceback tells."""
    names = {id(module): name for name, module in named_modules(model)}
    found, step = "", error.__traceback__
    while step is not None:
        module = step.tb_frame.f_locals.get("self")
        if isinstance(module, nn.Module) and names.get(id(module)):
            found = f"; layer {names[id(module)]!r} ({type(module).__name__}) refuses"
        step = step.tb_next
    return found


def batch_that_runs(model: nn.Module, example: Inputs) -> tuple[Inputs, int]:
    """Return the example and 1, or two copies of it and 2 for a network that takes no batch of one.

    BatchNorm without running statistics is such a network's layer. Raises PrunerError where it takes neither.
    """
    try:
        _run(model, example)
        return example, 1
    except PrunerError as error:
        if not _is_one(example):
            raise
        two = join_inputs([example, example])
        try:
            _run(model, two)
        except PrunerError:
            raise error from error.__cause__
        return two, 2


def _run(model: nn.Module, inputs: Inputs) -> None:
    with evaluating_on(model, inputs):
        forward_on_copy(model, inputs)


def _is_one(example: Inputs) -> bool:
    try:
        return batch_size(example) == 1
    except PrunerError:
        return False
