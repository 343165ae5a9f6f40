"""Times the choice of a mask among ten million scores on one core, beside the textbook's ways, in one run.

The baseline sorts everything (`torch.sort`), as the definition says; a sorted `topk` is what published
implementations use. All masks are compared bit by bit. Ratios mean something on any machine, the times do
not. Run: python -m bench.masks
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from pruners.sparse.selection.threshold import highest, highest_of_layers

WEIGHTS = 10_000_000
LAYERS = 50
KEEP_RATIOS = (0.02, 0.2, 0.5)
REPEATS = 3


def by_sorting(scores: Tensor, count: int) -> Tensor:
    """Choose by sorting everything, the baseline, earlier ones first among equals."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return torch.zeros(len(scores), dtype=torch.bool).index_fill(0, order[:count], True)


def by_topk(scores: Tensor, count: int) -> Tensor:
    """Choose by the last of the sorted best; exact as long as no two scores are equal."""
    return scores >= torch.topk(scores, count, sorted=True).values[-1]


def by_layers(scores: Tensor, count: int) -> Tensor:
    """Choose as `pruners.compress` does with ``min_layer_keep=1``."""
    return highest_of_layers(scores, [len(scores) // LAYERS] * LAYERS, count, least=1)


def best_of(choose: Callable[[Tensor, int], Tensor], scores: Tensor, count: int) -> tuple[float, Tensor]:
    """Time the quickest repeat, in seconds, and return its mask."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        mask = choose(scores, count)
        taken.append(time.perf_counter() - start)
    return min(taken), mask


def main() -> None:
    torch.set_num_threads(1)
    # float64, in which no two of ten million uniform numbers are equal
    scores = torch.rand(WEIGHTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ways = {
        "torch.sort (baseline)": by_sorting,
        "torch.topk, sorted": by_topk,
        "kthvalue": highest,
        "kthvalue, min_layer_keep": by_layers,
    }
    print(f"{f'{WEIGHTS} scores, one core':44}{'ms':>10}{'baseline / this':>18}")
    for ratio in KEEP_RATIOS:
        count = int(ratio * WEIGHTS)
        results = {name: best_of(choose, scores, count) for name, choose in ways.items()}
        baseline, expected = results["torch.sort (baseline)"]
        for name, (taken, mask) in results.items():
            if not torch.equal(mask, expected):
                raise SystemExit(f"{name} chose another mask than the baseline.")
            print(f"{f'{name}, keep_ratio {ratio}':44}{1000 * taken:10.0f}{baseline / taken:18.1f}")


if __name__ == "__main__":
    main()
