"""Tests of the scores: of every weight, the same for the same seed, and nothing else is changed."""

import copy

import pytest
import torch

import pruners
from pruners.testing.sparse.network import OddNetwork, given
from pruners.testing.sparse.setting import ScoreMethodSetting, equal


class ScoreTests(ScoreMethodSetting):
    """Tests of what a method computes, and of what it leaves alone."""

    def test_takes_the_options_of_its_kind(self) -> None:
        """Check that the options that all methods of the kind take come last."""
        names = [option.name for option in self.described().all_options]
        assert names[-len(pruners.SHARED_OPTIONS) :] == [option.name for option in pruners.SHARED_OPTIONS]

    def test_same_seed_same_answer(self, model: OddNetwork) -> None:
        """Check that the same network, data and seed give the same mask and scores."""
        first, second = (self.compressed(model, keep_ratio=0.4, seed=3) for _ in range(2))
        assert equal(first.masks, second.masks)
        assert first.options == second.options
        assert equal(self.scored(model, seed=3), self.scored(model, seed=3))

    def test_model_is_untouched(self, model: OddNetwork) -> None:
        """Check that weights, gradients, modes, hooks and torch's random numbers are as they were."""
        model.output.weight.grad = torch.ones_like(model.output.weight)
        before, random = copy.deepcopy(model), torch.random.get_rng_state()
        with torch.no_grad():
            self.compressed(model, keep_ratio=0.4).apply(model)
        self.scored(model)
        assert torch.equal(random, torch.random.get_rng_state())
        assert str(before) == str(model)
        assert [m.training for m in before.modules()] == [m.training for m in model.modules()]
        assert equal(before.state_dict(), model.state_dict())
        assert [p.requires_grad for p in before.parameters()] == [p.requires_grad for p in model.parameters()]
        assert [n for n, p in model.named_parameters() if p.grad is not None] == ["output.weight"]
        assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
        assert not model.pointwise.weight.requires_grad

    def test_data_is_untouched(self, model: OddNetwork) -> None:
        """Check that the batches that were given are as they were."""
        before, after = given(), given()
        self.compressed(model, keep_ratio=0.4, **after)
        assert torch.equal(before["example"], after["example"])
        for (inputs, labels), (inputs_after, labels_after) in zip(before["data"], after["data"], strict=True):
            assert torch.equal(inputs, inputs_after) and torch.equal(labels, labels_after)
            assert inputs_after.grad is None and not inputs_after.requires_grad

    def test_scores_are_of_every_prunable_weight(self, model: OddNetwork) -> None:
        """Check that each prunable weight has a finite score, a shared one once, and that they differ."""
        scores = self.scored(model)
        assert {name: score.shape for name, score in scores.items()} == {
            layer.parameter: layer.shape for layer in pruners.prunable(model).values()
        }
        assert "second.weight" not in scores
        assert all(score.isfinite().all() and not score.requires_grad for score in scores.values())
        assert max(len(score.unique()) for score in scores.values()) > 100

    def test_removed_weights_are_zero_while_scoring(self, model: OddNetwork) -> None:
        """Check that scores under a mask are those of the network that the mask gives."""
        mask = pruners.compress(model, "random", budget=600, seed=1)
        assert isinstance(mask, pruners.Mask)
        scores, alone = self.scored(model, mask=mask), self.scored(mask.apply(model), mask=mask)
        for name, kept in mask.masks.items():
            assert torch.equal(scores[name][kept], alone[name][kept])

    def test_double_precision(self, model: OddNetwork) -> None:
        """Check that a network in float64 is scored in float64."""
        model.double()
        assert {score.dtype for score in self.scored(model).values()} == {torch.float64}
        assert self.compressed(model, budget=300, rounds=2).params == 300

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite_are_named(self, model: OddNetwork, bad: float) -> None:
        """Check that such a layer is an error that names it."""
        with torch.no_grad():
            model.grouped.weight[0, 0, 0, 0] = bad
        with pytest.raises(pruners.PrunerError, match=r"'grouped'.*not finite"):
            self.compressed(model, keep_ratio=0.4)
        with pytest.raises(pruners.PrunerError, match=r"'grouped'.*not finite"):
            self.scored(model)
