"""Times ViT-B/16 at 224 pixels on one core without half of its heads, beside the dense network in one run.

Once heads alone go, once hidden features of the blocks too, down to half the multiply-adds of all weights.
The dense network takes torch's fused kernel for attention, the small ones take `HeadAttention`. Networks take
turns as in channels.py. Run: python -m bench.heads
"""

import warnings

import torch
import torchvision

import pruners
from bench.channels import times
from pruners.network.counting.multiply_adds import multiply_adds


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", pruners.UnreachedWarning)  # the embedding of positions
    dense, example = torchvision.models.vit_b_16().eval(), torch.randn(1, 3, 224, 224)
    weights = sum(layer.params for layer in pruners.prunable(dense).values())
    of_heads = sum(
        layer.params for name, layer in pruners.prunable(dense).items() if "self_attention" in name
    )
    half = pruners.compress(dense, "ft", budget=weights - of_heads // 2, example=example, exclude=["*.mlp.*"])
    both = pruners.compress(dense, "ft", flops_ratio=0.5, example=example)
    networks = {"dense": dense, "half the heads": half.apply(dense), "heads and features": both.apply(dense)}
    with torch.inference_mode():
        found = times(networks, example)
    whole = multiply_adds(dense, example, {}).total
    columns = f"{'heads':>7}{'multiply-adds':>15}{'ms':>8}{'of dense':>10}{'CPU':>7}"
    print(f"{'ViT-B/16 at 224 pixels, one core':34}{columns}")
    for name, network in networks.items():
        heads = sum(block.self_attention.num_heads for block in network.encoder.layers)
        kept = multiply_adds(network, example, {}).total / whole
        clock, own = (mine / of_dense for mine, of_dense in zip(found[name], found["dense"], strict=True))
        print(f"{name:34}{heads:7}{kept:15.3f}{found[name][0]:8.1f}{clock:10.3f}{own:7.3f}")


if __name__ == "__main__":
    main()
