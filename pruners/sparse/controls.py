"""Sanity controls: a mask, or a network, without what the method, or training, knew.

What survives them was not due to that.

Frankle, Dziugaite, Roy, Carbin: Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR
2021, arXiv 2009.08576, section 5; Frankle & Carbin: The Lottery Ticket Hypothesis, ICLR 2019, arXiv
1803.03635, section 2. Their third control on masks, inverted scores, is the option ``invert`` of every score
method.
"""

from collections.abc import Iterator

import torch
from torch import nn

from pruners.errors import PrunerError
from pruners.network.copying import copied
from pruners.network.layer_names import named_modules, unwrapped
from pruners.network.seeding import SEED, seeded
from pruners.sparse.mask import Mask, checked_mask


def shuffle(mask: Mask, seed: int) -> Mask:
    """Shuffle the mask's entries within every layer; densities stay. Without a captured network."""
    mask, generator = checked_mask(mask), torch.Generator().manual_seed(SEED.checked(seed, "seed"))
    masks = {
        name: kept.flatten()[torch.randperm(kept.numel(), generator=generator, device="cpu")].view(kept.shape)
        for name, kept in mask.masks.items()
    }
    return _recorded(mask, masks, "shuffle", seed)


def random_mask(mask: Mask, seed: int) -> Mask:
    """Draw random weights of every layer, as many as ``mask`` keeps there. Without a captured network.

    The distribution is that of `shuffle`; the two names are those of the two papers.
    """
    mask, generator = checked_mask(mask), torch.Generator().manual_seed(SEED.checked(seed, "seed"))
    masks = {}
    for name, kept in mask.masks.items():
        drawn = torch.zeros(kept.numel(), dtype=torch.bool, device="cpu")
        drawn[torch.randperm(kept.numel(), generator=generator, device="cpu")[: int(kept.sum())]] = True
        masks[name] = drawn.view(kept.shape)
    return _recorded(mask, masks, "random_mask", seed)


def reinitialize(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy of the network in which every module drew its parameters anew, as torch's own layers do.

    Inner modules come first, as in a constructor, by ``reset_parameters`` or, as in nn.MultiheadAttention and
    nn.Transformer, ``_reset_parameters``. An initialisation that the network's factory puts in their place
    afterwards is not repeated: build it anew for that. Buffers that belong to it (BatchNorm's statistics)
    start again too. PrunerError for a module that has parameters and neither method.
    """
    fresh, seed = copied(model), SEED.checked(seed, "seed")
    names = {module: name for name, module in named_modules(fresh)}
    with seeded(seed, model):
        for module in _inner_first(fresh, set()):
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if reset is not None:
                reset()
            elif any(parameter is not None for parameter in module._parameters.values()):
                kind = type(module).__name__
                raise PrunerError(
                    f"Module {names[module]!r}, a {kind}, has parameters and no reset_parameters "
                    "to draw them anew."
                )
    return fresh


def _inner_first(module: nn.Module, seen: set[nn.Module]) -> Iterator[nn.Module]:
    """Iterate over every module once, after all that it holds."""
    module = unwrapped(module)
    seen.add(module)
    for child in module.children():
        if unwrapped(child) not in seen:
            yield from _inner_first(child, seen)
    yield module


def _recorded(mask: Mask, masks: dict[str, torch.Tensor], control: str, seed: int) -> Mask:
    return mask.with_masks(
        masks, controls=[*mask.options.get("controls", []), {"control": control, "seed": seed}]
    )
