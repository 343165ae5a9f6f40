"""Times layers whose slices are clusters of channels beside the same with consecutive ones, in one run.

Both have the same weights and multiply-adds; the first re-orders its inputs before, an `index_select`. The
baseline is the layer without. Outputs are checked against a convolution with the weights multiplied out.
Time is the processor's, in both memory formats. Ratios mean something on any machine, the times do not. Run:
python -m bench.reordering
"""

import time
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

import pruners

TURNS = 21
BATCH = 8
SUBSPACES = 4
KEEP_RATIO = 0.4
LAYERS = {  # channels, side of the kernel, side of the image
    "16 channels, 3 x 3, 32 px (ResNet-20)": (16, 3, 32),
    "64 channels, 3 x 3, 8 px (ResNet-20)": (64, 3, 8),
    "64 channels, 3 x 3, 56 px (ResNet-18)": (64, 3, 56),
    "256 channels, 3 x 3, 14 px (ResNet-18)": (256, 3, 14),
    "256 channels, 1 x 1, 14 px": (256, 1, 14),
}


def decomposed(layer: nn.Sequential, clustering: str, inputs: Tensor) -> nn.Module:
    """Return the layer in slices or clusters, checked; at the same rank in both."""
    artifact = pruners.compress(
        layer, keep_ratio=KEEP_RATIO, clustering=clustering, candidate_subspaces=[SUBSPACES]
    )
    assert isinstance(artifact, pruners.Decomposition)
    if bool(artifact.reordered) != (clustering != "none"):
        raise SystemExit("The clusters are consecutive channels: there is nothing to compare.")
    small = artifact.apply(layer)
    dense = artifact.project_back(small).get_submodule("0")
    assert isinstance(dense, nn.Conv2d)
    expected = functional.conv2d(inputs, dense.weight, dense.bias, padding=dense.padding)
    if not torch.allclose(small(inputs), expected, atol=1e-4):
        raise SystemExit("A layer computes something else than its weights say.")
    return small


def seconds(layers: dict[str, nn.Module], inputs: Tensor) -> dict[str, float]:
    """Return each layer's median of turns, which they take one after the other."""
    taken: dict[str, list[float]] = {name: [] for name in layers}
    for layer in layers.values():
        layer(inputs)
    for _ in range(TURNS):
        for name, layer in layers.items():
            start = time.process_time()
            layer(inputs)
            taken[name].append(time.process_time() - start)
    return {name: median(times) for name, times in taken.items()}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    title = f"batch {BATCH}, {SUBSPACES} subspaces, one core"
    print(f"{title:40}{'memory format':>19}{'dense ms':>10}{'slices ms':>11}{'clusters / slices':>19}")
    for name, (channels, kernel, side) in LAYERS.items():
        for memory_format in (torch.contiguous_format, torch.channels_last):
            layer = nn.Sequential(nn.Conv2d(channels, channels, kernel, padding=kernel // 2)).eval()
            layer = layer.to(memory_format=memory_format)
            inputs = torch.randn(BATCH, channels, side, side).contiguous(memory_format=memory_format)
            layers = {way: decomposed(layer, way, inputs) for way in ("none", "kmeans")}
            taken = seconds({"dense": layer, **layers}, inputs)
            times = f"{1000 * taken['dense']:10.2f}{1000 * taken['none']:11.2f}"
            told = str(memory_format).removeprefix("torch.").removesuffix("_format")
            print(f"{name:40}{told:>19}{times}{taken['kmeans'] / taken['none']:19.2f}")


if __name__ == "__main__":
    main()
