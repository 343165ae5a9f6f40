"""GraSP against w * (H g) with the full Hessian, in every preset.

Graphs kept or built again; the network left as it was.
"""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

import pruners
from pruners.sparse.methods.grasp import GraSP
from tests.pruners.scoring import close, scored, tiny_data, tiny_network, weights_of

FIXED = {"reinit_linear": False}


def by_full_hessian(network, chunks, bn, temperature=200.0):
    """w * (H g) by layer, H the Hessian of all prunable weights as one matrix, from the losses of the chunks
    summed.
    """
    network = copy.deepcopy(network).train(bn == "train")
    weights = {name: weight.detach() for name, weight in weights_of(network).items()}
    sizes, shapes = [w.numel() for w in weights.values()], [w.shape for w in weights.values()]
    flat = torch.cat([w.flatten() for w in weights.values()])

    def loss(vector):
        parts = {n: p.view(s) for n, p, s in zip(weights, vector.split(sizes), shapes, strict=True)}
        return sum(
            cross_entropy(functional_call(network, parts, inputs) / temperature, labels)
            for inputs, labels in chunks
        )

    hessian = torch.autograd.functional.hessian(loss, flat)
    torch.testing.assert_close(hessian, hessian.T, rtol=1e-8, atol=1e-12)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    scores = flat * (hessian @ gradient)
    return {n: p.view(s) for n, p, s in zip(weights, scores.split(sizes), shapes, strict=True)}


def halves(inputs, labels):
    middle = len(inputs) // 2
    return [(inputs[:middle], labels[:middle]), (inputs[middle:], labels[middle:])]


@pytest.mark.parametrize("samples", [6, 7])
@pytest.mark.parametrize("keep_graphs", [True, False, "auto"])
def test_official_against_the_full_hessian(samples, keep_graphs):
    network, batch = tiny_network(), tiny_data(samples)
    scores = scored(GraSP(), network, data=[batch], loss=cross_entropy, keep_graphs=keep_graphs, **FIXED)
    close(scores, by_full_hessian(network, halves(*batch), "train"))


@pytest.mark.parametrize("temperature", [1.0, 200])
def test_one_batch_against_the_full_hessian(temperature):
    network, batch = tiny_network(), tiny_data()
    scores = scored(
        GraSP(), network, data=[batch], loss=cross_entropy, preset="one-batch", temperature=temperature
    )
    close(scores, by_full_hessian(network, [batch], "eval", temperature))


def test_abs_is_official_without_the_sign():
    network, data = tiny_network(), [tiny_data()]
    official, absolute = (
        scored(GraSP(), network, data=data, loss=cross_entropy, preset=preset)
        for preset in ("official", "abs")
    )
    close(absolute, {name: score.abs() for name, score in official.items()})
    assert any((score < 0).any() for score in official.values())


def test_the_sign_by_hand():
    """L = (w x - t)^2.

    g = 2 x (w x - t) and H = 2 x^2, so a weight beyond its target, which descent shrinks, has a positive
    score.
    """
    network = nn.Linear(1, 1, bias=False).double()
    one = torch.ones(1, 1, dtype=torch.float64)
    for weight, target, expected in ((3.0, 1.0, 3 * 2 * 4.0), (3.0, 5.0, 3 * 2 * -4.0)):
        network.weight.data = weight * one
        scores = scored(
            GraSP(), network, data=[(one, target * one)], loss=mse_loss, preset="one-batch", temperature=1.0
        )
        assert scores["weight"].item() == expected


def test_data_are_joined_before_they_are_halved():
    network, (inputs, labels) = tiny_network(), tiny_data()
    apart = [(inputs[:1], labels[:1]), (inputs[1:5], labels[1:5]), (inputs[5:], labels[5:])]
    together = scored(GraSP(), network, data=[(inputs, labels)], loss=cross_entropy)
    close(scored(GraSP(), network, data=apart, loss=cross_entropy), together)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("preset", ["official", "one-batch"])
def test_graphs_kept_or_built_again_give_the_same_bits(preset, dtype):
    network, (inputs, labels) = tiny_network().to(dtype), tiny_data(9)
    data = [(inputs.to(dtype), labels)]
    kept, again, auto = (
        scored(GraSP(), network, data=data, loss=cross_entropy, preset=preset, keep_graphs=keep)
        for keep in (True, False, "auto")
    )
    for name in kept:
        assert kept[name].dtype == dtype
        assert torch.equal(kept[name], again[name])
        assert torch.equal(kept[name], auto[name])


def test_linear_weights_are_drawn_anew_while_scoring_only():
    network, data = tiny_network(), [tiny_data()]
    before = copy.deepcopy(network.state_dict())
    first, same, other = (
        scored(GraSP(), network, data=data, loss=cross_entropy, seed=seed) for seed in (1, 1, 2)
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(
        torch.equal(first[name], same[name]) and not torch.equal(first[name], other[name]) for name in first
    )

    generator = torch.Generator().manual_seed(1)
    for module in network:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, generator=generator)
    close(first, scored(GraSP(), network, data=data, loss=cross_entropy, **FIXED))


def test_removed_weights_stay_removed_where_weights_are_drawn_anew():
    network, data = tiny_network(), [tiny_data()]
    with torch.no_grad():
        network[7].weight[2:, ::2] = 0
    scores = scored(GraSP(), network, data=data, loss=cross_entropy)
    assert not scores["7.weight"][2:, ::2].any()
    assert scores["7.weight"][:2].all()


def test_presets_are_written_out():
    settings = {
        preset: GraSP().with_defaults({"preset": preset}) for preset in ("official", "one-batch", "abs")
    }
    assert [(s["bn"], s["reinit_linear"]) for s in settings.values()] == [
        ("train", True),
        ("eval", False),
        ("train", True),
    ]
    assert GraSP().with_defaults({"preset": "one-batch", "bn": "train"})["bn"] == "train"
    assert (
        pruners.compress(
            tiny_network(), "grasp", keep_ratio=0.5, data=[tiny_data()], loss=cross_entropy
        ).options["bn"]
        == "train"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "offical"}, "preset 'offical' is unknown; did you mean 'official'"),
        ({"temperature": 0}, "temperature must be a positive number, not 0"),
        ({"keep_graphs": "always"}, "keep_graphs must be true, false or 'auto', not 'always'"),
        ({"reinit_linear": "no"}, "reinit_linear must be true or false, not 'no'"),
        ({"bn": "both"}, "bn 'both' is unknown; known are train, eval"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(pruners.PrunerError, match=message):
        scored(GraSP(), tiny_network(), data=[tiny_data()], loss=cross_entropy, **options)


def test_one_sample_has_no_halves():
    with pytest.raises(pruners.PrunerError, match="needs at least 2"):
        scored(GraSP(), tiny_network(), data=[tiny_data(1)], loss=cross_entropy)


class Named(nn.Module):
    """A network whose output is a dictionary, as segmentation networks' are."""

    def __init__(self):
        super().__init__()
        self.network = tiny_network()

    def forward(self, features):
        return {"out": self.network(features)}


@pytest.mark.parametrize("method, options", [("grasp", {}), ("mlprune", {"labels": "sampled"})])
def test_an_output_of_another_form_is_named_where_the_method_computes_with_it(method, options):
    def loss(outputs, labels):
        return cross_entropy(outputs["out"], labels)

    said = {"grasp": "must be one tensor, not a dict", "mlprune": "needs class scores .* labels='empirical'"}
    with pytest.raises(pruners.PrunerError, match=said[method]):
        pruners.compress(Named(), method, keep_ratio=0.5, data=[tiny_data()], loss=loss, **options)
    if method == "mlprune":
        pruners.compress(Named(), method, keep_ratio=0.5, data=[tiny_data()], loss=loss, labels="empirical")
