"""What every method that scores single weights must hold to.

A new one is tested here without another line.
"""

import copy
import math
from fractions import Fraction

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import pruners
from tests.pruners.odd_network import WEIGHTS, OddNetwork, best, given

METHODS = pytest.mark.parametrize("method", [n for n, m in pruners.methods().items() if m.kind == "mask"])
pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")


@pytest.fixture
def model():
    return OddNetwork()


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def signed(method):
    """Whether the method's own scores, with its defaults, are of both signs."""
    return any((score < 0).any() for score in pruners.scores(OddNetwork(), method, **given()).values())


@METHODS
def test_describes_itself(method):
    described = pruners.methods()[method]
    assert described.name == method
    assert described.title and described.paper
    assert set(described.needs) <= {"data", "loss", "example"}
    assert all(option.name and option.meaning for option in described.all_options)
    names = [option.name for option in described.all_options]
    assert len(names) == len(set(names))
    assert names[-len(pruners.SHARED_OPTIONS) :] == [option.name for option in pruners.SHARED_OPTIONS]


@METHODS
@pytest.mark.parametrize("ratio", [0.001, 0.013, 0.1, 1 / 3, 0.37, 0.5, 0.9999, 1.0])
def test_exactly_as_many_as_asked_for(method, model, ratio):
    mask = pruners.compress(model, method, keep_ratio=ratio, **given())
    assert (
        mask.params
        == math.ceil(Fraction(str(ratio)) * WEIGHTS)
        == sum(int(m.sum()) for m in mask.masks.values())
    )
    assert mask.density == mask.params / WEIGHTS
    removed = sum(int((p == 0).sum()) for n, p in mask.apply(model).named_parameters() if n in mask.masks)
    assert removed == WEIGHTS - mask.params


@METHODS
@pytest.mark.parametrize("allocation", ["global", "layerwise", "erk", "lamp", "measured"])
def test_exact_counts_in_every_allocation(method, model, allocation):
    if allocation == "lamp" and signed(method):
        with pytest.raises(pruners.PrunerError, match="have a sign"):
            pruners.compress(model, method, budget=123, allocation=allocation, **given())
        return
    rounds = 1 if allocation == "measured" else 3
    mask = pruners.compress(
        model, method, budget=123, allocation=allocation, rounds=rounds, min_layer_keep=1, **given()
    )
    assert mask.params == 123 and not mask.empty_layers


@METHODS
def test_same_seed_same_answer(method, model):
    first, second = (pruners.compress(model, method, keep_ratio=0.4, seed=3, **given()) for _ in range(2))
    assert equal(first.masks, second.masks)
    assert first.options == second.options
    assert equal(*(pruners.scores(model, method, seed=3, **given()) for _ in range(2)))


@METHODS
def test_model_is_untouched(method, model):
    model.output.weight.grad = torch.ones_like(model.output.weight)
    before, random = copy.deepcopy(model), torch.random.get_rng_state()
    with torch.no_grad():
        pruners.compress(model, method, keep_ratio=0.4, **given()).apply(model)
    pruners.scores(model, method, **given())
    assert torch.equal(random, torch.random.get_rng_state())
    assert str(before) == str(model)
    assert [m.training for m in before.modules()] == [m.training for m in model.modules()]
    assert equal(before.state_dict(), model.state_dict())
    assert [p.requires_grad for p in before.parameters()] == [p.requires_grad for p in model.parameters()]
    assert [n for n, p in model.named_parameters() if p.grad is not None] == ["output.weight"]
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    assert not model.pointwise.weight.requires_grad


@METHODS
def test_data_is_untouched(method, model):
    before, after = given(), given()
    pruners.compress(model, method, keep_ratio=0.4, **after)
    assert torch.equal(before["example"], after["example"])
    for (inputs, labels), (inputs_after, labels_after) in zip(before["data"], after["data"], strict=True):
        assert torch.equal(inputs, inputs_after) and torch.equal(labels, labels_after)
        assert inputs_after.grad is None and not inputs_after.requires_grad


@METHODS
def test_scores_are_of_every_prunable_weight(method, model):
    scores = pruners.scores(model, method, **given())
    assert {name: score.shape for name, score in scores.items()} == {
        layer.parameter: layer.shape for layer in pruners.prunable(model).values()
    }
    assert "second.weight" not in scores
    assert all(score.isfinite().all() and not score.requires_grad for score in scores.values())
    assert max(len(score.unique()) for score in scores.values()) > 100


@METHODS
@pytest.mark.parametrize("invert", [False, True])
def test_the_highest_scores_are_kept(method, model, invert):
    scores = pruners.scores(model, method, **given())
    mask = pruners.compress(model, method, budget=401, rounds=1, invert=invert, **given())
    assert equal(mask.masks, best(scores, 401, lowest=invert))


@METHODS
def test_going_on_from_a_mask(method, model):
    first = pruners.compress(model, "random", budget=500, seed=1)
    second = pruners.compress(model, method, keep_ratio=0.3, mask=first, **given())
    assert second.params == math.ceil(Fraction("0.3") * WEIGHTS)
    assert all((first.masks[name] | ~kept).all() for name, kept in second.masks.items())
    assert second.options["mask"]["method"] == "random"
    same = pruners.compress(model, method, budget=500, mask=first, **given())
    assert equal(same.masks, first.masks)


@METHODS
def test_removed_weights_are_zero_while_scoring(method, model):
    mask = pruners.compress(model, "random", budget=600, seed=1)
    scores = pruners.scores(model, method, mask=mask, **given())
    alone = pruners.scores(mask.apply(model), method, mask=mask, **given())
    for name, kept in mask.masks.items():
        assert torch.equal(scores[name][kept], alone[name][kept])


@METHODS
def test_double_precision(method, model):
    model.double()
    scores = pruners.scores(model, method, **given(torch.float64))
    assert {score.dtype for score in scores.values()} == {torch.float64}
    assert pruners.compress(model, method, budget=300, rounds=2, **given(torch.float64)).params == 300


@METHODS
def test_a_layer_alone(method):
    torch.manual_seed(0)
    inputs = {
        "data": [(torch.randn(9, 4), torch.arange(3).repeat_interleave(3))],
        "example": torch.ones(1, 4),
    }
    mask = pruners.compress(
        nn.Linear(4, 3), method, keep_ratio=0.5, loss=nn.functional.cross_entropy, **inputs
    )
    assert mask.params == 6 and mask.layers.keys() == {""} and mask.masks.keys() == {"weight"}


@METHODS
@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_kept_weights_are_refitted(method, refit, model, tmp_path):
    ask = {"budget": 300, "rounds": 1, **given()}
    mask = pruners.compress(model, method, refit=refit, **ask)
    assert equal(mask.masks, pruners.compress(model, method, **ask).masks)
    small = mask.apply(model)
    weights = dict(small.named_parameters())
    assert all((weights[name][~kept] == 0).all() for name, kept in mask.masks.items())
    assert mask.complete and mask.refit.kept == (mask.refit.divergence < mask.refit.divergence_without)
    mask.save(tmp_path)
    assert equal(pruners.load(tmp_path).apply(model).state_dict(), small.state_dict())


@METHODS
def test_emptied_layers_are_reported_by_name(method, model):
    with pytest.warns(pruners.PrunerWarning, match="min_layer_keep") as caught:
        mask = pruners.compress(model, method, budget=1, **given())
    assert len(mask.empty_layers) == len(mask.layers) - 1
    assert len(caught) == 1 and all(repr(name) in str(caught[0].message) for name in mask.empty_layers)
    assert caught[0].filename == __file__


@METHODS
@pytest.mark.filterwarnings("error::pruners.PrunerWarning")
def test_min_layer_keep_forbids_empty_layers(method, model):
    mask = pruners.compress(model, method, budget=20, min_layer_keep=2, **given())
    assert mask.params == 20
    assert {
        name: layer.params >= min(2, layer.dense_params) for name, layer in mask.layers.items()
    } == dict.fromkeys(mask.layers, True)


@METHODS
def test_excluded_layers_stay_dense(method, model):
    mask = pruners.compress(model, method, keep_ratio=0.25, exclude=["stem.0", "second"], **given())
    assert mask.params == math.ceil((WEIGHTS - 216 - 100) / 4)
    assert not {"stem.0.weight", "first.weight"} & mask.masks.keys()


@METHODS
def test_shares_of_single_layers(method, model):
    mask = pruners.compress(
        model, method, keep_ratio=0.5, layer_keep_ratio={"output": 0.21, "stem.0": 1.0}, **given()
    )
    assert mask.layers["output"].params == 7 and mask.layers["stem.0"].params == 216
    assert mask.params == 7 + 216 + math.ceil((WEIGHTS - 30 - 216) / 2)


@METHODS
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(method, model, bad):
    with torch.no_grad():
        model.grouped.weight[0, 0, 0, 0] = bad
    with pytest.raises(pruners.PrunerError, match=r"'grouped'.*not finite"):
        pruners.compress(model, method, keep_ratio=0.4, **given())
    with pytest.raises(pruners.PrunerError, match=r"'grouped'.*not finite"):
        pruners.scores(model, method, **given())


@METHODS
def test_what_is_needed_is_asked_for(method, model):
    for need in pruners.methods()[method].needs:
        with pytest.raises(pruners.PrunerError, match=f"needs {need}="):
            pruners.compress(model, method, keep_ratio=0.5, **(given() | {need: None}))
    if "data" in pruners.methods()[method].needs:
        with pytest.raises(pruners.PrunerError, match="at least one batch"):
            pruners.compress(model, method, keep_ratio=0.5, **(given() | {"data": iter([])}))
        with pytest.raises(pruners.PrunerError, match="batches"):
            pruners.compress(model, method, keep_ratio=0.5, **(given() | {"data": [torch.ones(3, 4, 6, 6)]}))


@METHODS
def test_unknown_names_offer_the_nearest(method, model):
    with pytest.raises(pruners.UnknownMethod, match=method):
        pruners.compress(model, method + "s", keep_ratio=0.5)
    with pytest.raises(pruners.UnknownOption, match="allocation"):
        pruners.compress(model, method, keep_ratio=0.5, alocation="erk", **given())
    with pytest.raises(pruners.UnknownLayer, match=r"did you mean 'stem\.0'"):
        pruners.compress(model, method, keep_ratio=0.5, exclude=["stem.1"], **given())


@METHODS
def test_round_trip(method, model, tmp_path):
    mask = pruners.compress(model, method, keep_ratio=0.3, exclude=("gate",), **given())
    mask.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "masks.safetensors",
        "model.safetensors",
        "spec.json",
    ]
    stored = load_file(tmp_path / "masks.safetensors")
    assert {name.partition("/")[2] for name in stored} == mask.masks.keys()
    assert all(
        content.numel() <= -(-mask.masks[n.partition("/")[2]].numel() // 8) for n, content in stored.items()
    )
    assert equal(loaded.masks, mask.masks)
    assert loaded.options == mask.options and loaded.prunable == mask.prunable and loaded.method == method
    assert equal(loaded.apply(model).state_dict(), mask.apply(model).state_dict())
    assert loaded.options.keys() >= {option.name for option in pruners.methods()[method].all_options} | {
        "seed",
        "keep_ratio",
    }
