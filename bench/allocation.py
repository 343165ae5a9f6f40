"""Times allocation by calibration images for torchvision's resnet18 on one core, beside plain baselines.

256 images of 224 x 224, channels last, as torch advises for CPUs. The baselines are what the definitions say:
im2col by `unfold` and X^T X in float64 for the statistics (on fewer images, as a time for each), and the
dynamic programme over every single parameter of the budget for the knapsack. Then come what `plan` takes with
all statistics and curves, and the refit beside it, for four settings; for a further budget statistics and
curves are there, and the refit is mostly passes of the compressed network, but by moments. Times are
processor time: ratios mean something on any machine, the seconds do not. Run: python -m bench.allocation
"""

import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import unfold

import pruners
from pruners.allocation.knapsack import knapsack
from pruners.calibration.calibration import Calibration
from pruners.lowrank.layers.candidates import layer_candidates

IMAGES = 256
PLAIN_IMAGES = 8
KEEP_RATIO = 0.15
SETTINGS = (
    ("output", "layer"),
    ("predicted", "moments"),
    ("predicted", "layer"),
    ("predicted", "sequential"),
)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def plain_statistics(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Write all columns out, the baseline: no shifts, nothing left out below the diagonal, float64."""
    found: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def hook(layer: Any, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0]
            if isinstance(layer, nn.Conv2d):
                x = unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
                x = x.transpose(1, 2).flatten(0, 1)
            x = x.double()
            found[name] = found.get(name, 0) + x.T @ x / len(x)

        return hook

    handles = [
        model.get_submodule(name).register_forward_pre_hook(watch(name))
        for name in pruners.compressible(model)
    ]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return found


def plain_knapsack(costs: Sequence[Any], errors: Sequence[Any], budget: int) -> float:
    """Return the least sum of errors by the dynamic programme over every unit of the budget."""
    best = np.zeros(budget + 1)
    for cost, error in zip(costs, errors, strict=True):
        following = np.full(budget + 1, np.inf)
        for c, e in zip(cost.tolist(), error.tolist(), strict=True):
            if c <= budget:
                following[c:] = np.minimum(following[c:], best[: budget + 1 - c] + e)
        best = following
    return float(best[-1])


def knapsack_problem(spectra: pruners.Spectra) -> tuple[list[Any], list[Any], int]:
    """Return costs and squared errors of all options worth looking at, and the budget."""
    frontiers = [
        spectra.search(name, "frobenius").frontier(layer_candidates(shape, shape.candidate_subspaces))
        for name, shape in spectra.shape.layers.items()
    ]
    budget = int(KEEP_RATIO * spectra.shape.params)
    return [f.params for f in frontiers], [f.errors**2 for f in frontiers], budget


def told(name: str, work: Callable[[], object], baseline: float = 0.0) -> None:
    taken = seconds(work)
    ratio = f"{baseline / taken:.1f}" if baseline else ""
    print(f"{name:44}{taken:10.3f}{ratio:>18}", flush=True)


def fresh_network() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18().eval().to(memory_format=torch.channels_last)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randn(IMAGES, 3, 224, 224)
    model = fresh_network()
    names = list(pruners.compressible(model))
    few = images[:PLAIN_IMAGES]
    with torch.no_grad():
        model(few)  # loads the libraries
    print(f"{'resnet18, 256 images, one core':44}{'s':>10}{'baseline / this':>18}")

    def forward() -> None:
        with torch.no_grad():
            for part in images.split(32):
                model(part)

    told("forward passes alone", forward)
    baseline = seconds(lambda: plain_statistics(model, few)) * IMAGES / PLAIN_IMAGES
    told("statistics, 21 layers", lambda: Calibration(model, images).moments(names), baseline)
    costs, errors, budget = knapsack_problem(pruners.Spectra(model))
    baseline = seconds(lambda: plain_knapsack(costs, errors, budget))
    told("knapsack", lambda: knapsack(costs, errors, budget), baseline)
    for error, refit in SETTINGS:
        model = fresh_network()
        data = Calibration(model, images)  # whose statistics are not known
        for further, keep_ratio in (("", KEEP_RATIO), (", a further budget", 0.3)):
            wanted = {"keep_ratio": keep_ratio, "data": data, "error": error}
            told(f"{error} error{further}", lambda m=model, w=wanted: pruners.plan(m, "calibrated", **w))
            wanted["refit"] = refit
            told(f"  its {refit} refit", lambda m=model, w=wanted: pruners.compress(m, "calibrated", **w))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
