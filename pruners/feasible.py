"""Whether a mask can be had, from shapes alone."""

from typing import Any

from torch import nn

from pruners.methods import score_method_named
from pruners.sparse.selection.allocation import allocated_pools
from pruners.sparse.selection.prunable import layers_to_prune
from pruners.sparse.selection.shared_options import selection_options


def check_mask_feasible(
    model: nn.Module,
    method: str,
    *,
    keep_ratio: float | None = None,
    budget: int | None = None,
    **options: Any,
) -> None:
    """Check that a mask can be had for this budget and these options, before anything is scored.

    Raises what `pruners.compress` would raise. Nothing is scored, and tensors on the meta device will do.
    InfeasibleBudget where ``min_layer_keep`` needs more.
    """
    rule = score_method_named(method)
    chosen = rule.with_defaults(options)
    layers = layers_to_prune(model, chosen["exclude"])
    allocated_pools(
        layers,
        {name: layer.params for name, layer in layers.items()},
        selection_options(chosen, layers, rule.signed(chosen)),
        keep_ratio,
        budget,
    )
