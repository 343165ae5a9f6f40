"""Early-Bird: when masks drawn again and again while a network trains have stopped changing."""

from collections.abc import Sequence

from pruners.errors import PrunerError
from pruners.option_values import Number, Whole
from pruners.sparse.mask import Mask, checked_mask


def mask_distance(first: Mask, second: Mask) -> float:
    """Measure the normalised Hamming distance of two masks, 0 to 1.

    It is the share of all prunable weights that one keeps and the other removes. You et al.: Drawing
    Early-Bird Tickets, ICLR 2020, arXiv 1909.11957, section 3, where the masks are of channels. PrunerError
    that names the first parameter in which the masks are of different networks.
    """
    first, second = checked_mask(first), checked_mask(second)
    for name in {**first.masks, **second.masks}:
        shapes = [tuple(mask.masks[name].shape) if name in mask.masks else None for mask in (first, second)]
        if shapes[0] != shapes[1]:
            told = [f"of shape {shape}" if shape is not None else "not there" for shape in shapes]
            raise PrunerError(
                f"The masks are of different networks: parameter {name!r} is {told[0]} in one and "
                f"{told[1]} in the other."
            )
    total = sum(mask.numel() for mask in first.masks.values())
    differing = sum(int((mask != second.masks[name]).sum()) for name, mask in first.masks.items())
    return differing / total if total else 0.0


def settled(masks: Sequence[Mask], window: int = 5, tolerance: float = 0.1) -> bool:
    """Tell whether the masks, oldest first, have stopped changing.

    The newest mask's distance to each of the ``window`` masks before it is below ``tolerance``. You et al.:
    Drawing Early-Bird Tickets, ICLR 2020, arXiv 1909.11957, section 4, algorithm 1: one mask an epoch, a
    first-in-first-out queue of length 5, a threshold of 0.1. The paper's code counts the newest mask among
    its five, so compares with four, and lets a distance equal to the threshold pass: ``window=4`` is that but
    for the equality. False while there are fewer masks. Raises PrunerError for a window that is no positive
    whole number, a tolerance below 0, and as `mask_distance`.
    """
    window, tolerance = Whole(1).checked(window, "window"), Number().checked(tolerance, "tolerance")
    if len(masks) <= window:
        return False
    *before, newest = masks[-window - 1 :]
    return all(mask_distance(newest, mask) < tolerance for mask in before)
