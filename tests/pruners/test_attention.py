"""Methods on attention.

Second derivatives against full Hessians of attention written out, packed projections, tied embeddings.
"""

import copy
import math

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

import pruners
from pruners.sparse.methods.grasp import GraSP
from pruners.sparse.methods.obd import OBD
from tests.pruners.attention_networks import (
    DECODER_WEIGHTS,
    TOKENS,
    WIDTH,
    Attended,
    ByHand,
    Crossed,
    Decoder,
    Encoded,
    sentences,
    sequences,
)
from tests.pruners.scoring import close, scored, weights_of

METHODS = pytest.mark.parametrize("method", [n for n, m in pruners.methods().items() if m.kind == "mask"])
# an embedding, or a place's own weights, are out of every mask's reach
pytestmark = pytest.mark.filterwarnings("ignore:.* outside its budget:pruners.PrunerWarning")
FUSED = {
    "by hand": ByHand,
    "packed": Attended,
    "crossed": Crossed,
    "separate": lambda fused: Crossed(fused, kdim=3),
    "encoder": Encoded,
}
PACKED, SEPARATE = {"attention.in_proj_weight"}, {f"attention.{part}_proj_weight" for part in "qkv"}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def twins(make):
    """A network on fused kernels and the same one with attention written out, in float64."""
    torch.manual_seed(8)
    fused, plain = make(fused=True).double(), make(fused=False).double()
    plain.load_state_dict(fused.state_dict())
    return fused, plain


def curvature(network, batch):
    """The flat weights, and gradient and Hessian in all of them, by autograd on the network as it is."""
    weights = {name: weight.detach() for name, weight in weights_of(network).items()}
    sizes, flat = [w.numel() for w in weights.values()], torch.cat([w.flatten() for w in weights.values()])

    def loss(vector):
        parts = {n: p.view_as(w) for (n, w), p in zip(weights.items(), vector.split(sizes), strict=True)}
        return cross_entropy(functional_call(network, parts, batch[:1]), batch[1])

    hessian = torch.autograd.functional.hessian(loss, flat)
    return flat, torch.autograd.functional.jacobian(loss, flat), hessian


def by_layer(network, flat):
    weights = weights_of(network)
    return {
        n: p.view_as(w)
        for (n, w), p in zip(weights.items(), flat.split([w.numel() for w in weights.values()]), strict=True)
    }


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("make", FUSED.values(), ids=FUSED)
def test_second_derivatives_of_attention_against_the_full_hessian(make, train):
    fused, plain = twins(make)
    batch = sequences(3 if make is ByHand else WIDTH)
    flat, gradient, hessian = curvature(plain.eval(), batch)
    fused.train(train)
    grasp = scored(GraSP(), fused, data=[batch], loss=cross_entropy, preset="one-batch", temperature=1.0)
    close(grasp, by_layer(plain, flat * (hessian @ gradient)), rtol=1e-8)
    obd = scored(OBD(), fused, data=[batch], loss=cross_entropy, diagonal="hutchinson", probes=1, seed=4)
    generator = torch.Generator().manual_seed(4)
    signs = (
        torch.cat(
            [torch.randint(0, 2, w.shape, generator=generator).flatten() for w in weights_of(fused).values()]
        )
        * 2.0
        - 1
    )
    close(obd, by_layer(plain, flat**2 * signs * (hessian @ signs.double()) / 2), rtol=1e-8)


@pytest.mark.parametrize("inplace", [False, True])
def test_second_derivatives_of_the_hard_sigmoid_against_the_full_hessian(inplace):
    torch.manual_seed(2)
    parts = [nn.Linear(4, 5), nn.Hardsigmoid(inplace=inplace), nn.Tanh(), nn.Linear(5, 3)]
    network = nn.Sequential(*parts).double()
    plain = nn.Sequential(parts[0], Hard(), *parts[2:]).double()
    inputs, labels = sequences(samples=9)
    batch = 3 * inputs[:, 0], labels
    assert 0 < (parts[0](batch[0]).abs() > 3).sum() < 45
    flat, gradient, hessian = curvature(plain, batch)
    grasp = scored(GraSP(), network, data=[batch], loss=cross_entropy, preset="one-batch", temperature=1.0)
    close(grasp, by_layer(plain, flat * (hessian @ gradient)), rtol=1e-8)


class Hard(nn.Module):
    def forward(self, x):
        return (x / 6 + 0.5).clamp(0, 1)


class ForcedFlash(ByHand):
    """Attention that insists on a kernel without a second derivative."""

    def forward(self, x):
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return super().forward(x)


@pytest.mark.parametrize(("method", "options"), [("grasp", {}), ("obd", {"diagonal": "hutchinson"})])
def test_what_cannot_be_differentiated_twice_is_said(method, options):
    inputs, labels = sequences(3)
    with pytest.raises(
        pruners.PrunerError, match=r"differentiates the network twice, .*: derivative for .* such as snip"
    ):
        pruners.compress(
            ForcedFlash(),
            method,
            keep_ratio=0.5,
            data=[(inputs.float(), labels)],
            loss=cross_entropy,
            **options,
        )


@METHODS
@pytest.mark.parametrize("first", ["encoder", "head"])
def test_every_method_prunes_a_tied_decoder(method, first, tmp_path):
    network, given = Decoder(first), sentences()
    mask = pruners.compress(network, method, keep_ratio=0.4, **given)
    assert mask.params == math.ceil(0.4 * DECODER_WEIGHTS)
    assert mask.masks.keys() == {"attention.in_proj_weight", "attention.out_proj.weight", "head.weight"}
    assert mask.prunable["attention.in_proj_weight"] == pruners.PrunableLayer(
        "attention.in_proj_weight", (3 * WIDTH, WIDTH), "linear"
    )
    assert mask.prunable["head"] == pruners.PrunableLayer("head.weight", (TOKENS, WIDTH), "output")
    mask.save(tmp_path)
    small = pruners.load(tmp_path).apply(network)
    assert small.encoder.weight is small.head.weight
    for name, kept in mask.masks.items():
        expected = network.get_parameter(name).masked_fill(~kept, 0)
        assert torch.equal(small.get_parameter(name), expected)
    scores = pruners.scores(network, method, **given)
    assert all(score.any() for score in scores.values())


@METHODS
@pytest.mark.parametrize("kdim", [None, 3])
def test_packed_and_separate_projections_have_densities_of_their_own(method, kdim):
    torch.manual_seed(1)
    network, (inputs, labels) = Crossed(kdim=kdim), sequences()
    given = {"data": [(inputs.float(), labels)], "loss": cross_entropy, "example": inputs[:1].float()}
    projections = PACKED if kdim is None else SEPARATE
    shares = {"linear": 0.5, "attention.out_proj": 0.25} | {sorted(projections)[0]: 1.0}
    mask = pruners.compress(
        network,
        method,
        keep_ratio=0.25,
        exclude=["memory"],
        layer_keep_ratio=shares,
        min_layer_keep=1,
        **given,
    )
    assert mask.layers.keys() == projections | {"attention.out_proj", "head"}
    for name, layer in mask.layers.items():
        share = shares.get(name, 0.25 if name == "head" else 0.5)
        assert layer.params == math.ceil(share * layer.dense_params)
    for name in projections:
        without = pruners.compress(network, method, keep_ratio=0.5, exclude=[name], min_layer_keep=1, **given)
        assert without.layers.keys() == mask.layers.keys() - {name} | {"memory"}


def test_the_hint_for_an_attention_names_its_projection():
    with pytest.raises(
        pruners.UnknownLayer,
        match=r"no prunable layer 'attention\.in_projweight'; did you mean 'attention\.in_proj_weight'\?",
    ):
        pruners.compress(Attended(), "magnitude", keep_ratio=0.5, exclude=["attention.in_projweight"])
    assert pruners.prunable(nn.MultiheadAttention(4, 2)).keys() == {"in_proj_weight", "out_proj"}


class Projection(nn.MultiheadAttention):
    """A subclass with names of its own."""


SUBCLASSES = {
    "subclass": (Projection(4, 2, bias=False), 4 * 16),
    "bias_k": (nn.MultiheadAttention(4, 2, add_bias_kv=True), 4 * 16),
}


@pytest.mark.parametrize(("attention", "weights"), SUBCLASSES.values(), ids=SUBCLASSES)
def test_other_attentions(attention, weights):
    mask = pruners.compress(attention, "magnitude", keep_ratio=0.5, allocation="erk", min_layer_keep=1)
    assert mask.params == weights // 2


@pytest.mark.parametrize(
    "make", [nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
)
def test_convolutions_of_every_kind_are_reached(make):
    network = nn.Sequential(make(2, 4, 2), nn.ReLU())
    assert pruners.prunable(network)["0"].params == network[0].weight.numel()
    assert pruners.compress(network, "random", keep_ratio=0.5).params == network[0].weight.numel() // 2


@pytest.mark.parametrize(
    "make", [Decoder, Encoded, lambda: Crossed(kdim=3)], ids=["decoder", "encoder", "separate"]
)
def test_reinitialised_attention_is_drawn_as_torch_does(make):
    network = make()
    if isinstance(network, Decoder):
        del network.place
        network.place = torch.zeros(5, WIDTH)
    first, again, other = (pruners.reinitialize(network, seed) for seed in (1, 1, 2))
    assert equal(first.state_dict(), again.state_dict())
    for name, layer in pruners.prunable(network).items():
        drawn = first.get_parameter(layer.parameter)
        assert not torch.equal(drawn, network.get_parameter(layer.parameter)), name
        assert not torch.equal(drawn, other.get_parameter(layer.parameter)), name
    attention = next(module for module in first.modules() if isinstance(module, nn.MultiheadAttention))
    # a constructor's last word: the attention's own, not its Linear's
    assert not attention.out_proj.bias.any() and not attention.in_proj_bias.any()


EXAMPLES = {"tokens": torch.int64, "short tokens": torch.int32, "bytes": torch.uint8}


class Bytes(nn.Module):
    """Whole numbers that the network itself makes floats of."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype, self.table, self.head = dtype, nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, x):
        if x.dtype != self.dtype:
            raise TypeError(f"not {self.dtype}")
        return self.head(self.table(x.long()).sum(1))


@pytest.mark.parametrize("dtype", EXAMPLES.values(), ids=EXAMPLES)
def test_synflow_takes_the_example_s_own_tokens(dtype):
    torch.manual_seed(0)
    network, tokens = Bytes(dtype), torch.tensor([[3, 5, 5], [1, 1, 1]]).to(dtype)
    scores = pruners.scores(network, "synflow", example=tokens)
    embedded = network.table.weight.detach().double().abs()[[3, 5, 5]].sum(0)
    close(scores, {"head.weight": network.head.weight.detach().double().abs() * embedded})
    assert pruners.compress(network, "synflow", keep_ratio=0.5, example=tokens).params == 9


def test_synflow_through_both_uses_of_a_tied_weight():
    """R = sum over tokens v of |w|_v . |w|_t for one token t.

    Every row gets |w_t|, the token's own the sum of all rows too.
    """

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
            self.head.weight = self.encoder.weight

        def forward(self, tokens):
            return self.head(self.encoder(tokens)[:, 0])

    network = Tied().double()
    w = network.head.weight.detach().abs()
    gradient = w[2].expand(4, 3).clone()
    gradient[2] += w.sum(0)
    close(pruners.scores(network, "synflow", example=torch.tensor([[2]])), {"head.weight": w * gradient})


class Whole(nn.Linear):
    def forward(self, x):
        return super().forward(x.float())


class Two(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


@pytest.mark.parametrize(
    ("network", "example", "message"),
    [
        (
            Whole(4, 3),
            torch.ones(1, 4),
            r"in float64; dtype='own' takes the network's own precision\. Torch says: .*dtype",
        ),
        (nn.Linear(4, 3), torch.ones(1, 4, dtype=torch.int64), "cannot run the network on one sample"),
        (Two(4, 3), torch.ones(1, 4), "must be one tensor, not a tuple"),
    ],
)
def test_synflow_says_what_it_cannot_run(network, example, message):
    with pytest.raises(pruners.PrunerError, match=message):
        pruners.compress(network, "synflow", keep_ratio=0.5, example=example)
    if isinstance(network, Whole):
        assert (
            pruners.compress(network, "synflow", keep_ratio=0.5, example=example, dtype="own").density == 0.5
        )


def test_masks_move_with_state_and_copies():
    network = Decoder()
    mask = pruners.compress(network, "random", keep_ratio=0.5, seed=1)
    small = mask.apply(network)
    with torch.no_grad():
        small.head.weight += mask.masks["head.weight"]
    captured = mask.capture(small).apply(Decoder("head"))
    assert equal(captured.state_dict(), copy.deepcopy(small).state_dict())
    assert equal(pruners.shuffle(mask, 3).masks, pruners.shuffle(mask, 3).masks)
    assert pruners.random_mask(mask, 3).layers == mask.layers
