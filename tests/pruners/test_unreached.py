"""Weights outside a budget are named, each with its share and its reason."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import pruners


class Attends(nn.Module):
    def __init__(self, **widths):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(32, 4, batch_first=True, **widths), nn.Linear(32, 3)


class Bare(nn.Module):
    """Parameters of its own.

    A matrix and position embeddings, a class token, a scale for each channel, a scalar.
    """

    def __init__(self):
        super().__init__()
        self.mixing = nn.Parameter(torch.ones(16, 8))
        self.positions = nn.Parameter(torch.ones(1, 9, 16))
        self.token = nn.Parameter(torch.ones(1, 1, 16))
        self.scale = nn.Parameter(torch.ones(16, 1, 1))
        self.temperature = nn.Parameter(torch.ones(()))
        self.head = nn.Linear(16, 3)


def beside(layer):
    """The layer, and one that every method reaches."""
    return nn.Sequential(layer, nn.Linear(16, 10))


def after_a_pass(layer):
    """A layer whose weight a hook computes can be copied only while that weight has no history."""
    with torch.no_grad():
        layer(torch.ones(1, 12))
    return layer


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer)


# a network, and for each kind of method what it leaves out (weights by name, a word of the reason)
CASES = {
    "weight_norm": (
        lambda: beside(parametrizations.weight_norm(nn.Linear(12, 16))),
        {"0.parametrizations.weight.original1": (192, "WeightNorm")},
        {"0.parametrizations.weight.original1": (192, "WeightNorm")},
    ),
    "spectral_norm": (
        lambda: beside(parametrizations.spectral_norm(nn.Conv2d(4, 6, 3))),
        {"0.parametrizations.weight.original": (216, "SpectralNorm")},
        {"0.parametrizations.weight.original": (216, "SpectralNorm")},
    ),
    "weight_norm by a hook": (
        lambda: beside(after_a_pass(old_weight_norm(nn.Linear(12, 16)))),
        {"0.weight_v": (192, "weight_norm")},
        {"0.weight_v": (192, "weight_norm")},
    ),
    "spectral_norm by a hook": (
        lambda: beside(nn.utils.spectral_norm(nn.Linear(12, 16))),
        {"0.weight_orig": (192, "spectral_norm")},
        {"0.weight_orig": (192, "spectral_norm")},
    ),
    "torch.nn.utils.prune": (
        lambda: beside(after_a_pass(prune.l1_unstructured(nn.Linear(12, 16), "weight", 0.5))),
        {"0.weight_orig": (192, "torch.nn.utils.prune")},
        {"0.weight_orig": (192, "torch.nn.utils.prune")},
    ),
    "Conv1d": (lambda: beside(nn.Conv1d(4, 6, 3)), {"0.weight": (72, "Conv1d")}, {}),
    "Conv3d": (lambda: beside(nn.Conv3d(2, 3, 2)), {"0.weight": (48, "Conv3d")}, {}),
    "ConvTranspose2d": (
        lambda: beside(nn.ConvTranspose2d(4, 6, 3)),
        {"0.weight": (216, "ConvTranspose2d")},
        {},
    ),
    "Embedding": (
        lambda: beside(nn.Embedding(9, 16)),
        {"0.weight": (144, "Embedding")},
        {"0.weight": (144, "Embedding")},
    ),
    "Bilinear": (
        lambda: beside(nn.Bilinear(3, 4, 5)),
        {"0.weight": (60, "Bilinear")},
        {"0.weight": (60, "Bilinear")},
    ),
    "LSTM": (
        lambda: beside(nn.LSTM(4, 6)),
        {"0.weight_ih_l0": (96, "LSTM"), "0.weight_hh_l0": (144, "LSTM")},
        {"0.weight_ih_l0": (96, "LSTM"), "0.weight_hh_l0": (144, "LSTM")},
    ),
    "parameters of a module's own": (
        Bare,
        {"mixing": (128, "Bare"), "positions": (144, "Bare")},
        {"mixing": (128, "Bare"), "positions": (144, "Bare")},
    ),
    "norms": (
        lambda: beside(nn.Sequential(nn.LayerNorm([4, 5]), nn.BatchNorm2d(3), nn.GroupNorm(2, 4))),
        {},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["alds", "magnitude"])
def test_each_kind_is_named_with_its_share(name, method):
    make, decomposition, mask = CASES[name]
    network, expected = make(), decomposition if method == "alds" else mask
    found = pruners.unreached(network, method)
    assert {n: one.weights for n, one in found.items()} == {
        n: weights for n, (weights, _) in expected.items()
    }
    total = sum(p.numel() for p in network.parameters())
    for n, (weights, word) in expected.items():
        assert found[n].share == weights / total and word in found[n].reason
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pruners.compress(network, method, keep_ratio=1.0)
    told = [str(w.message) for w in said if issubclass(w.category, pruners.UnreachedWarning)]
    assert len(told) == (1 if expected else 0) and all(repr(n) in told[0] for n in expected)


@pytest.mark.parametrize("method", [n for n, m in pruners.methods().items() if m.kind == "decomposition"])
@pytest.mark.parametrize(
    "widths, parts", [({}, ["in_proj_weight"]), ({"kdim": 8, "vdim": 6}, [f"{n}_proj_weight" for n in "qkv"])]
)
def test_packed_and_separate_projections_of_attention(method, widths, parts):
    found = pruners.unreached(Attends(**widths), method)
    assert list(found) == [f"attention.{part}" for part in parts] + ["attention.out_proj.weight"]
    assert all("MultiheadAttention" in one.reason for one in found.values())


@pytest.mark.parametrize("method", ["svd", "magnitude"])
def test_all_matrices_are_reached_or_named(method):
    """What is reached and what is named are together all the matrices of an encoder, none of them twice."""
    network = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
    named = set(pruners.unreached(network, method))
    if method == "svd":
        reached = {f"{n}.weight" for n in pruners.compressible(network)}
    else:
        reached = {layer.parameter for layer in pruners.prunable(network).values()}
    assert not named & reached
    assert named | reached == {n for n, p in network.named_parameters() if p.dim() > 1}


def test_a_shared_weight_counts_once_and_inside_the_budget():
    network = nn.ModuleDict(
        {"embed": nn.Embedding(30, 10), "head": nn.Linear(10, 30, bias=False), "free": nn.Linear(20, 20)}
    )
    network["head"].weight = network["embed"].weight
    assert pruners.unreached(network, "alds") == pruners.unreached(network, "magnitude") == {}


def test_little_is_listed_but_not_warned_of():
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Linear(64, 64))
    assert pruners.unreached(network, "svd")["0.weight"].weights == 18
    pruners.compress(network, "svd", keep_ratio=0.5)


def test_the_warning_names_the_largest_and_counts_the_rest():
    network = nn.Sequential(*(nn.Conv1d(4, width, 3) for width in (2, 9, 5, 7)), nn.Linear(16, 10))
    with pytest.warns(
        pruners.UnreachedWarning,
        match=r"leaves 58\.\d % .*'1\.weight' .*'3\.weight' .*'2\.weight' .* and 1 more",
    ) as told:
        pruners.compress(network, "svd", keep_ratio=0.9)
    assert told[0].filename == __file__


def test_shapes_alone_will_do():
    with torch.device("meta"):
        assert list(pruners.unreached(beside(nn.Conv1d(4, 6, 3)))) == ["0.weight"]


def test_a_network_without_shapes_is_refused():
    with pytest.raises(
        pruners.PrunerError, match=r"'1' .LazyLinear. has no weights before it has seen an input"
    ):
        pruners.unreached(nn.Sequential(nn.ReLU(), nn.LazyLinear(3)))


def test_an_unknown_method():
    with pytest.raises(pruners.UnknownMethod, match="magnitude"):
        pruners.unreached(nn.Linear(2, 2), "magnitud")
