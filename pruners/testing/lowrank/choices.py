"""Tests of what is chosen: the same every time, within the budget, and no excluded layer."""

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.testing.lowrank.networks import SideBySide, odd_network
from pruners.testing.lowrank.setting import RankMethodSetting

_RATIOS = (0.15, 0.3, 0.5, 0.77, 1.0)


class ChoiceTests(RankMethodSetting):
    """Tests of a method's choice of ranks."""

    def test_same_answer_every_time(self) -> None:
        """Check that the same network, budget and seed give the same ranks and factors."""
        first, second = (self.compressed(odd_network(), keep_ratio=0.4, seed=1) for _ in range(2))
        assert first.plan == second.plan
        assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in second.tensors)

    def test_never_over_budget(self) -> None:
        """Check that the small network has as many weights as are told, at most as many as are allowed."""
        model = odd_network()
        total = sum(p.numel() for n, p in model.named_parameters() if n.endswith("weight"))
        least = pruners.least_budget(model, "keep_ratio", method=self.method)
        for ratio in (*(r for r in _RATIOS if r >= least), least):
            artifact = self.compressed(model, keep_ratio=ratio)
            small = artifact.apply(model)
            weights = sum(p.numel() for n, p in small.named_parameters() if n.endswith("weight"))
            assert weights == artifact.params <= artifact.budget <= ratio * total + 1e-6
        assert artifact.plan.params == artifact.budget

    def test_never_over_budget_in_multiply_adds(self, network: nn.Module, batch: Tensor) -> None:
        """Check the same of multiply-adds, counted from the small network itself."""
        dense = pruners.cost(network, batch).multiply_adds
        for share in (0.2, 0.5, 0.9):
            artifact = self.compressed(network, flops_ratio=share, example=batch)
            assert artifact.plan.unit == "multiply_adds"
            assert (
                pruners.cost(artifact, batch).multiply_adds
                == artifact.plan.cost
                <= artifact.budget
                <= share * dense
            )

    def test_a_larger_budget_is_used(self, network: nn.Module) -> None:
        """Check that a larger budget leaves no larger error, and one for everything leaves none."""
        errors = [
            pruners.plan(network, self.method, keep_ratio=ratio, **self.needed(network)).error
            for ratio in (0.1, 0.2, 0.4, 0.8, 1.0)
        ]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] > errors[-1]
        whole = pruners.plan(network, self.method, keep_ratio=1.0, **self.needed(network))
        assert whole.layers == {} or errors[-1] < 1e-6

    def test_infeasible_budget_tells_the_least(self, network: nn.Module, batch: Tensor) -> None:
        """Check that a budget too small is refused with the least possible, and that this one is met."""
        for kind, asked in (("keep_ratio", 0.001), ("budget", 3), ("flops_ratio", 0.001)):
            with pytest.raises(pruners.InfeasibleBudget, match="least possible") as caught:
                self.compressed(network, example=batch, **{kind: asked})
            least = caught.value.least
            assert least == pruners.least_budget(network, kind, method=self.method, example=batch)
            plan = pruners.plan(network, self.method, example=batch, **self.needed(network) | {kind: least})
            assert plan.cost == plan.budget

    @pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
    def test_empty_layers_are_named(self) -> None:
        """Check that layers without weights are an error that names one, unless they are excluded."""
        model = SideBySide({"full": nn.Linear(20, 20), "empty": nn.Linear(0, 5), "none": nn.Linear(5, 0)})
        with pytest.raises(pruners.PrunerError, match="'empty'"):
            self.compressed(model, keep_ratio=0.5)
        artifact = self.compressed(model, keep_ratio=0.5, exclude=["empty", "none"])
        assert artifact.layers.keys() == {"full"}
        artifact.apply(model)

    def test_an_excluded_layer_stays_dense(self, network: nn.Module) -> None:
        """Check that an excluded layer is not decomposed where others are."""
        chosen = self.compressed(network, keep_ratio=0.5, exclude=["0"]).layers
        assert chosen and "0" not in chosen

    def test_everything_excluded_stays_dense(self, network: nn.Module) -> None:
        """Check that no excluded layer is decomposed."""
        every = list(pruners.compressible(network))
        artifact = self.compressed(network, keep_ratio=1.0, exclude=every)
        assert artifact.layers == {} and artifact.error == 0.0
        assert set(artifact.errors.values()) == {0.0}

    def test_unknown_names_offer_the_nearest(self, network: nn.Module) -> None:
        """Check that unknown methods, options and layers are errors that offer the nearest name."""
        with pytest.raises(pruners.UnknownMethod, match=self.method):
            pruners.compress(network, self.method + "s", keep_ratio=0.5)
        with pytest.raises(pruners.UnknownOption, match="exclude"):
            self.compressed(network, keep_ratio=0.5, exclud=["0"])
        model = SideBySide({"classifier": nn.Linear(20, 20)})
        with pytest.raises(pruners.UnknownLayer, match="did you mean 'classifier'"):
            self.compressed(model, keep_ratio=0.5, exclude=["clasifier"])
