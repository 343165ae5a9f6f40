"""Heads of attention of one's own: packed, not understood, not called, excluded."""

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

import pruners
from pruners.testing.channels.networks import SelfAttention
from tests.pruners.test_heads import (
    HEADS,
    NETWORKS,
    TOKENS,
    WIDTH,
    Bert,
    Encoder,
    first,
    made,
    without_outputs_of_removed,
)

pytestmark = pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")


class Written(SelfAttention):
    """The number of heads and their size stand in the code."""

    def _heads(self, x):
        return x.view(*x.shape[:-1], 4, 4).permute(0, 2, 1, 3)


class GroupedQuery(nn.Module):
    """Two heads of keys and values for four of queries."""

    def __init__(self, width, heads):
        super().__init__()
        self.num_heads, self.num_key_value_heads, self.head_dim = heads, heads // 2, width // heads
        self.query, self.key, self.value = (
            nn.Linear(width, width),
            *(nn.Linear(width, width // 2) for _ in "kv"),
        )

    def forward(self, x, mask):
        of_heads = [
            layer(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        return scaled_dot_product_attention(*of_heads, mask, enable_gqa=True).transpose(1, 2).flatten(2)


class Averaged(nn.Module):
    """torch's own, whose weights, the mean of the heads', are part of the output."""

    def __init__(self, width, heads):
        super().__init__()
        self.inner = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x, mask):
        x, weights = self.inner(x, x, x)
        return x + weights[..., :1]


@pytest.mark.filterwarnings("ignore:The channels of:pruners.PrunerWarning")
@pytest.mark.parametrize("attention", [Written, GroupedQuery, Averaged])
def test_what_is_not_understood_stays_whole(attention):
    network = made(lambda: Bert(attention))
    assert pruners.NetworkChannels(network, first(TOKENS)).groups.keys() == {"up"}
    artifact = pruners.compress(network, "ft", flops_ratio=0.8, example=first(TOKENS))
    assert not any(name.startswith("attention") for name in artifact.kept)
    artifact.apply(network)(**TOKENS)


class Packed(nn.Module):
    """One Linear of queries, keys and values; of what it tells only the number of heads changes."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.width, self.dim_head = heads, width, width // heads
        self.scale = (width // heads) ** -0.5
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x, mask):
        assert x.shape[-1] == self.width
        parts = self.to_qkv(x).chunk(3, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, self.dim_head)).transpose(1, 2) for part in parts
        )
        weights = (query @ key.mT * self.scale + mask).softmax(-1)
        return (weights @ value).transpose(1, 2).flatten(2)


def test_packed_projections_of_ones_own():
    network = made(lambda: Bert(Packed))
    artifact = pruners.compress(network, "ft", flops_ratio=0.6, example=first(TOKENS))
    small, masked = artifact.apply(network), without_outputs_of_removed(network, artifact)
    assert artifact.numbers == {"attention.heads": (HEADS, small.attention.heads)}
    assert small.attention.heads < HEADS and small.attention.width == WIDTH
    torch.testing.assert_close(small(**TOKENS), masked(**TOKENS), rtol=1e-10, atol=1e-10)


def test_attention_that_is_not_called_stays_whole():
    class Unused(Encoder):
        def __init__(self):
            super().__init__()
            self.other = nn.MultiheadAttention(WIDTH, HEADS)

    groups = pruners.NetworkChannels(made(Unused), first(NETWORKS["encoder"][1])).groups
    assert len(groups) == 4 and not any(name.startswith("other") for name in groups)


def test_excluded_projections_keep_their_heads():
    network = made(Encoder)
    found = pruners.NetworkChannels(network, first(NETWORKS["encoder"][1]), ["*.self_attn.in_proj_weight"])
    assert found.groups.keys() == {"encoder.layers.0.linear1", "encoder.layers.1.linear1"}
