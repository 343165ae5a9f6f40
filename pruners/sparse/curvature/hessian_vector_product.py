"""The product of a loss's Hessian with its gradient, by differentiating twice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from pruners.network.free_memory import free_memory

KeepGraphs = bool | Literal["auto"]


def hessian_gradient(
    losses: Sequence[Callable[[], Tensor]], weights: Sequence[nn.Parameter], keep_graphs: KeepGraphs
) -> list[Tensor]:
    """Compute H g for each weight, of its shape: Hessian times gradient of the sum of ``losses``.

    g needs all losses, so each one's graph either waits for it (``keep_graphs``) or is built again, at the
    price of a further forward and backward pass; the answer is the same. "auto" keeps them where they fit
    into half of the memory that is free.
    """
    gradients, keep = _first(losses[0], weights, len(losses), keep_graphs)
    total = [gradient.detach().clone() for gradient in gradients]
    graphs = [gradients if keep else None]
    del gradients
    for loss in losses[1:]:
        further = _gradients(loss, weights, graph=keep)
        _add(total, further)
        graphs.append(further if keep else None)
        del further
    products = [torch.zeros_like(part) for part in total]
    # a graph is as large as all activations several times over: each goes as soon as it has been used
    for n, loss in enumerate(losses):
        waiting, graphs[n] = graphs[n], None
        _add(products, _times(waiting or _gradients(loss, weights, graph=True), weights, total))
        del waiting
    return products


def _first(
    loss: Callable[[], Tensor], weights: Sequence[nn.Parameter], count: int, keep_graphs: KeepGraphs
) -> tuple[tuple[Tensor, ...], bool]:
    """Return the first loss's gradients, and whether their graphs are kept."""
    if isinstance(keep_graphs, bool):
        return _gradients(loss, weights, graph=keep_graphs), keep_graphs
    with _saved_bytes() as saved:
        gradients = _gradients(loss, weights, graph=True)
    # the other losses' graphs, and what differentiating one of them takes
    return gradients, saved() * count <= free_memory(weights[0].device) // 2


def _gradients(
    loss: Callable[[], Tensor], weights: Sequence[nn.Parameter], *, graph: bool
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss(), weights, create_graph=graph, allow_unused=True, materialize_grads=True)


def _times(
    gradients: Sequence[Tensor], weights: Sequence[nn.Parameter], direction: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Differentiate <gradients, direction>.

    A gradient that no weight changes (a linear network's, say) adds nothing.
    """
    pairs = [
        (gradient, d) for gradient, d in zip(gradients, direction, strict=True) if gradient.requires_grad
    ]
    if not pairs:
        return tuple(torch.zeros_like(weight) for weight in weights)
    outputs, directions = zip(*pairs, strict=True)
    return torch.autograd.grad(outputs, weights, directions, allow_unused=True, materialize_grads=True)


def _add(total: Sequence[Tensor], parts: Sequence[Tensor]) -> None:
    for whole, part in zip(total, parts, strict=True):
        whole.add_(part.detach())


@contextmanager
def _saved_bytes() -> Iterator[Callable[[], int]]:
    """Count the memory that graphs made inside keep, each storage once."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        # what a graph saves must not hold the graph
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(sizes.values())
