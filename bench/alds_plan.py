"""Times ALDS's planning of torchvision's resnet18 on one core, beside a plain baseline in the same run.

The baseline is what the definition says: `svdvals` in float64 of every slice for every number of
subspaces that divides the input channels. Ratios mean something on any machine, the seconds do not. Run:
python -m bench.alds_plan
"""

import time
from collections.abc import Callable

import torch
import torchvision
from torch import nn

import pruners

KEEP_RATIOS = (0.5, 0.3, 0.15, 0.1)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def every_slice(model: nn.Module) -> None:
    """Take every slice's singular values, the baseline: no Gram matrices, no nesting, nothing skipped."""
    for name, shape in pruners.compressible(model).items():
        weight = model.get_submodule(name).weight.detach().double().reshape(shape.out_channels, -1)
        for number in shape.candidate_subspaces:
            torch.linalg.svdvals(torch.stack(weight.chunk(number, dim=1)))


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = torchvision.models.resnet18()
    spectra = pruners.Spectra(model)
    torch.linalg.svdvals(torch.eye(2))  # loads the library

    cold = seconds(lambda: pruners.plan(spectra, keep_ratio=0.25))
    baseline = seconds(lambda: every_slice(model))
    rows = [("every slice's svdvals (baseline)", baseline), ("cold plan, keep_ratio .25", cold)]
    rows += [
        (f"further plan, keep_ratio {r}", seconds(lambda r=r: pruners.plan(spectra, keep_ratio=r)))
        for r in KEEP_RATIOS
    ]
    pruners.compress(model, keep_ratio=0.25)
    rows += [("further compress, keep_ratio .5", seconds(lambda: pruners.compress(model, keep_ratio=0.5)))]
    print(f"{'resnet18, one core':36}{'ms':>10}{'baseline / this':>18}")
    for name, taken in rows:
        print(f"{name:36}{1000 * taken:10.1f}{baseline / taken:18.1f}")


if __name__ == "__main__":
    main()
