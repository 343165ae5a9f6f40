"""A decomposed layer is still read as the layer that it stands for.

By parents, hooks, compilers and copies.
"""

import copy
from types import MethodType

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlockV2

import pruners

unreached_is_expected = pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")


class ReadsLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(24, 24), nn.Linear(24, 12)

    def forward(self, x):
        return functional.linear(self.a(x).relu(), self.b.weight, self.b.bias)


class ReadsTransposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(24, 24), nn.Linear(24, 24, bias=False)

    def forward(self, x):
        return self.b(x) @ self.b.weight.T + self.a.bias[: self.a.out_features]


class HoldsItsLayersInAList(nn.Module):
    """Layers that are called, and read, through a reference that is no module's child."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(24, 24), nn.Linear(24, 24)
        self.order = [self.b, self.a]

    def forward(self, x):
        for layer in self.order:
            x = layer(x) + x @ self.order[0].weight
        return x


class ReadsConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(8, 12, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1), groups=2)

    def forward(self, x):
        c = self.c
        return functional.conv2d(x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups)


def encoder(**options):
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, **options)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options), nn.Linear(32, 3))


def swin(**options):
    return SwinTransformer(
        [4, 4], 16, [2, 1], [2, 2], [4, 4], stochastic_depth_prob=0.0, num_classes=5, **options
    )


TOKENS, IMAGES = (2, 5, 32), (2, 8, 9, 10)
CASES = {
    "a Linear's weight and bias": (ReadsLinear, (3, 24)),
    "a transposed weight": (ReadsTransposed, (3, 24)),
    "layers in a list": (HoldsItsLayersInAList, (3, 24)),
    "a convolution's weight, stride and groups": (ReadsConvolution, IMAGES),
    "TransformerEncoderLayer": (encoder, TOKENS),
    "TransformerEncoderLayer, norm first": (lambda: encoder(norm_first=True), TOKENS),
    "Swin attention": (swin, (1, 3, 32, 32)),
    "Swin attention, version 2": (lambda: swin(block=SwinTransformerBlockV2), (1, 3, 32, 32)),
}


def compressed(make, **options):
    """A small network, and the dense one with the weights that its layers multiply out to."""
    torch.manual_seed(5)
    network = make()
    artifact = pruners.compress(network, "alds", keep_ratio=0.5, **options)
    small, expected = artifact.apply(network), copy.deepcopy(network)
    assert artifact.layers
    for name in artifact.layers:
        expected.get_submodule(name).weight.data = small.get_submodule(name).weight.detach().clone()
    return artifact, small, expected


@unreached_is_expected
@pytest.mark.parametrize("subspaces", [[1], [2]])
@pytest.mark.parametrize("make, shape", CASES.values(), ids=CASES.keys())
def test_a_parent_reads_the_product(make, shape, subspaces):
    _, small, expected = compressed(make, candidate_subspaces=subspaces)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for training in (True, False):
        with torch.set_grad_enabled(training):
            torch.testing.assert_close(
                small.train(training)(inputs), expected.train(training)(inputs), atol=1e-5, rtol=1e-4
            )


@unreached_is_expected
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_and_padding():
    _, small, expected = compressed(encoder)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    inputs = torch.randn(TOKENS)
    with torch.no_grad():
        fast = small[0].eval()(inputs, src_key_padding_mask=padding)
        slow = small[0].train()(inputs, src_key_padding_mask=padding)
        torch.testing.assert_close(
            fast, expected[0].eval()(inputs, src_key_padding_mask=padding), atol=1e-5, rtol=1e-4
        )
    # the fast path leaves zeros where the padding was
    torch.testing.assert_close(fast[~padding], slow[~padding], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make, shape", [(ReadsLinear, (3, 24)), (ReadsConvolution, IMAGES)])
@pytest.mark.parametrize("subspaces", [1, 2])
def test_gradients_reach_the_factors_through_the_weight(make, shape, subspaces):
    _, small, _ = compressed(lambda: make().double(), candidate_subspaces=[subspaces])
    inputs = torch.randn(shape, dtype=torch.float64)
    small(inputs).square().sum().backward()
    read = {name: p.grad.clone() for name, p in small.named_parameters()}
    small.zero_grad()
    (small.b(small.a(inputs).relu()) if make is ReadsLinear else small.c(inputs)).square().sum().backward()
    for name, p in small.named_parameters():
        torch.testing.assert_close(read[name], p.grad)


@unreached_is_expected
def test_compiled_copied_and_saved(tmp_path):
    artifact, small, _ = compressed(encoder)
    inputs = torch.randn(TOKENS)
    small.eval()
    with torch.no_grad():
        expected = small(inputs)
        torch.testing.assert_close(torch.compile(small, backend="eager")(inputs), expected)
        assert torch.equal(copy.deepcopy(small)(inputs), expected)
        artifact.capture(small).save(tmp_path)
        assert torch.equal(pruners.load(tmp_path).apply(encoder()).eval()(inputs), expected)


@unreached_is_expected
@pytest.mark.parametrize("method", [n for n, m in pruners.methods().items() if m.kind == "decomposition"])
@pytest.mark.parametrize(
    "make, shape, read",
    [(ReadsLinear, (3, 24), {"b"}), (encoder, TOKENS, set()), (swin, (1, 3, 32, 32), None)],
)
def test_a_budget_in_multiply_adds_counts_what_a_parent_multiplies(method, make, shape, read):
    """A weight that its parent multiplies by is no cheaper when decomposed: such a layer stays dense."""
    torch.manual_seed(5)
    network, example = make(), torch.randn(shape)
    dense, whole = pruners.cost(network, example).multiply_adds, pruners.NetworkShape(network, example)
    read = {n for n in whole.layers if n.endswith(("qkv", "proj"))} if read is None else read
    needed = {}
    if "data" in pruners.methods()[method].needs:  # what it never sees called, it cannot judge
        needed = {"data": [example], "exclude": [n for n in read if n in whole.layers]}
        if any(option.name == "error" for option in pruners.methods()[method].options):
            needed["error"] = "output"
    artifact = pruners.compress(network, method, flops_ratio=0.7, example=example, **needed)
    saved = dense - pruners.cost(artifact, example).multiply_adds
    assert (
        saved
        == whole.total("multiply_adds") - artifact.plan.cost
        >= whole.total("multiply_adds") - artifact.budget
        > 0
    )
    assert not read & artifact.layers.keys()
    assert {n for n in whole.layers if not whole.unit_cost(n, "multiply_adds")} == read


class KeepsAWeight(nn.Module):
    """A weight that its parent reads from a place of its own, in which no decomposition can replace it."""

    def __init__(self, keep):
        super().__init__()
        self.a, self.b = nn.Linear(24, 24), nn.Linear(24, 24)
        self.kept = keep(self.b.weight)

    def forward(self, x):
        weight = self.kept
        while not isinstance(weight, torch.Tensor):
            weight = next(iter(weight.values())) if isinstance(weight, dict) else weight[0]
        return functional.linear(self.a(x), weight)


@pytest.mark.parametrize(
    "keep", [lambda w: w, lambda w: [w], lambda w: {"of b": (w,)}], ids=["itself", "list", "dict"]
)
def test_a_weight_that_a_parent_keeps_stays_dense_and_is_named(keep):
    network = KeepsAWeight(keep)
    with pytest.warns(pruners.PrunerWarning, match="Layer 'b' shares its weight"):
        artifact = pruners.compress(network, "alds", keep_ratio=0.8)
    assert artifact.layers.keys() == {"a"}
    small, inputs = artifact.apply(network), torch.ones(2, 24)
    torch.testing.assert_close(small(inputs), functional.linear(small.a(inputs), network.b.weight))


def test_a_forward_set_on_the_layer_itself_stays_dense():
    def around(layer, inputs, weight, bias):
        return functional.conv2d(functional.pad(inputs, (1, 1, 1, 1), mode="circular"), weight, bias)

    network = nn.Sequential(nn.Conv2d(4, 16, 3), nn.Conv2d(16, 16, 3))
    network[0]._conv_forward = MethodType(around, network[0])
    with pytest.warns(pruners.UnreachedWarning, match=r"'0\.weight' .*Conv2d has a forward of its own"):
        artifact = pruners.compress(network, "svd", keep_ratio=0.5)
    assert artifact.layers.keys() == {"1"}
    assert artifact.apply(network)(torch.ones(1, 4, 6, 6)).shape == (1, 16, 4, 4)


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
@pytest.mark.parametrize("subspaces", [[1], [2]])
def test_scripted(subspaces):
    torch.manual_seed(5)
    network = nn.Sequential(nn.Conv2d(4, 16, 3, groups=2), nn.Flatten(), nn.Linear(16 * 16, 8))
    small = pruners.compress(network, "alds", keep_ratio=0.5, candidate_subspaces=subspaces).apply(network)
    inputs = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(torch.jit.script(small)(inputs), small(inputs))


def test_names_of_the_weights_are_those_of_two_layers_in_sequence():
    _, small, _ = compressed(ReadsLinear)
    assert set(small.b.state_dict()) == {"0.weight", "1.weight", "1.bias"}
    with pytest.raises(KeyError, match="already exists"):
        small.b.weight = nn.Parameter(torch.zeros(12, 24))


def test_attention_keeps_its_output_projection_and_says_so():
    network = nn.ModuleDict({"attention": nn.MultiheadAttention(32, 4), "head": nn.Linear(32, 32)})
    with pytest.warns(pruners.UnreachedWarning, match=r"attention\.out_proj\.weight"):
        small = pruners.compress(network, "svd", keep_ratio=0.5).apply(network)
    x = torch.randn(5, 2, 32)
    assert torch.equal(small["attention"](x, x, x)[0], network["attention"](x, x, x)[0])


def test_hooks_and_attributes_stay():
    network = nn.Sequential(nn.Linear(24, 24), nn.Conv2d(8, 8, 3))
    network[0].register_forward_hook(lambda module, args, output: 2 * output)
    network[0].register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0] + 1,), kwargs), with_kwargs=True
    )
    network[1].note = "first"
    small = pruners.compress(network, "svd", keep_ratio=0.5).apply(network)
    x = torch.randn(3, 24)
    torch.testing.assert_close(small[0](x), 2 * functional.linear(x + 1, small[0].weight, small[0].bias))
    assert small[1].note == "first" and small[1].transposed is False


class Initialized(nn.Linear):
    def reset_parameters(self):
        nn.init.orthogonal_(self.weight)
        nn.init.zeros_(self.bias)


class Named(nn.Conv2d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.role = "stem"


class Scaled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Callable(nn.Linear):
    def mean_weight(self):
        return self.weight.mean()


class Padded(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(functional.pad(x, (1, 1)), weight, bias)


class Gained(nn.Linear):
    def __init__(self, *args):
        super().__init__(*args)
        self.gain = nn.Parameter(torch.ones(1))


def test_subclasses_with_torchs_own_forward_are_decomposed():
    network = nn.ModuleDict(
        {"linear": Initialized(24, 24), "conv": Named(8, 8, 3), "plain": nn.Linear(24, 24)}
    )
    artifact = pruners.compress(network, "svd", keep_ratio=0.5)
    assert artifact.layers.keys() == network.keys()
    small = artifact.apply(network)
    assert small["conv"].role == "stem"
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(
        small["conv"](x), functional.conv2d(x, small["conv"].weight, small["conv"].bias)
    )


def test_subclasses_that_do_more_stay_dense():
    patched = nn.Linear(24, 24)
    patched.forward = lambda x: x
    layers = [Scaled(24, 24), Callable(24, 24), Padded(8, 8, 3), Gained(24, 24), patched]
    network = nn.Sequential(*layers, nn.Linear(24, 24))
    assert pruners.compressible(network).keys() == {"5"}
    found = pruners.unreached(network, "alds")
    assert list(found) == [f"{n}.weight" for n in range(5)]
    assert "mean_weight" in found["1.weight"].reason and "forward of its own" in found["2.weight"].reason


def test_factors_are_layers_to_a_second_compression():
    _, small, _ = compressed(ReadsLinear, candidate_subspaces=[1])
    again = pruners.compress(small, "svd", keep_ratio=0.7)
    assert {"b.0", "b.1"} <= pruners.compressible(small).keys() and again.layers
    smaller = again.apply(small)
    x = torch.randn(3, 24)
    torch.testing.assert_close(smaller(x), smaller.b(smaller.a(x).relu()), atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in small.parameters())


def test_the_blocks_of_an_earlier_decomposition_are_named():
    _, small, _ = compressed(ReadsLinear, candidate_subspaces=[2])
    with pytest.warns(pruners.UnreachedWarning, match=r"'b\.0\.weight' .*earlier decomposition"):
        pruners.compress(small, "svd", keep_ratio=0.9)
