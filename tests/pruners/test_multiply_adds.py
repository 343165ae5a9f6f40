"""Multiply-adds by hand for every kind of layer, under masks and budgets too."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import pruners


class Attention(nn.Module):
    """Scaled dot-product attention of 2 examples, 4 heads, 5 queries, 7 keys of 8 and values of 6 features.

    Or as einsum.
    """

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, seed):
        query, key, value = (seed.new_ones(2, 4, *size) for size in ((5, 8), (7, 8), (7, 6)))
        if self.form == "sdpa":
            return functional.scaled_dot_product_attention(query, key, value)
        weights = torch.einsum("nhqe,nhke->nhqk", query, key).softmax(-1)
        return weights @ value if self.form == "matmul" else torch.einsum("nhqk,nhkv->nhqv", weights, value)


class MHA(nn.Module):
    """nn.MultiheadAttention of 16 features in 4 heads on (2, 5, 16), with other keys or without, with weights
    or without.
    """

    def __init__(self, *, cross=False, weights=False, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True, **options)
        self.cross, self.weights = cross, weights

    def forward(self, tokens):
        keys = torch.cat([tokens, tokens], 1)[:, :7] if self.cross else tokens
        return self.attention(tokens, keys, keys, need_weights=self.weights)[0]


class Sequence(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, sequence):
        return self.layer(sequence)[0]


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(3, 4, 5)

    def forward(self, features):
        return self.layer(features[:, :3], features[:, 3:])


class Vector(nn.Module):
    def forward(self, features):
        return torch.ones(3, 4) @ features[0] + features[0] @ features[0]


OF_ATTENTION = 2 * 4 * 5 * 7 * (8 + 6)
TOKENS = torch.ones(2, 5, 16)
# what it is: (network, example, multiply-adds)
BY_HAND = {
    "convolution": (nn.Conv2d(6, 9, 3), torch.ones(2, 6, 9, 8), 2 * 7 * 6 * 9 * 6 * 9),
    "groups, stride, padding": (
        nn.Conv2d(6, 9, 3, stride=2, padding=1, groups=3),
        torch.ones(2, 6, 9, 8),
        2 * 5 * 4 * 9 * 2 * 9,
    ),
    "dilation": (nn.Conv2d(6, 9, 3, dilation=2, bias=False), torch.ones(1, 6, 9, 8), 5 * 4 * 9 * 6 * 9),
    "depthwise, circular": (
        nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular", groups=6),
        torch.ones(1, 6, 9, 8),
        72 * 6 * 9,
    ),
    "one dimension": (nn.Conv1d(4, 6, 5), torch.ones(3, 4, 10), 3 * 6 * 6 * 4 * 5),
    "three dimensions": (nn.Conv3d(2, 3, 2), torch.ones(1, 2, 4, 5, 6), 3 * 4 * 5 * 3 * 2 * 8),
    "transposed": (
        nn.ConvTranspose2d(6, 9, 3, stride=2, groups=3),
        torch.ones(2, 6, 5, 4),
        2 * 5 * 4 * 6 * 3 * 9,
    ),
    "without a batch": (nn.Conv2d(6, 9, 3), torch.ones(6, 9, 8), 7 * 6 * 9 * 6 * 9),
    "linear": (nn.Linear(8, 12), torch.ones(3, 8), 3 * 8 * 12),
    "linear on tokens": (nn.Linear(8, 12), torch.ones(3, 5, 8), 3 * 5 * 8 * 12),
    "linear on a vector": (nn.Linear(8, 12, bias=False), torch.ones(8), 8 * 12),
    "vectors": (Vector(), torch.ones(1, 4), 3 * 4 + 4),
    "bilinear": (TwoInputs(), torch.ones(6, 7), 6 * 3 * 4 * 5),
    "fused attention": (Attention("sdpa"), torch.ones(1), OF_ATTENTION),
    "attention as products": (Attention("matmul"), torch.ones(1), OF_ATTENTION),
    "attention as einsum": (Attention("einsum"), torch.ones(1), OF_ATTENTION),
    "multi-head": (MHA(), TOKENS, 2 * (5 * 4 * 16 * 16 + 2 * 5 * 5 * 16)),
    "multi-head, weights": (MHA(weights=True), TOKENS, 2 * (5 * 4 * 16 * 16 + 2 * 5 * 5 * 16)),
    "multi-head, other keys": (MHA(cross=True), TOKENS, 2 * (2 * 5 * 256 + 2 * 7 * 256 + 2 * 5 * 7 * 16)),
    "multi-head, own projections": (
        MHA(cross=True, kdim=16, vdim=16),
        TOKENS,
        2 * (2 * 5 * 256 + 2 * 7 * 256 + 2 * 5 * 7 * 16),
    ),
    "encoder layer": (
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        TOKENS,
        2 * (5 * (1024 + 2 * 512) + 2 * 5 * 5 * 16),
    ),
    "LSTM": (
        Sequence(nn.LSTM(6, 8, num_layers=2)),
        torch.ones(5, 3, 6),
        5 * 3 * 4 * (6 * 8 + 8 * 8 + 2 * 8 * 8),
    ),
    "GRU": (Sequence(nn.GRU(6, 8, bidirectional=True)), torch.ones(5, 3, 6), 5 * 3 * 2 * 3 * (6 * 8 + 8 * 8)),
    "recurrent": (Sequence(nn.RNN(6, 8, batch_first=True)), torch.ones(3, 5, 6), 5 * 3 * (6 * 8 + 8 * 8)),
    "nothing": (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)), torch.ones(2, 4), 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name):
    network, example, expected = BY_HAND[name]
    assert pruners.cost(network.eval(), example).multiply_adds == expected
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_network_as_defined_is_counted_whatever_is_wrapped_around_it():
    network, example, expected = BY_HAND["encoder layer"]
    for wrapped in (torch.compile(network, backend="eager"), nn.DataParallel(network)):
        assert pruners.cost(wrapped.eval(), example).multiply_adds == expected
    inside = nn.Sequential(torch.compile(network, backend="eager"), nn.Linear(16, 3))
    assert pruners.cost(inside.eval(), example).multiply_adds == expected + 2 * 5 * 16 * 3


class Shared(nn.Module):
    """Weights in every way that a network uses one.

    Whole, in part, as a view, as a copy, times a factor, twice.
    """

    def __init__(self):
        super().__init__()
        self.whole, self.part, self.copy, self.twice = (nn.Linear(8, 8, bias=False) for _ in range(4))

    def forward(self, features):
        features = functional.linear(features, self.whole.weight)
        features = torch.cat([functional.linear(features, w) for w in self.part.weight.chunk(2)], -1)
        features = features @ self.copy.weight.to(torch.float64).float().div(2.0)
        return self.twice(torch.einsum("ni,oi->no", features, self.twice.weight))


def kept_at_random(network):
    """The mask of half of the weights, and how many each layer keeps."""
    mask = pruners.compress(network, "random", keep_ratio=0.5)
    return mask, {name.removesuffix(".weight"): int(kept.sum()) for name, kept in mask.masks.items()}


def test_a_removed_weight_is_followed_wherever_it_is_used():
    network, example = Shared(), torch.ones(3, 8)
    mask, kept = kept_at_random(network)
    assert pruners.cost(network, example).multiply_adds == 3 * 5 * 64
    assert pruners.cost(mask, example).multiply_adds == 3 * (
        kept["whole"] + kept["part"] + kept["copy"] + 2 * kept["twice"]
    )


@pytest.mark.parametrize("cross", [False, True])
def test_removed_weights_of_attention_are_not_multiplied(cross):
    network = MHA(cross=cross)
    mask, kept = kept_at_random(network)
    expected = BY_HAND["multi-head, other keys" if cross else "multi-head"][2]
    if "attention.in_proj_weight" in mask.masks:
        queries, *others = mask.masks["attention.in_proj_weight"].chunk(3)
        removed = 5 * int((~queries).sum()) + (7 if cross else 5) * sum(int((~part).sum()) for part in others)
    else:
        removed = 0
    removed += 5 * (256 - kept["attention.out_proj"])
    assert pruners.cost(mask, TOKENS).multiply_adds == expected - 2 * removed


def test_masked_transformers_cost_no_less_than_nothing_and_no_more_than_dense():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
    network = nn.Sequential(nn.Linear(8, 32), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    example = torch.randn(1, 5, 8)
    dense = pruners.cost(network, example).multiply_adds
    assert dense == 5 * (8 * 32 + 2 * (4 * 32 * 32 + 2 * 32 * 64)) + 2 * 2 * 5 * 5 * 32
    for keep_ratio in (0.1, 0.5, 1.0):
        assert (
            0
            <= pruners.cost(pruners.compress(network, "random", keep_ratio=keep_ratio), example).multiply_adds
            <= dense
        )


def test_a_mask_is_followed_under_autocast():
    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, features):
            with torch.autocast("cpu", torch.bfloat16):
                return self.layer(features)

    mask = pruners.compress(Cast(), "random", budget=20)
    assert pruners.cost(mask.apply(Cast()), torch.ones(3, 8), mask=mask).multiply_adds == 3 * 20


class Rearranged(nn.Module):
    """Weights whose elements come to lie elsewhere before they are multiplied."""

    def __init__(self, rearranged):
        super().__init__()
        self.left, self.right, self.rearranged = nn.Linear(8, 8), nn.Linear(8, 8), rearranged

    def forward(self, features):
        return features @ self.rearranged(self.left.weight, self.right.weight)


@pytest.mark.parametrize(
    "rearranged, columns",
    [
        (lambda left, right: torch.cat([left, right], 1), 16),
        (lambda left, right: torch.cat([torch.ones(8, 2), left.T, right.flip(0)], 1), 18),
        (lambda left, right: torch.stack([left, right], 2).flatten(1), 16),
        (lambda left, right: torch.cat([left.roll(3, 0), torch.rot90(right)], 1), 16),
        (
            lambda left, right: torch.cat([left[[3, 1, 0, 2, 4, 7, 6, 5]], functional.pad(right, (0, 1))], 1),
            17,
        ),
        (
            lambda left, right: torch.cat(
                [left.index_select(1, torch.arange(7, -1, -1)), right.repeat(1, 1)], 1
            ),
            16,
        ),
    ],
)
def test_removed_weights_are_followed_to_where_they_come_to_lie(rearranged, columns):
    network, example = Rearranged(rearranged), torch.ones(3, 8)
    mask, kept = kept_at_random(network)
    assert pruners.cost(network, example).multiply_adds == 3 * 8 * columns
    removed = 128 - sum(kept.values())
    assert removed and pruners.cost(mask, example).multiply_adds == 3 * (8 * columns - removed)
    assert pruners.NetworkShape(network, example).total("multiply_adds") == 3 * 128


class Computed(nn.Linear):
    """A weight that is standardised at every call: none of its zeros is a zero in the product."""

    def forward(self, features):
        return functional.linear(features, self.weight - self.weight.mean(1, keepdim=True), self.bias)


def test_what_cannot_be_followed_counts_as_kept():
    network, example = nn.Sequential(Computed(8, 8)), torch.ones(3, 8)
    assert pruners.cost(pruners.compress(network, "random", keep_ratio=0.5), example).multiply_adds == 3 * 64


def test_two_masked_weights_of_one_product_are_not_removed_twice():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, features):
            return features @ (self.left.weight @ self.right.weight)

    network = Product()
    for keep_ratio in (0.2, 0.5, 0.7):
        mask = pruners.compress(network, "random", keep_ratio=keep_ratio)
        assert 36 <= pruners.cost(mask, torch.ones(1, 6)).multiply_adds <= 36 + 216


def test_budgets_count_layers_that_nobody_calls():
    network, example = Shared(), torch.ones(3, 8)
    shape = pruners.NetworkShape(network, example)
    positions = {"whole": 3, "part": 3, "copy": 3, "twice": 6}
    assert shape.total("multiply_adds") == sum(
        number * shape.layers[name].params for name, number in positions.items()
    )
    # but a factor of a weight is no cheaper for whoever multiplies by the whole one
    called = {name: shape.unit_cost(name, "multiply_adds") for name in shape.layers}
    assert called == {"whole": 0, "part": 0, "copy": 0, "twice": 3}


def test_one_example_of_a_network_that_takes_no_batch_of_one():
    network = nn.Sequential(
        nn.Linear(8, 16),
        nn.BatchNorm1d(16, track_running_stats=False),
        nn.ReLU(),
        WeightsAlone(16),
        nn.Linear(16, 4),
    )
    one = pruners.cost(network, torch.ones(1, 8))
    assert one.multiply_adds == 8 * 16 + 16 * 16 + 16**3 + 16 * 4
    mask = pruners.compress(network, "magnitude", keep_ratio=0.5, exclude=["3.*"])
    assert pruners.cost(mask, torch.ones(1, 8)).multiply_adds == mask.params + 16 * 16 + 16**3
    assert pruners.NetworkShape(network, torch.ones(1, 8)).unit_cost("4", "multiply_adds") == 1
    assert (
        pruners.compress(network, "alds", flops_ratio=0.985, example=torch.ones(1, 8)).plan.unit
        == "multiply_adds"
    )
    assert pruners.cost(network, torch.ones(5, 8)).multiply_adds == 5 * (8 * 16 + 16 * 16 + 16 * 4) + 16**3


class WeightsAlone(nn.Module):
    """A square product of weights alone, which needs no example, then of it and the features."""

    def __init__(self, size):
        super().__init__()
        self.a, self.b = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, features):
        return features @ (self.a.weight @ self.b.weight)


class Reader(nn.Module):
    """A parent that reads the weights of its children, and calls none."""

    def __init__(self):
        super().__init__()
        self.linear, self.convolution = nn.Linear(8, 12), nn.Conv2d(12, 12, 3, groups=2)

    def forward(self, features):
        maps = (
            functional.linear(features, self.linear.weight, self.linear.bias)
            .unflatten(1, (12, 1, 1))
            .expand(-1, -1, 3, 3)
        )
        return functional.conv2d(maps, self.convolution.weight, self.convolution.bias, groups=2)


@pytest.mark.parametrize("pin", [{"rank": 2, "num_subspaces": 2}, {"rank": 1, "num_subspaces": 1}])
def test_a_parent_that_reads_a_decomposed_weight_multiplies_as_often_as_before(pin):
    network, example = Reader(), torch.ones(3, 8)
    artifact = pruners.compress(
        network, "alds", keep_ratio=1.0, layers=dict.fromkeys(("linear", "convolution"), pin)
    )
    assert len(artifact.layers) == 2
    dense = pruners.cost(network, example).multiply_adds
    assert pruners.cost(artifact, example).multiply_adds == dense == 3 * (8 * 12 + 12 * 6 * 9)
