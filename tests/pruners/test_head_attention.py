"""Attention with fewer heads against torch's own with zeros where the removed heads' outputs are read."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pruners.channels.head_attention import HeadAttention, tell_heads

HEADS, SIZE = 4, 3
WIDTH = HEADS * SIZE


def attention(**given):
    torch.manual_seed(0)
    made = nn.MultiheadAttention(WIDTH, HEADS, dtype=torch.float64, **given).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def entries(heads):
    return torch.cat([torch.arange(head * SIZE, (head + 1) * SIZE) for head in heads])


def with_heads(dense, heads):
    """Slice an attention's tensors by hand."""
    small, at = copy.deepcopy(dense), entries(heads)

    def sliced(tensor, dim):
        parts = tensor.detach().split(WIDTH, dim)
        return nn.Parameter(torch.cat([part.index_select(dim, at) for part in parts], dim))

    for name, dim in (
        ("in_proj_weight", 0),
        ("q_proj_weight", 0),
        ("k_proj_weight", 0),
        ("v_proj_weight", 0),
        ("in_proj_bias", 0),
        ("bias_k", 2),
        ("bias_v", 2),
    ):
        if getattr(dense, name) is not None:
            setattr(small, name, sliced(getattr(dense, name), dim))
    small.out_proj.weight = nn.Parameter(dense.out_proj.weight.detach()[:, at])
    tell_heads(small)
    return small


def without_others(dense, heads):
    masked = copy.deepcopy(dense)
    gone = [i for i in range(WIDTH) if i not in entries(heads)]
    masked.out_proj.weight.data[:, gone] = 0
    return masked


@st.composite
def masks(draw, examples, heads, length, source):
    """Draw masks of either kind; no query is left without any key."""

    def one(*shape):
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
        hidden = values > 0.6
        hidden[..., 0] = False
        return {None: None, "bool": hidden, "float": values}[draw(st.sampled_from([None, "bool", "float"]))]

    each = draw(st.booleans())
    mask = one(examples * heads, length, source) if each else one(length, source)
    padding = one(examples, source)
    same = mask is None or padding is None or mask.dtype == padding.dtype
    return mask, padding if same else None


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_it_is_torchs_attention_with_zeros(data):
    kdim = data.draw(st.sampled_from([None, 5]))
    named = ("bias", "add_bias_kv", "add_zero_attn", "batch_first")
    flags = {name: data.draw(st.booleans(), name) for name in named}
    dense = attention(kdim=kdim, vdim=kdim, **flags)
    heads = data.draw(st.lists(st.integers(0, HEADS - 1), min_size=1, unique=True).map(sorted))
    small = with_heads(dense, heads)
    assert small.num_heads == len(heads)
    assert type(small) is (nn.MultiheadAttention if len(heads) == HEADS else HeadAttention)
    if len(heads) == HEADS:
        small.__class__, small._qkv_same_embed_dim = HeadAttention, False
    examples, length = data.draw(st.sampled_from([0, 1, 3])), data.draw(st.integers(1, 4))
    themselves = kdim is None and data.draw(st.booleans(), "self-attention")
    source = length if themselves else data.draw(st.integers(1, 4))
    lead = (length, examples or 1, WIDTH) if not dense.batch_first else (examples or 1, length, WIDTH)
    over = (source, examples or 1) if not dense.batch_first else (examples or 1, source)
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(lead, generator=generator, dtype=torch.float64)
    key, value = (torch.randn(*over, kdim or WIDTH, generator=generator, dtype=torch.float64) for _ in "kv")
    key, value = (query, query) if themselves else (key, value)
    mask, padding = data.draw(masks(examples or 1, HEADS, length, source))
    if not examples:
        batch = 0 if dense.batch_first else 1
        query, key, value = (x.select(batch, 0) for x in (query, key, value))
        padding = None if padding is None else padding[0]
    options = {
        "key_padding_mask": padding,
        "need_weights": data.draw(st.booleans(), "need_weights"),
        "average_attn_weights": data.draw(st.booleans(), "average"),
    }
    ours_mask = mask
    if mask is not None and mask.dim() == 3:
        ours_mask = mask.unflatten(0, (-1, HEADS))[:, heads].flatten(0, 1)
    output, weights = small(query, key, value, attn_mask=ours_mask, **options)
    masked = without_others(dense, heads)
    theirs, _ = masked(query, key, value, attn_mask=mask, **options)
    torch.testing.assert_close(output, theirs, rtol=1e-9, atol=1e-9)
    if not options["need_weights"]:
        assert weights is None
        return
    _, every = masked(query, key, value, attn_mask=mask, **options | {"average_attn_weights": False})
    every = every[..., heads, :, :]
    every = every.mean(-3) if options["average_attn_weights"] else every
    torch.testing.assert_close(weights, every, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_causal_hint(need_weights):
    dense = attention(batch_first=True)
    small, x = with_heads(dense, [0, 2]), torch.randn(2, 5, WIDTH, dtype=torch.float64)
    later = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    asked = {"attn_mask": later, "is_causal": True, "need_weights": need_weights}
    theirs = without_others(dense, [0, 2])(x, x, x, **asked)[0]
    torch.testing.assert_close(small(x, x, x, **asked)[0], theirs)
    with pytest.raises(RuntimeError, match="Need attn_mask"):
        small(x, x, x, is_causal=True)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_drops_in_training_only(need_weights):
    small, x = with_heads(attention(dropout=0.5), [1, 3]), torch.randn(5, 2, WIDTH, dtype=torch.float64)
    assert torch.equal(small(x, x, x)[0], small(x, x, x)[0])
    small.train()
    first, second = (small(x, x, x, need_weights=need_weights)[0] for _ in range(2))
    assert not torch.allclose(first, second)
    first.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in small.parameters())


def test_hooks_and_other_attributes_stay():
    dense, called = attention(batch_first=True), []
    dense.register_forward_hook(lambda module, args, output: called.append(module))
    dense.note = "mine"
    small, x = with_heads(dense, [0, 2]), torch.randn(1, 2, WIDTH, dtype=torch.float64)
    small(x, x, x)
    assert called == [small] and small.note == "mine"
