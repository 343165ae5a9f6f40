"""Sanity controls: a mask, or a network, without what the method, or training, knew. What survives them was not due to that.

Frankle, Dziugaite, Roy, Carbin: Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR 2021, arXiv 2009.08576,
section 5; Frankle & Carbin: The Lottery Ticket Hypothesis, ICLR 2019, arXiv 1803.03635, section 2. Their third control on masks, inverted
scores, is the option ``invert`` of every score method.
"""

import torch
from torch import nn

from pruners.copying import copied
from pruners.errors import PrunerError
from pruners.layer_names import named_modules
from pruners.seeding import seeded
from pruners.sparse.mask import Mask


def shuffle(mask: Mask, seed: int) -> Mask:
    """The mask with its entries in a random order within every layer; densities stay. Without a captured network."""
    generator = torch.Generator().manual_seed(seed)
    masks = {name: kept.flatten()[torch.randperm(kept.numel(), generator=generator)].view(kept.shape) for name, kept in mask.masks.items()}
    return _recorded(mask, masks, "shuffle", seed)


def random_mask(mask: Mask, seed: int) -> Mask:
    """Random weights of every layer, as many as ``mask`` keeps there. Without a captured network.

    The distribution is that of `shuffle`; the two names are those of the two papers.
    """
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, kept in mask.masks.items():
        drawn = torch.zeros(kept.numel(), dtype=torch.bool)
        drawn[torch.randperm(kept.numel(), generator=generator)[: int(kept.sum())]] = True
        masks[name] = drawn.view(kept.shape)
    return _recorded(mask, masks, "random_mask", seed)


def reinitialize(model: nn.Module, seed: int) -> nn.Module:
    """A copy of the network in which every module with ``reset_parameters`` drew its parameters anew, as torch's own layers do.

    An initialisation that the network's factory puts in their place afterwards is not repeated: build it anew for that. Buffers
    that belong to it (BatchNorm's statistics) start again too. PrunerError for a module that has parameters and no such method.
    """
    fresh = copied(model)
    with seeded(seed, model):
        for name, module in named_modules(fresh):
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
            elif any(parameter is not None for parameter in module._parameters.values()):
                raise PrunerError(f"Module {name!r}, a {type(module).__name__}, has parameters and no reset_parameters to draw them anew.")
    return fresh


def _recorded(mask: Mask, masks: dict[str, torch.Tensor], control: str, seed: int) -> Mask:
    return mask.with_masks(masks, controls=[*mask.options.get("controls", []), {"control": control, "seed": seed}])
