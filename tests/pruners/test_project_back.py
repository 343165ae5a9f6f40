"""A small network as a dense one again, of the given network's shape and of the small one's function."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.lowrank.layers.cut import CLUSTERINGS, FOLDINGS
from pruners.lowrank.layers.folding import BEST
from pruners.testing.sparse.network import OddNetwork
from pruners.testing.sparse.network import given as odd_given
from tests.pruners.test_decompose import convolutions


def cut(model, **layers):
    """Decompose a network's layers at {name: (rank, num_subspaces)}."""
    pins = {name: {"rank": rank, "num_subspaces": number} for name, (rank, number) in layers.items()}
    return pruners.compress(model, keep_ratio=1.0, layers=pins)


def retrained(small, seed=0):
    """Move every parameter and buffer of a network, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*small.parameters(), *small.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator).to(tensor), alpha=0.1)
    return small


def check_shape(dense, model):
    """Check that a network has another's classes, tensors, settings and layout, name by name."""
    assert [(n, type(m), m.training) for n, m in dense.named_modules()] == [
        (n, type(m), m.training) for n, m in model.named_modules()
    ]
    own, asked = dense.state_dict(), model.state_dict()
    assert list(own) == list(asked)
    assert [p.requires_grad for p in dense.parameters()] == [p.requires_grad for p in model.parameters()]
    for name, tensor in own.items():
        told = tensor.shape, tensor.dtype, tensor.device, tensor.stride()
        assert told == (asked[name].shape, asked[name].dtype, asked[name].device, asked[name].stride()), name
    assert repr(dense) == repr(model)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(layer=convolutions(), double=st.booleans(), channels_last=st.booleans(), data=st.data())
@pytest.mark.filterwarnings("ignore:Using padding=.same.")
def test_any_convolution(layer, double, channels_last, data):
    model = nn.Sequential(layer).train(data.draw(st.booleans()))
    model = model.to(torch.float64 if double else torch.float32)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    shape = pruners.compressible(model)["0"]
    number = data.draw(st.sampled_from(shape.candidate_subspaces))
    artifact = cut(model, **{"0": (data.draw(st.integers(1, shape.max_rank(number))), number)})
    small = retrained(artifact.apply(model))
    before = copy.deepcopy(small.state_dict())
    dense = artifact.project_back(small)
    inputs = torch.randn(2, layer.in_channels, 9, 10, generator=torch.Generator().manual_seed(1))
    inputs = inputs.to(layer.weight.dtype)
    close = 1e-12 if double else 1e-5
    torch.testing.assert_close(dense(inputs), small(inputs), atol=close, rtol=close)
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())
    assert [(n, type(m)) for n, m in dense.named_modules()] == [
        (n, type(m)) for n, m in model.named_modules()
    ]
    assert repr(dense) == repr(model)
    assert dense[0].weight.shape == layer.weight.shape
    assert dense[0].weight.is_contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )


FORMS = [
    *(("alds", {"folding": folding}) for folding in (*FOLDINGS, BEST)),
    *(("alds", {"clustering": clustering}) for clustering in CLUSTERINGS),
    ("tucker", {}),
    ("cp", {}),
]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(layer=convolutions(), form=st.sampled_from(FORMS), channels_last=st.booleans())
@pytest.mark.filterwarnings("ignore:Using padding=.same.")
def test_any_convolution_in_any_form(layer, form, channels_last):
    """Layers that span one side of the kernel each, three or four of them, are one again."""
    method, options = form
    model = nn.Sequential(layer).double()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    try:
        artifact = pruners.compress(model, method, keep_ratio=0.7, **options)
    except pruners.InfeasibleBudget:  # too small a layer
        return
    small = retrained(artifact.apply(model))
    dense = artifact.project_back(small)
    inputs = torch.randn(2, layer.in_channels, 9, 10, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(dense(inputs), small(inputs), atol=1e-11, rtol=1e-11)
    assert repr(dense) == repr(model) and type(dense[0]) is nn.Conv2d


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), lead=st.lists(st.integers(1, 3), max_size=2), bias=st.booleans())
def test_any_linear(data, lead, bias):
    features = data.draw(st.sampled_from([1, 2, 6, 12, 16]))
    model = nn.Sequential(nn.Linear(features, data.draw(st.integers(1, 14)), bias=bias)).double()
    shape = pruners.compressible(model)["0"]
    number = data.draw(st.sampled_from(shape.candidate_subspaces))
    artifact = cut(model, **{"0": (data.draw(st.integers(1, shape.max_rank(number))), number)})
    small = retrained(artifact.apply(model))
    dense = artifact.project_back(small)
    inputs = torch.randn(*lead, features, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(dense(inputs), small(inputs), atol=1e-12, rtol=1e-12)
    check_shape(dense, model)


METHODS = [name for name, method in pruners.methods().items() if method.kind == "decomposition"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_of_every_rank_method(network, batch, method, dtype):
    network, batch = network.to(dtype).to(memory_format=torch.channels_last), batch.to(dtype)
    network[3].weight.requires_grad_(False)
    network[7].note = "mine"
    artifact = pruners.compress(network, method, keep_ratio=0.5, data=batch.repeat(9, 1, 1, 1))
    assert artifact.layers
    small = retrained(artifact.apply(network))
    dense = artifact.project_back(small)
    close = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(dense(batch), small(batch), atol=close, rtol=close)
    check_shape(dense, network)
    assert dense[7].note == "mine"
    assert pruners.NetworkShape(dense).layers == pruners.NetworkShape(network).layers


def test_what_was_projected_is_compressed_without_loss(network, batch):
    """At the same ranks nothing is left to lose: the truncation of a product of factors is that product."""
    artifact = pruners.compress(network, keep_ratio=0.5)
    small = retrained(artifact.apply(network))
    dense = artifact.project_back(small)
    again = pruners.compress(
        dense,
        keep_ratio=1.0,
        layers={
            name: {"rank": choice.rank, "num_subspaces": choice.num_subspaces}
            for name, choice in artifact.layers.items()
        },
    )
    assert again.error < 1e-5
    torch.testing.assert_close(again.apply(dense)(batch), small(batch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", pruners.methods())
def test_a_cascade_never_exceeds_its_budgets(network, batch, method):
    """Compress, move the weights, project back: every step is within its own budget, before and after."""
    needs = pruners.methods()[method].needs
    inputs = batch.repeat(4, 1, 1, 1) + torch.arange(8).view(8, 1, 1, 1)
    of_method = {}
    if "data" in needs:
        of_method["data"] = [(inputs, torch.arange(8))] if "loss" in needs else inputs
    if "loss" in needs:
        of_method["loss"] = nn.functional.cross_entropy
    if "example" in needs:
        of_method["example"] = batch[:1]
    total = pruners.NetworkShape(network).params

    def left(small):
        return sum(int(weight.count_nonzero()) for weight in small.parameters() if weight.dim() > 1)

    dense, mask = network, None
    for seed, share in enumerate([0.75, 0.5, 0.375]):
        artifact = pruners.compress(dense, method, keep_ratio=share, mask=mask, **of_method)
        limit = math.ceil(share * total) if isinstance(artifact, pruners.Mask) else int(share * total)
        small = artifact.apply(dense)
        assert left(small) <= artifact.params <= limit
        small = retrained(small, seed)
        if isinstance(artifact, pruners.Mask):
            artifact.apply_(small)
            mask = artifact
        assert left(small) <= limit
        dense = artifact.project_back(small)
        assert dense.state_dict().keys() == network.state_dict().keys()
        torch.testing.assert_close(dense.eval()(batch), small.eval()(batch), atol=1e-4, rtol=1e-4)


def test_a_loaded_artifact_projects_back(network, batch, tmp_path):
    artifact = pruners.compress(network, keep_ratio=0.5)
    small = retrained(artifact.apply(network))
    artifact.capture(small).save(tmp_path)
    loaded = pruners.load(tmp_path)
    dense = loaded.project_back(loaded.apply(network))
    torch.testing.assert_close(dense(batch), small(batch), atol=1e-5, rtol=1e-5)


def test_hooks_wrappers_and_references_stay(network, batch):
    artifact = pruners.compress(network, keep_ratio=0.5)
    seen = []
    small = artifact.apply(network)
    small[0].register_forward_hook(lambda module, inputs, outputs: seen.append(type(module)))
    small.order = [small[0]]
    dense = artifact.project_back(torch.optim.swa_utils.AveragedModel(small))
    assert type(dense) is nn.Sequential and dense.order[0] is dense[0]
    dense(batch)
    assert seen == [nn.Conv2d]


def test_a_layer_used_twice_and_a_single_layer():
    torch.manual_seed(0)
    layer = nn.Linear(12, 12)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    artifact = cut(model, **{"0": (2, 1)})
    small = retrained(artifact.apply(model))
    dense = artifact.project_back(small)
    assert dense[0] is dense[2]
    inputs = torch.randn(3, 12)
    torch.testing.assert_close(dense(inputs), small(inputs), atol=1e-5, rtol=1e-5)
    alone = nn.Linear(12, 12)
    artifact = cut(alone, **{"": (2, 1)})
    small = artifact.apply(alone)
    dense = artifact.project_back(small)
    assert type(dense) is nn.Linear
    torch.testing.assert_close(dense(inputs), small(inputs), atol=1e-5, rtol=1e-5)


def test_another_network_is_refused(network):
    artifact = pruners.compress(network, keep_ratio=0.5)
    with pytest.raises(pruners.BadArtifact, match=r"layer '.*' is not decomposed"):
        artifact.project_back(network)
    other = nn.Sequential(*(copy.deepcopy(layer) for layer in network))
    other[0] = nn.Conv2d(4, 16, 3)
    pairs = cut(other, **dict.fromkeys(artifact.layers, (1, 1)))
    with pytest.raises(pruners.BadArtifact, match=r"layer '.*' is LayerShape"):
        artifact.project_back(pairs.apply(other))


def test_a_masked_network_is_its_own_projection():
    model, inputs = OddNetwork(), odd_given()["example"]
    mask = pruners.compress(model, "magnitude", keep_ratio=0.3)
    small = mask.apply(model)
    dense = mask.project_back(torch.optim.swa_utils.AveragedModel(small))
    assert torch.equal(dense.eval()(inputs), small.eval()(inputs)) and dense is not small
    assert not {id(p) for p in dense.parameters()} & {id(p) for p in small.parameters()}
    check_shape(dense, small)
    with pytest.raises(pruners.BadArtifact, match="no parameter"):
        mask.project_back(nn.Linear(2, 2))
