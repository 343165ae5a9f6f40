"""Tests of the artifact: what it tells is true, it goes through files, and the model stays as it was."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.lowrank.decompose import order_name
from pruners.lowrank.layers.cut import CLUSTERINGS
from pruners.methods import rank_method_named
from pruners.testing.lowrank import reference
from pruners.testing.lowrank.setting import RankMethodSetting


class ArtifactTests(RankMethodSetting):
    """Tests of the decomposition that a method's choice leads to."""

    def test_model_is_untouched(self, network: nn.Sequential, batch: Tensor) -> None:
        """Check that weights, modes, hooks and torch's random numbers are as they were."""
        network[0].train()
        before, random = copy.deepcopy(network), torch.random.get_rng_state()
        artifact = self.compressed(network, flops_ratio=0.4, example=batch)
        artifact.apply(network)
        assert torch.equal(random, torch.random.get_rng_state())
        assert str(before) == str(network)
        assert [m.training for m in before.modules()] == [m.training for m in network.modules()]
        assert all(
            torch.equal(a, b)
            for a, b in zip(before.state_dict().values(), network.state_dict().values(), strict=True)
        )
        assert not any(m._forward_hooks for m in network.modules())

    def test_a_layer_of_zeros_has_no_error(self, network: nn.Sequential) -> None:
        """Check that a layer of zeros stays one, and is told to have no error."""
        network.get_parameter("7.weight").data.zero_()
        artifact = self.compressed(network, keep_ratio=0.4)
        assert artifact.layers["7"].error == 0.0
        assert set(artifact.layer_errors["7"].values()) == {0.0}
        small = artifact.apply(network)
        assert not any(
            p.any() or not torch.isfinite(p).all()
            for n, p in small.named_parameters()
            if n.startswith("7") and "weight" in n
        )

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite_are_named(self, network: nn.Sequential, bad: float) -> None:
        """Check that such a layer is an error that names it, unless it is excluded."""
        network.get_parameter("7.weight").data[0, 0] = bad
        with pytest.raises(pruners.PrunerError, match=r"'7'.*not finite"):
            self.compressed(network, keep_ratio=0.4)
        if "data" not in self.described().needs:  # the excluded layer spoils what the others are given
            excluding = self.compressed(network, keep_ratio=0.95, exclude=["7"])
            assert "7" not in excluding.layers

    def test_round_trip(self, network: nn.Module, batch: Tensor, tmp_path: Path) -> None:
        """Check that an artifact that was saved and loaded tells and does the same."""
        artifact = self.compressed(network, keep_ratio=0.3)
        artifact.save(tmp_path)
        loaded = pruners.load(tmp_path)
        assert isinstance(loaded, pruners.Decomposition)
        assert loaded.plan == artifact.plan
        assert loaded.errors == artifact.errors and loaded.layer_errors == artifact.layer_errors
        assert torch.equal(loaded.apply(network)(batch), artifact.apply(network)(batch))

    def test_reported_errors_are_the_weights_own(self, network: nn.Module) -> None:
        """Check the errors that are told against those that numpy finds.

        Of a truncation it finds them itself, in clusters by their order of channels; else from the weight
        that the layers make together.
        """
        network.double()
        artifact = self.compressed(network, keep_ratio=0.3)
        small = artifact.apply(network)
        for name, choice in artifact.layers.items():
            dense = network.get_submodule(name)
            if choice.form in ("encode", *CLUSTERINGS):
                order = artifact.tensors.get(order_name(name))
                channels = None if order is None else order.tolist()
                expected = reference.errors(dense, choice.rank, choice.num_subspaces, channels)
            else:
                expected = reference.errors_of(dense, small.get_submodule(name))
            assert artifact.layer_errors[name] == pytest.approx(expected, abs=1e-9)
            if artifact.metric in expected:
                assert choice.error == pytest.approx(expected[artifact.metric], abs=1e-9)
                assert artifact.error == artifact.errors[artifact.metric]
        assert artifact.error == max(choice.error for choice in artifact.layers.values())

    def test_double_precision_reconstruction(self, network: nn.Module) -> None:
        """Check that in float64 the factors multiply to what numpy finds, to 1e-10.

        Those that come from data alone, and other forms than two layers of the usual folding, it cannot know:
        such a method needs an oracle of its own.
        """
        if rank_method_named(self.method).factors_from_data:
            return
        network.double()
        artifact = self.compressed(network, keep_ratio=0.3)
        small = artifact.apply(network)
        for name, choice in artifact.layers.items():
            dense, pair = network.get_submodule(name), small.get_submodule(name)
            if choice.form != "encode":
                continue
            assert isinstance(pair, nn.Sequential)
            weight = reference.dense_weight(pair, getattr(dense, "groups", 1), choice.num_subspaces)
            expected = [
                reference.truncated(m, choice.rank, choice.num_subspaces).tolist()
                for m in reference.folded(dense)
            ]
            torch.testing.assert_close(
                weight, torch.tensor(expected, dtype=torch.float64), atol=1e-10, rtol=0
            )
