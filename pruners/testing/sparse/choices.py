"""Tests of which weights are kept: exactly as many as asked for, where the options say."""

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

import pruners
from pruners.testing.sparse.network import WEIGHTS, OddNetwork, best, given
from pruners.testing.sparse.setting import ScoreMethodSetting, equal


class ChoiceTests(ScoreMethodSetting):
    """Tests of the masks that a method's scores lead to."""

    @pytest.mark.parametrize("ratio", [0.001, 0.013, 0.1, 1 / 3, 0.37, 0.5, 0.9999, 1.0])
    def test_exactly_as_many_as_asked_for(self, model: OddNetwork, ratio: float) -> None:
        """Check that ceil(ratio * N) weights are kept, and the others are zero in the small network."""
        mask = self.compressed(model, keep_ratio=ratio)
        assert (
            mask.params
            == math.ceil(Fraction(str(ratio)) * WEIGHTS)
            == sum(int(m.sum()) for m in mask.masks.values())
        )
        assert mask.density == mask.params / WEIGHTS
        removed = sum(int((p == 0).sum()) for n, p in mask.apply(model).named_parameters() if n in mask.masks)
        assert removed == WEIGHTS - mask.params

    @pytest.mark.parametrize("allocation", ["global", "layerwise", "erk", "lamp", "measured", "owl"])
    def test_exact_counts_in_every_allocation(self, model: OddNetwork, allocation: str) -> None:
        """Check the number of weights kept for each way to share it out among the layers."""
        if allocation == "lamp" and any((score < 0).any() for score in self.scored(model).values()):
            with pytest.raises(pruners.PrunerError, match="have a sign"):
                self.compressed(model, budget=123, allocation=allocation)
            return
        rounds = 1 if allocation == "measured" else 3
        mask = self.compressed(model, budget=123, allocation=allocation, rounds=rounds, min_layer_keep=1)
        assert mask.params == 123 and not mask.empty_layers

    @pytest.mark.parametrize("invert", [False, True])
    def test_the_highest_scores_are_kept(self, model: OddNetwork, invert: bool) -> None:
        """Check the mask against a sort of all scores."""
        mask = self.compressed(model, budget=401, rounds=1, invert=invert)
        assert equal(mask.masks, best(self.scored(model), 401, lowest=invert))

    def test_going_on_from_a_mask(self, model: OddNetwork) -> None:
        """Check that what an earlier mask removed stays removed."""
        first = pruners.compress(model, "random", budget=500, seed=1)
        assert isinstance(first, pruners.Mask)
        second = self.compressed(model, keep_ratio=0.3, mask=first)
        assert second.params == math.ceil(Fraction("0.3") * WEIGHTS)
        assert all((first.masks[name] | ~kept).all() for name, kept in second.masks.items())
        assert second.options["mask"]["method"] == "random"
        assert equal(self.compressed(model, budget=500, mask=first).masks, first.masks)

    def test_a_layer_alone(self) -> None:
        """Check a network that is one Linear."""
        torch.manual_seed(0)
        data, labels = torch.randn(9, 4), torch.arange(3).repeat_interleave(3)
        mask = self.compressed(
            nn.Linear(4, 3), keep_ratio=0.5, data=[(data, labels)], example=torch.ones(1, 4)
        )
        assert mask.params == 6 and mask.layers.keys() == {""} and mask.masks.keys() == {"weight"}

    def test_emptied_layers_are_reported_by_name(self, model: OddNetwork) -> None:
        """Check that layers that lose every weight are named in one warning, at the caller's own line."""
        with pytest.warns(pruners.PrunerWarning, match="min_layer_keep") as caught:
            mask = pruners.compress(model, self.method, budget=1, **given())
        assert isinstance(mask, pruners.Mask) and len(mask.empty_layers) == len(mask.layers) - 1
        assert len(caught) == 1 and all(repr(name) in str(caught[0].message) for name in mask.empty_layers)
        assert caught[0].filename == __file__

    @pytest.mark.filterwarnings("error::pruners.PrunerWarning")
    def test_min_layer_keep_forbids_empty_layers(self, model: OddNetwork) -> None:
        """Check that every layer keeps its least number of weights."""
        mask = self.compressed(model, budget=20, min_layer_keep=2)
        assert mask.params == 20
        assert all(layer.params >= min(2, layer.dense_params) for layer in mask.layers.values())

    def test_excluded_layers_stay_dense(self, model: OddNetwork) -> None:
        """Check that excluded layers are neither masked nor counted."""
        mask = self.compressed(model, keep_ratio=0.25, exclude=["stem.0", "second"])
        assert mask.params == math.ceil((WEIGHTS - 216 - 100) / 4)
        assert not {"stem.0.weight", "first.weight"} & mask.masks.keys()

    def test_shares_of_single_layers(self, model: OddNetwork) -> None:
        """Check that a layer with a share of its own keeps that, and the others the budget's."""
        mask = self.compressed(model, keep_ratio=0.5, layer_keep_ratio={"output": 0.21, "stem.0": 1.0})
        assert mask.layers["output"].params == 7 and mask.layers["stem.0"].params == 216
        assert mask.params == 7 + 216 + math.ceil((WEIGHTS - 30 - 216) / 2)
