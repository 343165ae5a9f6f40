"""Times ResNet-18 at 224 pixels with half its multiply-adds on one core, beside the dense network in one run.

Channels are removed by `ft` with several multiples of channels; ALDS at the same budget is shown beside it.
Each small network is saved, loaded and applied to a new ResNet-18 first. Networks take turns, so that
whatever else the machine does meets all of them; medians of 20 turns, by the clock and by this process's own
time. Ratios mean something on any machine, the milliseconds do not. Run: python -m bench.channels
"""

import tempfile
import time
from collections.abc import Mapping
from statistics import median

import torch
import torchvision
from torch import Tensor, nn

import pruners
from pruners.network.counting.multiply_adds import multiply_adds

BATCHES = (1, 8)
FLOPS_RATIO = 0.5
MULTIPLES = (1, 8, 16)
AT_MOST = 0.65
WARMUP, TURNS = 2, 20


def small_networks(dense: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """Compress in every way, each network as it comes back from disk."""
    found = {}
    for name, method, options in (
        *((f"ft, multiples of {n}", "ft", {"round_to": n}) for n in MULTIPLES),
        ("alds", "alds", {}),
    ):
        artifact = pruners.compress(dense, method, flops_ratio=FLOPS_RATIO, example=example, **options)
        with tempfile.TemporaryDirectory() as folder:
            artifact.capture(artifact.apply(dense)).save(folder)
            found[name] = pruners.load(folder).apply(torchvision.models.resnet18()).eval()
    return found


def times(networks: Mapping[str, nn.Module], inputs: Tensor) -> dict[str, tuple[float, float]]:
    """Measure each network's median milliseconds, by the clock and of this process, in turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    for _ in range(WARMUP + TURNS):
        for name, network in networks.items():
            clock, own = time.perf_counter(), time.process_time()
            network(inputs)
            taken[name].append((time.perf_counter() - clock, time.process_time() - own))
    return {
        name: (1000 * median(clock for clock, _ in all_), 1000 * median(own for _, own in all_))
        for name, all_ in ((name, turns[WARMUP:]) for name, turns in taken.items())
    }


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    dense = torchvision.models.resnet18().eval()
    example = torch.randn(1, 3, 224, 224)
    networks = {"dense": dense, **small_networks(dense, example)}
    whole = multiply_adds(dense, example, {}).total
    print(f"{'resnet18 at 224 pixels, one core':44}{'multiply-adds':>14}{'ms':>8}{'of dense':>10}{'CPU':>7}")
    slowest = 0.0
    for layout in (torch.contiguous_format, torch.channels_last):
        laid_out = {name: network.to(memory_format=layout) for name, network in networks.items()}
        for batch in BATCHES:
            inputs = torch.randn(batch, 3, 224, 224).to(memory_format=layout)
            with torch.inference_mode():
                found = times(laid_out, inputs)
            for name, (clock, own) in found.items():
                ratio, own_ratio = clock / found["dense"][0], own / found["dense"][1]
                kept = multiply_adds(networks[name], example, {}).total / whole
                where = f"{name}, batch {batch}, {str(layout).removeprefix('torch.').removesuffix('_format')}"
                print(f"{where:44}{kept:14.3f}{clock:8.1f}{ratio:10.3f}{own_ratio:7.3f}")
                if name.startswith("ft") and batch == 1:
                    slowest = max(slowest, ratio)
    told = "at most" if slowest <= AT_MOST else "MORE THAN"
    print(f"Half the multiply-adds by removed channels takes up to {slowest:.3f} of dense, {told} {AT_MOST}.")
    if slowest > AT_MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
