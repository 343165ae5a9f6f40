"""Whole heads of attention as channels: what is left computes what zeros compute, within the budget."""

import copy
import itertools

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, gelu

import pruners
from pruners.channels.head_attention import HeadAttention, call_output_projections
from pruners.network.inputs import forward
from pruners.testing.channels.networks import SelfAttention
from tests.pruners.test_channel_selection import walked

pytestmark = pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")
WIDTH, HEADS = 16, 4


class Encoder(nn.Module):
    """torch's encoder, of layers that lose heads each for itself."""

    def __init__(self, layers=2):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 24, batch_first=True, dropout=0.0)
        self.encoder, self.head = nn.TransformerEncoder(layer, layers), nn.Linear(WIDTH, 3)

    def forward(self, x, padding):
        return self.head(self.encoder(x, src_key_padding_mask=padding)[:, 0])


class Bert(nn.Module):
    """Tokens (N, L) and which of them count to three classes, by separate projections and a mask."""

    def __init__(self, attention=SelfAttention):
        super().__init__()
        self.words, self.place = nn.Embedding(20, WIDTH), nn.Embedding(8, WIDTH)
        self.attention, self.output = attention(WIDTH, HEADS), nn.Linear(WIDTH, WIDTH)
        self.norm, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down, self.head = nn.Linear(WIDTH, 24), nn.Linear(24, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, tokens, mask):
        x = self.words(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        added = (1 - mask[:, None, None, :].to(x.dtype)) * -1e4
        x = self.norm(x + self.output(self.attention(x, added)))
        return self.head(self.norm2(x + self.down(gelu(self.up(x))))[:, 0])


def vit():
    return torchvision.models.VisionTransformer(16, 8, 2, HEADS, WIDTH, 24, num_classes=3)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


PADDING = torch.tensor([[False] * 6, [False] * 4 + [True] * 2, [False] * 3 + [True] * 3])
TOKENS = {
    "tokens": torch.randint(0, 20, (3, 6), generator=torch.Generator().manual_seed(5)),
    "mask": (~PADDING).long(),
}
NETWORKS = {
    "encoder": (Encoder, {"x": drawn(3, 6, WIDTH), "padding": PADDING}),
    "vit": (vit, {"x": drawn(3, 3, 16, 16)}),
    "bert": (Bert, TOKENS),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def made(factory):
    torch.manual_seed(3)
    network = factory().double().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # torch begins with biases of zero
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def first(inputs):
    return {name: tensor[:1] for name, tensor in inputs.items()}


def attentions(network):
    return [m for m in network.modules() if isinstance(m, nn.MultiheadAttention | SelfAttention)]


def heads_of(attention):
    written = isinstance(attention, SelfAttention)
    return attention.num_attention_heads if written else attention.num_heads


def without_outputs_of_removed(network, artifact):
    """The dense network with zeros only where the removed heads' and channels' outputs are read."""
    masked = copy.deepcopy(network)
    for name, of_tensor in artifact.kept.items():
        if 1 in of_tensor:
            weight = masked.get_parameter(name)
            gone = sorted(set(range(weight.shape[1])) - set(of_tensor[1].tolist()))
            weight.data[:, gone] = 0
    return masked


def compressed(name, method="ft", **asked):
    factory, inputs = NETWORKS[name]
    network = made(factory)
    artifact = pruners.compress(network, method, example=first(inputs), **(asked or {"flops_ratio": 0.6}))
    return network, artifact, inputs


@every_network
def test_pruned_is_masked(name):
    network, artifact, inputs = compressed(name)
    small, masked = artifact.apply(network), without_outputs_of_removed(network, artifact)
    assert all(1 <= heads_of(attention) < HEADS for attention in attentions(small))
    with torch.no_grad():
        torch.testing.assert_close(forward(small, inputs), forward(masked, inputs), rtol=1e-10, atol=1e-10)


@every_network
def test_projected_back_it_is_the_network_it_was(name):
    network, artifact, inputs = compressed(name)
    small = artifact.apply(network)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    back = artifact.project_back(small)
    assert repr(back) == repr(network)
    assert [vars(a).keys() for a in back.modules()] == [vars(a).keys() for a in network.modules()]
    for ours, theirs in zip(attentions(back), attentions(network), strict=True):
        assert type(ours) is type(theirs) and heads_of(ours) == HEADS
        assert getattr(ours, "_qkv_same_embed_dim", None) == getattr(theirs, "_qkv_same_embed_dim", None)
    with torch.no_grad():
        torch.testing.assert_close(forward(back, inputs), forward(small, inputs), rtol=1e-10, atol=1e-10)
    again = artifact.apply(back).state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in small.state_dict().items())


@every_network
def test_saved_and_loaded(name, tmp_path):
    network, artifact, inputs = compressed(name)
    small = artifact.apply(network).train()
    cross_entropy(forward(small, inputs), torch.tensor([0, 1, 2])).backward()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter -= 0.1 * parameter.grad
    artifact.capture(small).save(tmp_path)
    loaded = pruners.load(tmp_path)
    again = loaded.apply(made(NETWORKS[name][0]))
    assert [type(a) for a in again.modules()] == [type(a) for a in small.modules()]
    assert torch.equal(forward(again.eval(), inputs), forward(small.eval(), inputs))
    with pytest.raises(pruners.BadArtifact, match="does not fit"):
        loaded.apply(nn.Linear(WIDTH, 3))


def test_numbers_of_another_network_are_refused():
    network, artifact, _ = compressed("bert")
    assert artifact.numbers == {
        "attention.num_attention_heads": (HEADS, heads_of(artifact.apply(network).attention)),
        "attention.all_head_size": (WIDTH, 4 * heads_of(artifact.apply(network).attention)),
    }
    network.attention.num_attention_heads = 2
    with pytest.raises(pruners.BadArtifact, match=r"no 'attention\.num_attention_heads' of 4"):
        artifact.apply(network)


@pytest.mark.parametrize("excluded", [[], ["encoder.layers.0.*"], ["encoder.layers.1.*"]])
@pytest.mark.parametrize("layers", [1, 3])
def test_fast_paths_take_no_removed_heads_for_there(excluded, layers):
    """Check torch's encoder in inference, where it makes nested tensors of padded sequences."""
    if layers == 1 and excluded:
        return
    network, inputs = made(lambda: Encoder(layers)).float(), {**NETWORKS["encoder"][1]}
    inputs["x"] = inputs["x"].float()
    artifact = pruners.compress(network, "ft", keep_ratio=0.8, example=first(inputs), exclude=excluded)
    small, masked = artifact.apply(network), without_outputs_of_removed(network, artifact)
    assert any(isinstance(module, HeadAttention) for module in small.modules())
    with torch.inference_mode():
        for padding in (inputs["padding"], None):
            ours, theirs = small(inputs["x"], padding), masked(inputs["x"], padding)
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
            x = network.encoder(inputs["x"], src_key_padding_mask=padding)
            assert small.encoder(inputs["x"], src_key_padding_mask=padding).shape == x.shape


def test_other_forms_of_torchs_attention():
    class Crossed(nn.Module):
        """Queries of one sequence, keys and values of another, with keys and values that are learned."""

        def __init__(self):
            super().__init__()
            self.packed = nn.MultiheadAttention(WIDTH, HEADS, add_bias_kv=True)
            self.separate = nn.MultiheadAttention(
                WIDTH, HEADS, kdim=5, vdim=7, batch_first=True, add_zero_attn=True
            )
            self.alone, self.head = nn.MultiheadAttention(WIDTH, 1), nn.Linear(WIDTH, 2)

        def forward(self, x, y):
            x = x + self.packed(x.transpose(0, 1), *[x[:, :2].transpose(0, 1)] * 2)[0].transpose(0, 1)
            x = x + self.separate(x, y[..., :5], y, need_weights=False)[0]
            return self.head(self.alone(x, x, x)[0])

    network, inputs = made(Crossed), [drawn(2, 6, WIDTH), drawn(2, 5, 7)]
    groups = pruners.NetworkChannels(network, [x[:1] for x in inputs]).groups
    assert {name: (group.channels, len(group.filters)) for name, group in groups.items()} == {
        "packed.in_proj_weight": (HEADS, 3),
        "separate.q_proj_weight": (HEADS, 3),
    }
    ratio = pruners.least_budget(network, "flops_ratio", method="ft", example=[x[:1] for x in inputs])
    for share in (ratio, (1 + ratio) / 2):
        artifact = pruners.compress(network, "ft", example=[x[:1] for x in inputs], flops_ratio=share)
        small, masked = artifact.apply(network), without_outputs_of_removed(network, artifact)
        torch.testing.assert_close(small(*inputs), masked(*inputs), rtol=1e-10, atol=1e-10)
        assert _weight_products(small, inputs) <= share * _weight_products(network, inputs)


def _weight_products(network, inputs):
    """Multiply-adds of the projections of Crossed, by hand: two queries a sample are keys of the first."""
    total = 0
    for attention, queries, keys in ((network.packed, 6, 2), (network.separate, 6, 5), (network.alone, 6, 6)):
        inner, separate = attention.num_heads * attention.head_dim, attention.in_proj_weight is None
        widths = (WIDTH, 5, 7) if separate else (WIDTH,) * 3
        if attention is network.alone:  # not batch_first: its samples are the positions
            queries = keys = 6
        lengths = (queries, keys, keys)
        total += inner * (sum(w * n for w, n in zip(widths, lengths, strict=True)) + WIDTH * queries)
    return total + 6 * WIDTH * 2


def scores_by_hand(network, name):
    """The mean l2 norm of each head's filters of query, key and value; of a channel that of its filter."""
    parameters = dict(network.named_parameters())
    if name.endswith("in_proj_weight"):
        thirds = parameters[name].detach().chunk(3)
    elif name == "attention.query":
        thirds = [parameters[f"attention.{of}.weight"].detach() for of in ("query", "key", "value")]
    else:
        return parameters[f"{name}.weight"].detach().norm(dim=1)
    return torch.stack([third.reshape(HEADS, -1).norm(dim=1) for third in thirds]).mean(0)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.sampled_from(list(NETWORKS)),
    st.sampled_from(["global", "uniform"]),
    st.sampled_from([1, 2, 8]),
    st.floats(0.45, 1),
)
def test_as_many_as_a_walk_over_every_removal_keeps(name, allocation, round_to, ratio):
    factory, inputs = NETWORKS[name]
    network = made(factory)
    asked = {"keep_ratio": ratio, "allocation": allocation, "round_to": round_to}
    try:
        _, artifact, _ = compressed(name, **asked)
    except pruners.InfeasibleBudget as error:
        assert error.least > ratio
        return
    groups = pruners.NetworkChannels(network, first(inputs)).groups
    scores = {group: scores_by_hand(network, group) for group in groups}
    dense = sum(layer.params for layer in pruners.prunable(network).values())
    # a head has 4 filters each of query, key and value, and as many inputs of the output projection
    each = {group: 16 * WIDTH if len(of) == HEADS else 2 * WIDTH for group, of in scores.items()}
    in_heads = {8: 2, 2: 1, 1: 1}[round_to]
    multiples = {group: in_heads if len(of) == HEADS else round_to for group, of in scores.items()}

    def cost(removed):
        return dense - sum(each[group] * count for group, count in removed.items())

    kept = walked(scores, allocation, multiples, int(ratio * dense), cost)
    for group, channels in kept.items():
        place = groups[group].filters[0]
        entries = artifact.kept.get(place.tensor, {}).get(0, torch.arange(10**3))
        assert torch.isin(place.index, entries).all(1).nonzero()[:, 0].tolist() == channels
    assert artifact.params == cost({g: len(scores[g]) - len(of) for g, of in kept.items()}) <= ratio * dense


@every_network
@pytest.mark.parametrize("method", ["l1", "pfp", "taylor"])
def test_every_method_scores_heads(name, method):
    network, inputs = made(NETWORKS[name][0]), NETWORKS[name][1]
    asked = {"data": [(inputs, torch.tensor([0, 1, 2]))], "loss": cross_entropy, "allocation": "uniform"}
    _, artifact, _ = compressed(name, method, keep_ratio=0.7, **asked)
    small, masked = artifact.apply(network), without_outputs_of_removed(network, artifact)
    assert any(heads_of(attention) < HEADS for attention in attentions(small))
    with torch.no_grad():
        torch.testing.assert_close(forward(small, inputs), forward(masked, inputs), rtol=1e-10, atol=1e-10)


def test_a_head_that_nothing_reads_goes_first():
    for name, method in itertools.product(NETWORKS, ("pfp", "taylor")):
        network, inputs = made(NETWORKS[name][0]), NETWORKS[name][1]
        output = network.output if name == "bert" else attentions(network)[0].out_proj
        output.weight.data[:, 8:12] = 0
        artifact = pruners.compress(
            network,
            method,
            keep_ratio=0.85,
            allocation="uniform",
            example=first(inputs),
            data=[(inputs, torch.tensor([0, 1, 2]))],
            loss=cross_entropy,
        )
        weight = next(n for n, p in network.named_parameters() if p is output.weight)
        assert not set(range(8, 12)) & set(artifact.kept[weight][1].tolist())


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.sampled_from(list(NETWORKS)), st.sampled_from(["global", "uniform"]), st.floats(0.1, 1))
def test_never_over_budget(name, allocation, share):
    factory, inputs = NETWORKS[name]
    network, example = made(factory), first(inputs)
    least = pruners.least_budget(network, "flops_ratio", method="l1", example=example)
    ratio = least + share * (1 - least)
    artifact = pruners.compress(network, "l1", flops_ratio=ratio, allocation=allocation, example=example)
    small = artifact.apply(network)
    # products of activations are no part of the budget: two of keys with queries and values for every head
    length = 6 if name != "vit" else 5
    dense, left = (
        pruners.cost(one, example).multiply_adds
        - 2 * length**2 * sum(4 * heads_of(attention) for attention in attentions(one))
        for one in (network, small)
    )
    assert left <= ratio * dense * (1 + 1e-12)


class LengthFirst(Encoder):
    """Its attention gives positions first, so that the output projection is not the last operation in it."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x, padding):
        query = x.transpose(0, 1)
        return self.head(x[:, 0] + self.encoder(query, query, query, padding, need_weights=False)[0][0])


@pytest.mark.parametrize("factory", [Encoder, LengthFirst])
def test_a_small_network_loses_more(factory):
    network, inputs = made(factory), NETWORKS["encoder"][1]
    small = pruners.compress(network, "ft", flops_ratio=0.8, example=first(inputs)).apply(network)
    again = pruners.compress(small, "ft", flops_ratio=0.7, example=first(inputs))
    smaller = again.apply(small)
    masked = without_outputs_of_removed(small, again)
    assert all(
        heads_of(less) < heads_of(more)
        for less, more in zip(attentions(smaller), attentions(small), strict=True)
    )
    torch.testing.assert_close(forward(smaller, inputs), forward(masked, inputs), rtol=1e-10, atol=1e-10)
    assert [type(a) for a in again.project_back(smaller).modules()] == [type(a) for a in small.modules()]


def test_artifacts_from_before_attention_lost_heads_load(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1))
    artifact = pruners.compress(network, "ft", keep_ratio=0.5, example=torch.ones(1, 3, 4, 4))
    artifact.save(tmp_path)
    spec = tmp_path / "spec.json"
    text = spec.read_text()
    assert '"numbers"' in text and '"1.groups"' in text
    spec.write_text(text.replace('"numbers"', '"groups"').replace('"1.groups"', '"1"'))
    assert pruners.load(tmp_path).numbers == artifact.numbers


def test_every_attention_calls_its_output_projection_on_demand():
    network, called = made(Encoder), []
    for attention in attentions(network):
        attention.out_proj.register_forward_hook(lambda *_: called.append(1))
    with torch.no_grad():
        before = forward(network, NETWORKS["encoder"][1])
        assert not called
        call_output_projections(network)
        torch.testing.assert_close(forward(network, NETWORKS["encoder"][1]), before)
    assert len(called) == 2
