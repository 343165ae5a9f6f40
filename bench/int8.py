"""Times int8 networks on one core, each beside the float network that it was made of, in one run.

ResNet-18 at 224 pixels, dense and with half its multiply-adds by removed channels, MobileNetV2 and ViT-B/16.
Each int8 network is saved, loaded and lowered first; activations are static, of the transformer dynamic too.
Networks take turns, and medians of 10 turns of this process's own time are told as ratios: they mean
something on any x86 machine with VNNI, the milliseconds do not. Run: python bench/int8.py
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
import torchvision
from safetensors.torch import save
from torch import Tensor, nn

import pruners
from pruners.quantization.int8 import Activations

WARMUP, TURNS = 2, 10


def networks() -> Iterator[tuple[str, nn.Module, Activations]]:
    """Make every network, BatchNorm's statistics and the head such that outputs are not all alike."""
    images = torch.randn(16, 3, 224, 224)
    dense = torchvision.models.resnet18()
    pruners.recalibrate_batchnorm(dense, [images])
    yield "ResNet-18", dense.eval(), "static"
    half = pruners.compress(dense, "ft", flops_ratio=0.5, round_to=16, example=images[:1])
    yield "ResNet-18, half by ft in multiples of 16", half.apply(dense).eval(), "static"
    depthwise = torchvision.models.mobilenet_v2()
    pruners.recalibrate_batchnorm(depthwise, [images])
    yield "MobileNetV2", depthwise.eval(), "static"
    transformer = torchvision.models.vit_b_16()
    nn.init.normal_(transformer.heads[0].weight, std=0.03)
    yield "ViT-B/16", transformer.eval(), "static"
    yield "ViT-B/16, dynamic", transformer, "dynamic"


def milliseconds(float_network: nn.Module, int8_network: nn.Module, inputs: Tensor) -> tuple[float, float]:
    """Measure both networks' median processor time in turns."""
    taken: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(WARMUP + TURNS):
            for times, network in zip(taken, (float_network, int8_network), strict=True):
                start = time.process_time()
                network(inputs)
                times.append(1000 * (time.process_time() - start))
    return median(taken[0][WARMUP:]), median(taken[1][WARMUP:])


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"{'one core':44}{'float ms':>9}{'int8 ms':>9}{'ratio':>7}{'bytes':>7}{'divergence':>12}")
    for name, network, activations in networks():
        made = pruners.quantize(network, torch.randn(16, 3, 224, 224), activations)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "int8.pt2"
            made.save(file)
            kept = file.stat().st_size / len(save(network.state_dict()))
            made = pruners.load_int8(file)
        for batch in (1, 8):
            inputs = torch.randn(batch, 3, 224, 224)
            before, after = milliseconds(network, made.lowered(inputs), inputs)
            where = f"{name}, batch {batch}"
            ratios = f"{after / before:7.3f}{kept:7.3f}{made.divergence:12.2g}"
            print(f"{where:44}{before:9.1f}{after:9.1f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
