"""Which channels go together: on networks where it is known, and on random ones that are run."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.testing.channels.networks import Chain, Concatenation, Grouped, Residual, images, made

EXAMPLE = images()


def groups_of(model, example=EXAMPLE, exclude=()):
    return {
        name: (group.channels, group.layers)
        for name, group in pruners.NetworkChannels(model, example, exclude).groups.items()
    }


def test_a_chain():
    assert groups_of(made(Chain)) == {"0": (8, ("0",)), "3": (6, ("3",)), "8": (7, ("8",))}


def test_a_flattened_channel_takes_all_its_positions():
    (place,) = (
        place
        for place in pruners.NetworkChannels(made(Chain), EXAMPLE).groups["3"].places
        if place.tensor == "8.weight"
    )
    assert place.dim == 1 and place.index.tolist() == [list(range(4 * i, 4 * i + 4)) for i in range(6)]


def test_sums_and_depthwise_convolutions_join():
    assert groups_of(made(Residual)) == {
        "stem": (6, ("stem", "first", "depthwise")),
        "second": (10, ("second", "projection")),
    }


def test_concatenated_channels_stay_apart():
    found = pruners.NetworkChannels(made(Concatenation), EXAMPLE).groups
    assert {name: group.channels for name, group in found.items()} == {"stem": 5, "conv1": 4, "conv2": 4}
    at = {(place.tensor, place.dim): place.index for place in found["conv1"].places}
    assert at["conv2.weight", 1].flatten().tolist() == [5, 6, 7, 8]
    assert at["output.weight", 1].flatten().tolist() == [5, 6, 7, 8]


def test_groups_of_convolutions():
    # few: 6 inputs and 4 outputs a group, both groups lose the same; many: 4 groups of 2 inputs go whole
    assert groups_of(made(Grouped)) == {
        "stem": (6, ("stem",)),
        "few": (2, ("few", "many")),
        "up": (6, ("up", "multiplied")),
    }


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(11, 8), nn.Linear(8, 5)
        self.back, self.output = nn.Linear(5, 8), nn.Linear(8, 11, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, tokens):
        return self.output(self.back(torch.relu(self.hidden(self.embedding(tokens)))))


def test_shared_weights_and_embeddings():
    tokens = torch.arange(11).view(1, 11)
    network = Tied()
    assert groups_of(network, tokens) == {"hidden": (5, ("hidden",)), "back": (8, ("back",))}
    artifact = pruners.compress(network, "ft", keep_ratio=0.5, example=tokens)
    small = artifact.apply(network)
    assert small.output.weight is small.embedding.weight
    assert small.embedding.embedding_dim == small.back.out_features == small.output.in_features < 8


class Normalised(nn.Module):
    """A hidden layer and an attention between LayerNorms, as transformers have them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        x = self.norm(self.first(x))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.last(x + self.down(torch.relu(self.up(x))))


@pytest.mark.filterwarnings("error")
def test_what_is_normalised_or_attended_to_stays():
    assert groups_of(Normalised(), torch.ones(1, 3, 6)) == {
        "attention.in_proj_weight": (2, ("attention.in_proj_weight",)),
        "up": (12, ("up",)),
    }


class TwiceCalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x):
        return self.last(torch.relu(self.twice(torch.relu(self.twice(self.stem(x))))))


def test_a_layer_called_twice():
    assert groups_of(TwiceCalled()) == {"stem": (6, ("stem", "twice"))}


class WithConstant(nn.Module):
    """A number of channels written into forward, and an addition of the input."""

    def __init__(self):
        super().__init__()
        self.stem, self.free, self.fixed = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1), nn.Conv2d(5, 8, 1)
        self.last = nn.Linear(8 * 36, 4)

    def forward(self, x):
        x = self.fixed(torch.relu(self.free(torch.relu(self.stem(x)))))
        return self.last(x.view(-1, 8 * 36))


def test_a_constant_in_forward_leaves_its_group_whole():
    with pytest.warns(pruners.PrunerWarning, match="'fixed' all stay"):
        assert groups_of(WithConstant()).keys() == {"stem", "free"}


class Even(nn.Module):
    """A forward that takes even numbers of channels only."""

    def __init__(self):
        super().__init__()
        self.free, self.even, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.even(torch.relu(self.free(x)))
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return self.last(torch.relu(x))


def test_a_choice_that_cannot_be_run_is_made_anew():
    network = Even()
    assert groups_of(network) == {"free": (6, ("free",)), "even": (8, ("even",))}
    with pytest.warns(pruners.PrunerWarning, match="'even' all stay"):
        # five of eight, were it not for the refusal
        artifact = pruners.compress(network, "ft", budget=52, example=EXAMPLE)
    assert artifact.layers["even"].channels == 8 and artifact.params <= 52
    artifact.apply(network)(EXAMPLE)


class ZeroPadded(nn.Module):
    """A shortcut padded with channels of zeros, as ResNet-20's option A."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.wide = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 8, 1)
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        x = self.wide(torch.relu(self.inner(x))) + nn.functional.pad(x, (0, 0, 0, 0, 2, 2))
        return self.last(x.mean((2, 3)))


def test_what_a_padded_shortcut_joins_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pruners.PrunerWarning)
        assert groups_of(ZeroPadded()) == {"inner": (6, ("inner",))}


class Auxiliary(nn.Module):
    """A second classifier that only training sees."""

    def __init__(self):
        super().__init__()
        self.stem, self.body, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1), nn.Linear(5, 4)
        self.extra = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        logits = self.last(torch.relu(self.body(x)).mean((2, 3)))
        return (logits, self.extra(x.mean((2, 3)))) if self.training else logits


def test_auxiliary_classifiers_lose_channels_too():
    network = Auxiliary()
    small = pruners.compress(network, "ft", keep_ratio=0.4, example=EXAMPLE).apply(network)
    assert small.extra.in_features == small.stem.out_channels < 6
    assert all(part.shape == (2, 4) for part in small.train()(images(2)))


def test_excluded_layers_keep_their_channels():
    assert groups_of(made(Residual), exclude=["projection"]).keys() == {"stem"}


def test_meta_tensors_will_do():
    with torch.device("meta"):
        network, example = Residual(), torch.empty(1, 3, 6, 6)
    assert groups_of(network, example) == groups_of(made(Residual))
    real = pruners.least_budget(made(Residual), method="ft", example=EXAMPLE)
    assert pruners.least_budget(network, method="ft", example=example) == real


STEPS = ["chain", "add", "concat", "depthwise"]


class Drawn(nn.Module):
    """A random network: each step reads what is there and adds to it, joins it, or takes its place."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.layers = steps, nn.ModuleList([nn.Conv2d(3, 6, 1)])
        width = 6
        for kind, channels in steps:
            out = width if kind in ("add", "depthwise") else channels
            groups = width if kind == "depthwise" else 1
            self.layers.append(
                nn.Sequential(nn.Conv2d(width, out, 3, padding=1, groups=groups), nn.BatchNorm2d(out))
            )
            width = width + out if kind == "concat" else out
        self.output = nn.Linear(width, 3)

    def forward(self, x):
        x = torch.relu(self.layers[0](x))
        for (kind, _), layer in zip(self.steps, self.layers[1:], strict=True):
            out = torch.relu(layer(x))
            x = x + out if kind == "add" else torch.cat([x, out], 1) if kind == "concat" else out
        return self.output(x.mean((2, 3)))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["chain", "add", "concat", "depthwise"]), st.integers(1, 7)), max_size=5
    ),
    st.sampled_from(["ft", "l1"]),
    st.sampled_from(["global", "uniform"]),
    st.floats(0.2, 0.95),
)
@pytest.mark.filterwarnings("error")
def test_random_networks(steps, method, allocation, ratio):
    torch.manual_seed(0)
    network = Drawn(steps).double().eval()
    example = EXAMPLE.double()
    least = pruners.least_budget(network, "flops_ratio", method=method, example=example)
    ratio = max(ratio, least)
    artifact = pruners.compress(network, method, flops_ratio=ratio, example=example, allocation=allocation)
    small, masked = artifact.apply(network), copy.deepcopy(network)
    parameters = dict(masked.named_parameters())
    for name, of_tensor in artifact.kept.items():
        for dim, index in of_tensor.items() if name in parameters else ():
            gone = sorted(set(range(parameters[name].shape[dim])) - set(index.tolist()))
            parameters[name].data.index_fill_(dim, torch.tensor(gone, dtype=torch.int64), 0)
    torch.testing.assert_close(small(example), masked(example), rtol=1e-9, atol=1e-9)
    dense, after = (pruners.cost(one, example).multiply_adds for one in (network, small))
    assert after <= ratio * dense * (1 + 1e-12)
