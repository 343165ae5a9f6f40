"""Spectra are kept for a network, made anew when any of its weights has changed, however that happened."""

import pytest
import torch
from torch import nn

import pruners


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(12, 8), (7, 5)], ids=["even", "odd number of weights"])
def test_a_change_of_one_weight_is_noticed(shape: tuple[int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(*reversed(shape), dtype=dtype), nn.Linear(shape[0], 9, dtype=dtype))
    before = pruners.plan(network, keep_ratio=0.5)
    assert pruners.plan(network, keep_ratio=0.5) == before
    network[0].weight.data[-1, -1] += (
        5.0  # through .data, which leaves no trace in autograd's version counter
    )
    assert (
        pruners.plan(network, keep_ratio=0.5)
        == pruners.plan(pruners.Spectra(network), keep_ratio=0.5)
        != before
    )


def test_networks_kept_unevenly_in_memory_are_compared_too() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 5, 3)).to(memory_format=torch.channels_last)
    before = pruners.plan(network, keep_ratio=0.5)
    assert pruners.plan(network, keep_ratio=0.5) == before
    network[1].weight.data.mul_(torch.arange(1.0, 6.0)[:, None, None, None])
    assert pruners.plan(network, keep_ratio=0.5) != before
