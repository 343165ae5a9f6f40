"""Which channels stay within a budget, by their scores."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor


def least_kept(channels: int, round_to: int) -> int:
    """Return the fewest channels that a group may keep."""
    return round_to if channels >= round_to else 1


def rounded(kept: int, channels: int, round_to: int) -> int:
    """Round a number of channels kept up to a multiple, where the group has so many."""
    return kept if channels < round_to else min(channels, -(-kept // round_to) * round_to)


def most_within(
    scores: Mapping[str, Tensor],
    allocation: str,
    multiples: Mapping[str, int],
    limit: int,
    cost: Callable[[Mapping[str, int]], int],
) -> dict[str, Tensor]:
    """Keep as many channels as a budget allows: in each group those with the highest scores.

    Channels go one by one, the lowest score of all groups first (allocation global), or in turn so that the
    groups keep about the same share (uniform); of equal ones the later. Every group keeps `least_kept`, and a
    multiple of its number in ``multiples``, rounded up. ``cost`` maps the number removed
    from each group to what is left to pay; one removal fewer would cost more than ``limit``. Returns the
    channels kept of each group, ascending.
    """
    ranked = {name: np.lexsort((-np.arange(len(of)), of.double().numpy())) for name, of in scores.items()}
    names = list(scores)
    group, key = [], []
    for number, name in enumerate(names):
        channels = len(ranked[name])
        removable = channels - least_kept(channels, multiples[name])
        order = ranked[name][:removable]
        shares = (np.arange(removable) + 0.5) / channels
        key.append(shares if allocation == "uniform" else scores[name].double().numpy()[order])
        group.append(np.full(removable, number))
    groups = np.concatenate(group) if group else np.zeros(0, int)
    position = -np.arange(len(groups))
    # within a group the earlier of the order goes first; of different ones the later group
    keys = np.concatenate(key) if key else np.zeros(0)
    within = np.concatenate([np.arange(len(one)) for one in group]) if group else position
    sequence = groups[np.lexsort((within, -groups, keys))]

    def removed_after(steps: int) -> dict[str, int]:
        counts = np.bincount(sequence[:steps], minlength=len(names))
        return {
            name: len(ranked[name])
            - rounded(len(ranked[name]) - int(count), len(ranked[name]), multiples[name])
            for name, count in zip(names, counts, strict=True)
        }

    low, high = 0, len(sequence)
    while low < high:
        middle = (low + high) // 2
        if cost(removed_after(middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    removed = removed_after(low)
    return {name: torch.from_numpy(np.sort(ranked[name][removed[name] :])) for name in names}
