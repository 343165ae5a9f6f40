"""Time and memory of SNIP, GraSP and SynFlow beside their papers' code, written plainly.

All in one run on one thread. Both ways must give the same mask; where rounding decides, the weights that
differ are counted. Times are CPU seconds, the least of several interleaved runs after a warm one; memory
is what a fresh process grows by. Ratios mean something on any machine, the seconds do not.

    python -m bench.scoring [--runs 3]
"""

import argparse
import copy
import math
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pruners
from trainables.task import networks

KEEP_RATIO = 0.02
SAMPLES = {"resnet20": 100, "vgg16": 20}
# sorting VGG-16's 15 million scores a hundred times takes minutes
ROUNDS = {"resnet20": 100, "vgg16": 10}
Masks = dict[str, Tensor]


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, {}, (3, 32, 32), 10)


def batch(name: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    count = SAMPLES[name]
    return torch.randn(count, 3, 32, 32, generator=generator), torch.arange(count) * 10 // count


def layers(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }


def by_sorting(scores: dict[str, Tensor], share_of_rounds: float = 1.0) -> Masks:
    """Choose by a sort of everything; the density falls exponentially over the rounds."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    end = math.ceil(KEEP_RATIO * len(flat))
    kept = math.ceil(len(flat) * (end / len(flat)) ** share_of_rounds - 1e-6)
    threshold = torch.sort(flat, descending=True).values[kept - 1]
    return {f"{name}.weight": score >= threshold for name, score in scores.items()}


def plain_snip(name: str) -> Masks:
    """Score by the gradient of a mask of ones that takes part in every layer's forward pass."""
    model = copy.deepcopy(network(name)).train()
    inputs, labels = batch(name)
    for layer in layers(model).values():
        layer.mask = nn.Parameter(torch.ones_like(layer.weight))
        layer.weight.requires_grad = False
        if isinstance(layer, nn.Conv2d):
            layer.forward = lambda x, m=layer: nn.functional.conv2d(
                x, m.weight * m.mask, m.bias, m.stride, m.padding
            )
        else:
            layer.forward = lambda x, m=layer: nn.functional.linear(x, m.weight * m.mask, m.bias)
    cross_entropy(model(inputs), labels).backward()
    return by_sorting({n: layer.mask.grad.abs() for n, layer in layers(model).items()})


def plain_grasp(name: str) -> Masks:
    """Compute g in one pass over the halves, H g in a second one."""
    model = copy.deepcopy(network(name)).train()
    inputs, labels = batch(name)
    middle = len(inputs) // 2
    halves = [(inputs[:middle], labels[:middle]), (inputs[middle:], labels[middle:])]
    weights = [layer.weight for layer in layers(model).values()]
    total = [torch.zeros_like(weight) for weight in weights]
    for x, y in halves:
        parts = torch.autograd.grad(cross_entropy(model(x) / 200, y), weights)
        total = [whole + part for whole, part in zip(total, parts, strict=True)]
    for x, y in halves:
        gradients = torch.autograd.grad(cross_entropy(model(x) / 200, y), weights, create_graph=True)
        sum((g * whole).sum() for g, whole in zip(gradients, total, strict=True)).backward()
    return by_sorting({n: layer.weight.detach() * layer.weight.grad for n, layer in layers(model).items()})


def plain_synflow(name: str) -> Masks:
    """Make all tensors absolute and signed again, score all weights and sort all scores, in every round."""
    model = copy.deepcopy(network(name)).double().eval()
    masks = {f"{n}.weight": torch.ones_like(layer.weight) for n, layer in layers(model).items()}
    for step in range(1, ROUNDS[name] + 1):
        signs = {}
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                signs[key] = tensor.sign()
                tensor.abs_()
            for n, layer in layers(model).items():
                layer.weight.mul_(masks[f"{n}.weight"])
        model.zero_grad()
        model(torch.ones(1, 3, 32, 32, dtype=torch.float64)).sum().backward()
        scores = {n: (layer.weight.detach() * layer.weight.grad).abs() for n, layer in layers(model).items()}
        with torch.no_grad():
            for key, tensor in model.state_dict().items():
                tensor.mul_(signs[key])
        masks = by_sorting(scores, step / ROUNDS[name])
    return masks


def ours(method: str, **options: object) -> Callable[[str], Masks]:
    def compressed(name: str) -> Masks:
        rounds = {"rounds": ROUNDS[name]} if method == "synflow" else {}
        given = {"data": [batch(name)], "loss": cross_entropy, "example": torch.zeros(1, 3, 32, 32)}
        return pruners.compress(
            network(name), method, keep_ratio=KEEP_RATIO, **given, **rounds, **options
        ).masks

    return compressed


PLAIN = {"snip": plain_snip, "grasp": plain_grasp, "synflow": plain_synflow}
# the papers' code draws Linear weights anew from a generator of its own: neither way does here
OURS = {
    "snip": {"snip": ours("snip")},
    "grasp": {
        "grasp, graphs kept": ours("grasp", keep_graphs=True, reinit_linear=False),
        "grasp, graphs rebuilt": ours("grasp", keep_graphs=False, reinit_linear=False),
    },
    "synflow": {"synflow": ours("synflow")},
}


def seconds(work: Callable[[str], Masks], name: str) -> float:
    start = time.process_time()
    work(name)
    return time.process_time() - start


def peak() -> float:
    """Read this process's peak in MiB, from /proc: what getrusage tells includes the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def growth(method: str, way: str | None, name: str, sent: "multiprocessing.Queue[float]") -> None:
    """Measure, in a fresh process, by how many MiB its peak grows; ``way`` None is the plain one."""
    torch.set_num_threads(1)
    network(name)
    before = peak()
    (PLAIN[method] if way is None else OURS[method][way])(name)
    sent.put(peak() - before)


def memory(method: str, way: str | None, name: str) -> float:
    context = multiprocessing.get_context("spawn")
    sent: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=growth, args=(method, way, name, sent))
    process.start()
    result = sent.get()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    print(
        f"{'':34}{'plain s':>9}{'ours s':>9}{'plain / ours':>14}{'plain MiB':>11}{'ours MiB':>10}"
        f"{'weights that differ':>21}",
        flush=True,
    )
    for name in SAMPLES:
        for method, plain in PLAIN.items():
            ways = {None: plain, **OURS[method]}
            masks = {way: work(name) for way, work in ways.items()}
            times = [{way: seconds(work, name) for way, work in ways.items()} for _ in range(runs)]
            least = {way: min(taken[way] for taken in times) for way in ways}
            sizes = {way: memory(method, way, name) for way in ways}
            for way in OURS[method]:
                differ = sum(int((masks[None][key].bool() != kept).sum()) for key, kept in masks[way].items())
                ratio = f"{least[None]:9.2f}{least[way]:9.2f}{least[None] / least[way]:14.2f}"
                print(
                    f"{f'{name}, {way}':34}{ratio}{sizes[None]:11.0f}{sizes[way]:10.0f}{differ:21}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
