"""BatchNorm statistics estimated again.

A compressed network's activations are no longer those that were averaged in training.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.errors import PrunerError
from pruners.network.forward_pass import evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.layer_names import check_module, named_modules
from pruners.option_values import shown


def recalibrate_batchnorm(model: nn.Module, batches: Iterable[Inputs]) -> None:
    """Replace running mean and variance by their plain averages over ``batches`` of input, in place.

    Every batch counts the same; only BatchNorm layers run in train mode meanwhile, so dropout stays off.
    Batches must be on the network's device. Nothing else changes. PrunerError where there are no batches.
    """
    check_module(model)
    if not isinstance(batches, Iterable):
        raise PrunerError(f"batches takes batches of input, not {shown(batches)}.")
    if not _norms(model):
        return
    seen = 0
    with estimating_batchnorm(model):
        for batch in batches:
            with naming_refusals(model, "The network cannot be run on a batch"):
                forward_on_copy(model, batch)
            seen += 1
    if not seen:
        raise PrunerError("Recalibrating BatchNorm needs at least one batch, and there was none.")


@contextmanager
def estimating_batchnorm(model: nn.Module) -> Iterator[None]:
    """Hold the network in eval mode, except that BatchNorm averages the statistics of the batches to come.

    Those that it had are forgotten, and each batch is normalised by its own.
    """
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a cumulative average
                norm.train()
            yield
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def batchnorm_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Copy BatchNorm's running statistics to the CPU, by their names."""
    return {
        f"{name}.{own}" if name else own: buffer.detach().to("cpu", copy=True)
        for name, module in named_modules(model)
        if isinstance(module, _BatchNorm) and module.track_running_stats
        for own, buffer in module._buffers.items()
        if buffer is not None
    }


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [
        module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
