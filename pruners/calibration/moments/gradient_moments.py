"""Second moments of the gradients at layers' outputs, with labels drawn from the network itself."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from pruners.calibration.batches import parts
from pruners.calibration.divergence import class_scores
from pruners.calibration.moments.columns import Layer
from pruners.calibration.moments.drawn_loss import drawn_loss
from pruners.calibration.moments.gradient_sum import GradientSum
from pruners.calibration.moments.input_moments import moments_of_sums, summing_inputs
from pruners.calibration.moments.moment import Moment
from pruners.errors import PrunerError
from pruners.network.copying import copied
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.layer_names import named_modules, unwrapped
from pruners.network.seeding import seeded


def gradient_moments(
    model: nn.Module, layers: Mapping[str, Layer], batches: Sequence[Inputs], seed: int
) -> dict[str, Moment]:
    """Compute the moments of the gradients of each image's loss at the outputs of ``layers``.

    The loss is the cross-entropy with one label an image, drawn from the network's own softmax; of maps of
    class scores one a position, divided by the root of their number. Its gradients make the Fisher matrix,
    the curvature of the divergence that `OutputDistance` tells (Martens and Grosse: K-FAC, ICML 2015,
    section 3; for convolutions Grosse and Martens, ICML 2016): with the layer's input moment A and this
    moment G the divergence of changing its weight by W is about columns / (2 images) * trace(G W A W^T). A
    ``column`` is here one output position, n the output channels of a group. A layer that is not called gets
    no moment; the gradients of one that the class scores do not depend on, an auxiliary head, are 0. Raises
    PrunerError for networks whose outputs are no class scores, or have no gradients, and for a layer that the
    network runs under `torch.no_grad` or detaches.
    """
    if _in_inference_mode(model):
        model = copied(unwrapped(model))  # whose tensors take part in gradients
        modules = dict(named_modules(model))
        layers = {name: cast(Layer, modules[name]) for name in layers}
    return _moments(model, layers, batches, *_summed(model, layers, batches, seed))


def both_moments(
    model: nn.Module, layers: Mapping[str, Layer], batches: Sequence[Inputs], seed: int
) -> tuple[dict[str, Moment], dict[str, Moment]] | None:
    """Compute `input_moments` and `gradient_moments` in one pass there and back, to the same bits.

    None where that cannot be promised: a first part's outputs are others when gradients are kept, or layers
    are called again on the way back, by checkpointing. None as well where either of the two would raise an
    error, which then says what is wrong.
    """
    if _in_inference_mode(model):
        return None
    try:
        if not _same_with_gradients(model, parts(batches[0])[0]):
            return None
        with summing_inputs(layers) as inputs:
            gradients, reached = _summed(model, layers, batches, seed)
        both = moments_of_sums(inputs), _moments(model, layers, batches, gradients, reached)
    except PrunerError:
        return None
    called_again = any(moment.columns != both[1][name].columns for name, moment in both[0].items())
    return None if called_again else both


def _in_inference_mode(model: nn.Module) -> bool:
    return any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers()))


def _same_with_gradients(model: nn.Module, part: Inputs) -> bool:
    outputs = []
    for gradients in (False, True):
        with (
            evaluating(model),
            as_defined(),
            torch.set_grad_enabled(gradients),
            seeded(0, model),
            naming_refusals(model, REFUSED),
        ):
            outputs.append(class_scores(forward_on_copy(unwrapped(model), part)))
    without, kept = outputs
    return without is not None and kept is not None and torch.equal(without, kept)


def _summed(
    model: nn.Module, layers: Mapping[str, Layer], batches: Sequence[Inputs], seed: int
) -> tuple[dict[str, GradientSum], set[str]]:
    """Sum up the gradients; returns with them the layers that the class scores depend on."""
    watched: list[_Output] = []
    sums = {name: GradientSum(layer) for name, layer in layers.items()}
    reached: set[str] = set()
    generator = torch.Generator().manual_seed(seed)
    handles = [layer.register_forward_hook(_watching(name, watched)) for name, layer in layers.items()]
    try:
        with evaluating(model), as_defined(), torch.enable_grad():
            for part in (part for batch in batches for part in parts(batch)):
                with naming_refusals(model, REFUSED):
                    loss = drawn_loss(forward_on_copy(unwrapped(model), part), generator)
                    edges = [output.edge for output in watched]
                    found = torch.autograd.grad(loss, edges, allow_unused=True) if edges else ()
                # checkpointing calls layers once more on the way back, behind those that are asked for
                for output, gradient in zip(watched, found, strict=False):
                    sums[output.layer].add(output.zeros if gradient is None else gradient)
                    reached |= set() if gradient is None else {output.layer}
                watched.clear()
    finally:
        for handle in handles:
            handle.remove()
    return sums, reached


def _moments(
    model: nn.Module,
    layers: Mapping[str, Layer],
    batches: Sequence[Inputs],
    sums: Mapping[str, GradientSum],
    reached: Collection[str],
) -> dict[str, Moment]:
    called = {name: total for name, total in sums.items() if total.columns}
    for name in sorted(called.keys() - reached):
        _check_does_not_matter(model, name, layers[name], parts(batches[0])[0])
    return {name: total.moment() for name, total in called.items()}


def _check_does_not_matter(model: nn.Module, name: str, layer: Layer, batch: Inputs) -> None:
    """Raise PrunerError where class scores depend on a layer that their gradients do not reach."""

    def change(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        pattern = torch.arange(output.numel(), device=output.device) % 7 - 3
        return output + pattern.reshape(output.shape).to(output.dtype) * (1 + output.abs().max())

    def scores() -> Tensor | None:
        with evaluating(model), as_defined(), naming_refusals(model, REFUSED):
            return class_scores(forward_on_copy(unwrapped(model), batch))

    before = scores()
    handle = layer.register_forward_hook(change)
    try:
        after = scores()
    finally:
        handle.remove()
    if before is not None and after is not None and not torch.equal(before, after):
        raise PrunerError(
            f"Layer {name!r} has no gradients, the network detaches what it makes of it: exclude it, or take "
            "another error than 'predicted'."
        )


class _Output(NamedTuple):
    """The output of one call of a layer; ``zeros`` has its shape and takes no memory."""

    layer: str
    edge: GradientEdge
    zeros: Tensor


def _watching(
    name: str, watched: list[_Output]
) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor | None]:
    def watch(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():
            raise PrunerError(
                f"Layer {name!r} has no gradients, the network runs it under torch.no_grad: exclude it, or "
                "take another error than 'predicted'."
            )
        zeros = output.detach().new_zeros(()).expand(output.shape)
        if output.requires_grad:
            watched.append(_Output(name, get_gradient_edge(output), zeros))
            return None
        # of a frozen network: gradients begin here, and what is changed in place later is a copy
        begins = output.detach().requires_grad_()
        watched.append(_Output(name, get_gradient_edge(begins), zeros))
        return begins.clone()

    return watch
