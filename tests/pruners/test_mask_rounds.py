"""Rounds of scoring and removing, and masks that go on from others."""

import itertools
from collections.abc import Mapping
from typing import final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.prune import prune, score
from pruners.testing.sparse.network import WEIGHTS, OddNetwork

pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
NOTHING: Mapping[str, None] = {"data": None, "loss": None, "example": None, "mask": None}


@final
class Witness(ScoreMethod):
    """Scores by position in a chosen layer order, and remembers what it was shown."""

    name = "witness"
    title = paper = "none"
    rounds = 4

    def __init__(self, bad=None):
        self.bad, self.prepared_networks, self.seen = bad, [], []

    def prepared(self, network, options):
        self.prepared_networks.append(network)
        return network.double()

    def scores(self, network, weights, alive, given, options):
        assert network is self.prepared_networks[0]
        assert all(weight.requires_grad and weight.dtype == torch.float64 for weight in weights.values())
        assert torch.is_grad_enabled()
        self.seen.append({name: mask.clone() for name, mask in alive.items()})
        for name, mask in alive.items():
            assert (weights[name][~mask] == 0).all() and (weights[name][mask] != 0).all()
        scores = {
            name: torch.rand(weight.shape, generator=given.generator) for name, weight in weights.items()
        }
        if self.bad is not None:
            scores["hidden.weight"][0, 0] = self.bad
        return scores


@given(
    st.integers(1, WEIGHTS),
    st.integers(1, 6),
    st.sampled_from(["linear", "exponential"]),
    st.sampled_from(["global", "layerwise", "erk"]),
)
@settings(max_examples=40, deadline=None)
def test_kept_sets_are_nested_and_the_method_is_prepared_once(budget, rounds, schedule, allocation):
    method, options = Witness(), {"rounds": rounds, "schedule": schedule, "allocation": allocation}
    with torch.no_grad():
        mask = prune(OddNetwork(), method, keep_ratio=None, budget=budget, seed=2, options=options, **NOTHING)
    assert mask.params == budget
    assert all(kept.untyped_storage().nbytes() == kept.numel() for kept in mask.masks.values())
    assert len(method.prepared_networks) == 1 and len(method.seen) <= rounds
    course = [*method.seen, mask.masks]
    for before, after in itertools.pairwise(course):
        assert all((before[name] | ~after[name]).all() for name in after)
        assert sum(int(m.sum()) for m in before.values()) > sum(int(m.sum()) for m in after.values())


def test_counts_of_the_rounds():
    method = Witness()
    prune(OddNetwork(), method, keep_ratio=0.0625, budget=None, seed=0, options={}, **NOTHING)
    assert [sum(int(m.sum()) for m in seen.values()) for seen in method.seen] == [
        873,
        438,
        220,
        110,
    ]  # 873 (55 / 873)^(i / 4), rounded up


def test_scores_of_removed_weights_do_not_matter():
    model, first = OddNetwork(), pruners.compress(OddNetwork(), "magnitude", budget=800)
    removed = {name: ~mask for name, mask in first.masks.items()}

    class Blind(Witness):
        def scores(self, network, weights, alive, given, options):
            scores = super().scores(network, weights, alive, given, options)
            return {name: score.masked_fill(removed[name], float("nan")) for name, score in scores.items()}

    mask = prune(
        model, Blind(), keep_ratio=None, budget=700, seed=0, options={}, **(NOTHING | {"mask": first})
    )
    assert mask.params == 700 and not any((mask.masks[name] & removed[name]).any() for name in removed)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_named(bad):
    with pytest.raises(pruners.PrunerError, match=r"'hidden' has witness scores that are not finite"):
        prune(OddNetwork(), Witness(bad), keep_ratio=0.5, budget=None, seed=0, options={}, **NOTHING)
    with pytest.raises(pruners.PrunerError, match=r"'hidden' has witness scores that are not finite"):
        score(OddNetwork(), Witness(bad), seed=0, options={}, **NOTHING)


def test_defaults_of_the_method_are_recorded():
    mask = prune(
        OddNetwork(),
        Witness(),
        keep_ratio=0.5,
        budget=None,
        seed=6,
        options={"exclude": ("gate",)},
        **NOTHING,
    )
    assert mask.options == {
        "allocation": "global",
        "rounds": 4,
        "schedule": "exponential",
        "min_layer_keep": 0,
        "layer_keep_ratio": {},
        "exclude": ["gate"],
        "scale": {},
        "owl_m": 5.0,
        "owl_lambda": 0.08,
        "refit": "none",
        "ridge": 1e-2,
        "invert": False,
        "seed": 6,
        "keep_ratio": 0.5,
    }


def test_levels_of_a_lottery():
    """20 % of what is left, 10 % in the output layer, level after level."""
    model, mask = OddNetwork(), None
    for level in range(1, 5):
        before = mask
        mask = pruners.compress(
            model,
            "magnitude",
            keep_ratio=round(0.8**level, 9),
            layer_keep_ratio={"output": round(0.9**level, 9)},
            mask=mask,
        )
        assert mask.params == -(-843 * 8**level // 10**level) + -(-30 * 9**level // 10**level)
        assert before is None or all((before.masks[name] | ~kept).all() for name, kept in mask.masks.items())


def test_what_a_mask_cannot_go_on_to():
    model = OddNetwork()
    first = pruners.compress(model, "magnitude", budget=100, allocation="layerwise")
    with pytest.raises(pruners.PrunerError, match="asks for 437 weights, but only 100 are left"):
        pruners.compress(model, "magnitude", keep_ratio=0.5, mask=first)
    with pytest.raises(
        pruners.PrunerError, match="asks for 30 weights of layer 'output', but only 3 are left"
    ):
        pruners.compress(model, "magnitude", budget=90, layer_keep_ratio={"output": 1.0}, mask=first)
    with pytest.raises(pruners.BadArtifact, match=r"another exclude: layer 'gate' differs"):
        pruners.compress(model, "magnitude", budget=90, exclude=["gate"], mask=first)
    with pytest.raises(pruners.BadArtifact, match="another network"):
        pruners.scores(nn.Linear(3, 3), "magnitude", mask=first)
    with pytest.raises(pruners.PrunerError, match="cannot go on from a mask"):
        pruners.compress(model, "svd", keep_ratio=0.5, mask=first)


def test_scores_take_no_options_of_removing():
    with pytest.raises(pruners.UnknownOption, match="they take no rounds"):
        pruners.scores(OddNetwork(), "magnitude", rounds=3)
    with pytest.raises(
        pruners.PrunerError,
        match="Method alds chooses ranks and scores no single weights; those that do are magnitude",
    ):
        pruners.scores(OddNetwork(), "alds")
    assert "output.weight" not in pruners.scores(OddNetwork(), "magnitude", exclude=["output"])
