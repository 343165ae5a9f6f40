"""Times small networks beside the dense ones on one core: decompositions, channels and a mask.

Networks take turns (`pruners.latencies`), and their share of the dense network's time is told: it means
something on any machine, the milliseconds do not. Weights are as initialised, which is no matter of time.
Run: python -m bench.latency. With studies (python -m bench.latency runs/latency_fashion) the best network of
each is timed three times beside its dense one, at the batch of the sweep.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

import pruners
import trainables
from pruners.network.inputs import join_inputs
from sweeps.deployment.trial_sections import sections_of
from sweeps.notebook.study import Study
from trainables.task import networks

BUDGETS = {"keep_ratio": 0.25, "flops_ratio": 0.25, "latency_ratio": 0.6}
TIMES = 3


def cases() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield networks and the batches that they are timed with."""
    demo = networks.build("resnet20", {}, (1, 8, 8), 10).eval()
    yield "the demo's ResNet-20, 8 pixels, batch 1", demo, torch.randn(1, 1, 8, 8)
    yield "the demo's ResNet-20, 8 pixels, batch 256", demo, torch.randn(256, 1, 8, 8)
    vgg = networks.build("vgg11", {}, (1, 28, 28), 10).eval()
    yield "VGG-11, 28 pixels, batch 32", vgg, torch.randn(32, 1, 28, 28)
    yield "ResNet-18, 224 pixels, batch 1", torchvision.models.resnet18().eval(), torch.randn(1, 3, 224, 224)


def small_networks(dense: nn.Module, batch: Tensor) -> Iterator[tuple[str, nn.Module]]:
    """Yield what each method makes of a network within each budget that it can meet."""
    for method, options in (("alds", {}), ("svd", {}), ("ft", {"round_to": 8})):
        for budget, share in BUDGETS.items():
            if (method, budget) == ("svd", "latency_ratio"):
                continue  # takes none
            try:
                artifact = pruners.compress(dense, method, example=batch, **options, **{budget: share})
            except pruners.PrunerError as error:
                print(f"  {method}, {budget} {share}: {str(error).partition(': ')[2] or error}")
                continue
            yield f"{method}, {budget} {share}", artifact.apply(dense).eval()
    mask = pruners.compress(dense, "magnitude", keep_ratio=0.05)
    yield "magnitude, keep_ratio 0.05 (a mask)", mask.apply(dense).eval()


def methods() -> None:
    for title, dense, batch in cases():
        print(f"\n{title} (load {os.getloadavg()[0]:.1f})", flush=True)
        named = {"dense": dense, **dict(small_networks(dense, batch))}
        for name, told in pruners.latencies(named, batch).items():
            print(f"  {name:40}{told.ms:10.2f} ms{told.kept:8.2f}", flush=True)


def best_of(folder: Path) -> None:
    study = Study.load(folder)
    assert study.best
    sections = sections_of(study, study.best)
    batch = join_inputs([trainables.example_input(sections.task)] * sections.compression.latency_batch)
    dense, small = trainables.build_network(sections.task).eval(), study.network()
    figures = {name: value for name, value in study.best.metrics.items() if name.endswith("val/accuracy")}
    print(f"\n{study.name}: trial {study.best.key}, {dict(study.best.params)}, {figures}")
    for _ in range(TIMES):
        told = pruners.latencies({"dense": dense, "small": small}, batch)
        print(
            f"  dense {told['dense'].ms:.1f} ms, small {told['small'].ms:.1f} ms, "
            f"{told['small'].kept:.3f} of the time (load {os.getloadavg()[0]:.1f})",
            flush=True,
        )


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if sys.argv[1:]:
        for folder in sys.argv[1:]:
            best_of(Path(folder))
    else:
        methods()


if __name__ == "__main__":
    main()
