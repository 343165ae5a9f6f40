"""The suite of a method that removes channels."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

import pruners
from pruners.channels.methods.channel_method import ChannelMethod
from pruners.channels.scoring import channel_inputs, channel_scores
from pruners.network.layer_names import named_buffers, named_parameters
from pruners.testing.channels.networks import NETWORKS, Chain, Residual, SelfAttention, given, images, made
from pruners.testing.method_suite import MethodSuite

every_network = pytest.mark.parametrize("factory", NETWORKS)


class ChannelMethodSuite(MethodSuite):
    """What every method that removes channels must hold to.

    The pruned network computes what the dense one computes with zeros in the removed places, within any kind
    of budget; the same answer every time, the model untouched, exclusions, rounding, save and load.
    """

    def compressed(self, network: nn.Module, **asked: Any) -> pruners.Channels:
        """Compress a network by the method."""
        artifact = pruners.compress(network, self.method, **{**given(), **asked})
        assert isinstance(artifact, pruners.Channels)
        return artifact

    @every_network
    @pytest.mark.parametrize("ratio", [0.7, 0.35])
    def test_pruned_is_masked(self, factory: type[nn.Module], ratio: float) -> None:
        """Check that what is left computes what the dense network does with zeros in the removed places."""
        network = made(factory)
        artifact = self.compressed(network, keep_ratio=ratio)
        small, masked = artifact.apply(network), _with_zeros(network, artifact)
        assert artifact.kept
        with torch.no_grad():
            torch.testing.assert_close(small(images(3)), masked(images(3)), rtol=1e-5, atol=1e-5)
            back = artifact.project_back(small)
            torch.testing.assert_close(back(images(3)), small(images(3)), rtol=1e-5, atol=1e-5)
        assert _same(back.state_dict(), masked.state_dict())

    @every_network
    @pytest.mark.parametrize("kind", ["keep_ratio", "budget", "flops_ratio"])
    def test_never_over_budget(self, factory: type[nn.Module], kind: str) -> None:
        """Check that no budget is exceeded, and that the artifact counts what the small network has."""
        network = made(factory)
        dense = _weights(network)
        artifact = self.compressed(network, **{kind: dense // 2 if kind == "budget" else 0.5})
        small = artifact.apply(network)
        assert artifact.params == _weights(small) < dense
        if kind == "flops_ratio":
            before, after = (
                pruners.cost(one, images()).multiply_adds - _products(one) for one in (network, small)
            )
            assert after <= before / 2
        else:
            assert artifact.params <= dense // 2
        assert {name: layer.channels for name, layer in artifact.layers.items()} == _channels(small)
        assert {name: layer.dense_channels for name, layer in artifact.layers.items()} == _channels(network)

    def test_the_highest_scores_are_kept(self) -> None:
        """Check that scores are of all channels of groups, and that each group keeps its highest."""
        method = self.described()
        assert isinstance(method, ChannelMethod)
        for network in map(made, NETWORKS):
            inputs = channel_inputs(method, seed=0, **given())  # type: ignore[arg-type]
            groups = pruners.NetworkChannels(network, images()).groups
            scores = channel_scores(network, method, groups, inputs, 0, method.with_defaults({}))
            assert max(len(of.unique()) for of in scores.values()) > 1
            artifact = self.compressed(network, keep_ratio=0.5)
            for name, of in scores.items():
                place = groups[name].filters[0]
                entries = artifact.kept.get(place.tensor, {}).get(place.dim, place.index)
                kept = torch.isin(place.index[:, 0], entries)
                assert bool(kept.any())
                assert bool(kept.all()) or float(of[kept].min()) >= float(of[~kept].max())

    def test_the_least_budget(self) -> None:
        """Check that the least budget can be met, by one channel of each group, and none below it."""
        network = made(Residual)
        with pytest.raises(pruners.InfeasibleBudget) as error:
            self.compressed(network, budget=1)
        least = int(error.value.least)
        assert self.compressed(network, budget=least).params == least
        with pytest.raises(pruners.InfeasibleBudget, match=f"{least} of"):
            self.compressed(network, budget=least - 1)

    def test_same_answer_every_time(self) -> None:
        """Check that the same seed gives the same channels."""
        first, second = (self.compressed(made(Residual), keep_ratio=0.5, seed=3) for _ in range(2))
        assert first.described() == second.described()
        assert _same(dict(first.files()["channels"]), dict(second.files()["channels"]))

    def test_model_is_untouched(self) -> None:
        """Check that weights, modes, gradients and hooks of the given network stay, and the random state."""
        network = made(Residual).train()
        before, random = copy.deepcopy(network), torch.random.get_rng_state()
        with torch.no_grad():
            self.compressed(network, keep_ratio=0.5).apply(network)
        assert torch.equal(random, torch.random.get_rng_state())
        assert str(before) == str(network) and _same(before.state_dict(), network.state_dict())
        assert all(module.training for module in network.modules())
        assert all(p.requires_grad and p.grad is None for p in network.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())

    @pytest.mark.parametrize("allocation", ["global", "uniform"])
    def test_channels_kept_are_multiples(self, allocation: str) -> None:
        """Check that groups of enough channels keep multiples, the others any number."""
        artifact = self.compressed(made(Residual), keep_ratio=0.6, round_to=4, allocation=allocation)
        for layer in artifact.layers.values():
            assert layer.channels == layer.dense_channels or layer.channels % 4 == 0

    def test_uniform_keeps_the_same_share(self) -> None:
        """Check that, uniform, the groups' shares differ by less than a channel of each."""
        artifact = self.compressed(made(Chain), keep_ratio=0.4, allocation="uniform")
        kept = [layer for layer in artifact.layers.values() if layer.channels < layer.dense_channels]
        lowest = max((layer.channels - 1) / layer.dense_channels for layer in kept)
        highest = min((layer.channels + 1) / layer.dense_channels for layer in kept)
        assert len(kept) > 1 and lowest <= highest

    def test_excluded_layers_keep_their_channels(self) -> None:
        """Check that the output channels of excluded layers stay, and their weights count."""
        network = made(Residual)
        artifact = self.compressed(network, keep_ratio=0.6, exclude=["projection"])
        assert all(
            artifact.layers[name].channels == artifact.layers[name].dense_channels
            for name in ("projection", "second")
        )
        assert artifact.params <= 0.6 * _weights(network)

    def test_round_trip(self, tmp_path: Path) -> None:
        """Check that what is loaded gives the same network to the bit, retrained or not."""
        network = made(Residual)
        artifact = self.compressed(network, keep_ratio=0.4)
        artifact.save(tmp_path / "plain")
        small = artifact.apply(network)
        loaded = pruners.load(tmp_path / "plain")
        assert _same(loaded.apply(network).state_dict(), small.state_dict())
        assert loaded.described() == artifact.described() and loaded.method == self.method
        with torch.no_grad():
            for parameter in small.parameters():
                parameter.add_(0.25)
        artifact.capture(small).save(tmp_path / "captured")
        captured = pruners.load(tmp_path / "captured")
        assert captured.complete and _same(captured.apply(made(Residual)).state_dict(), small.state_dict())
        assert _same(captured.project_back(small).state_dict(), artifact.project_back(small).state_dict())

    def test_another_network_is_refused(self) -> None:
        """Check that a network of other shapes is told apart, dense or small."""
        network = made(Residual)
        artifact = self.compressed(network, keep_ratio=0.4)
        for refused in (artifact.capture, artifact.project_back):
            with pytest.raises(pruners.BadArtifact, match="does not fit"):
                refused(network)
        with pytest.raises(pruners.BadArtifact, match="does not fit"):
            artifact.apply(made(Chain))

    def test_what_is_needed_is_asked_for(self) -> None:
        """Check that data, loss and example are errors that name them where they are needed and missing."""
        for need in self.described().needs:
            with pytest.raises(pruners.PrunerError, match=f"needs {need}="):
                self.compressed(made(Chain), keep_ratio=0.5, **{need: None})

    def test_wrong_arguments_are_named(self) -> None:
        """Check that unknown options and layers, and budgets of other kinds, are errors that say so."""
        with pytest.raises(pruners.UnknownOption, match="round_to"):
            self.compressed(made(Chain), keep_ratio=0.5, round_two=8)
        with pytest.raises(pruners.UnknownLayer, match="did you mean 'stem'"):
            self.compressed(made(Residual), keep_ratio=0.5, exclude=["sten"])


def _with_zeros(network: nn.Module, artifact: pruners.Channels) -> nn.Module:
    masked = copy.deepcopy(network)
    tensors = named_parameters(masked) | named_buffers(masked)
    for name, of_tensor in artifact.kept.items():
        for dim, index in of_tensor.items():
            gone = sorted(set(range(tensors[name].shape[dim])) - set(index.tolist()))
            tensors[name].data.index_fill_(dim, torch.tensor(gone, dtype=torch.int64), 0)
    return masked


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _layers(network: nn.Module) -> dict[str, nn.Module]:
    return {n: m for n, m in network.named_modules() if isinstance(m, _ConvNd | nn.Linear)}


def _packed(network: nn.Module) -> dict[str, Tensor]:
    return {n: p for n, p in network.named_parameters() if n.endswith(".in_proj_weight")}


def _products(network: nn.Module) -> int:
    """Count the multiply-adds of queries by keys and of weights by values, which are no part of a budget."""
    attentions = [m for m in network.modules() if isinstance(m, nn.MultiheadAttention | SelfAttention)]
    widths = [m.out_proj if isinstance(m, nn.MultiheadAttention) else m.query for m in attentions]
    positions = 9  # of the one network of these that attends
    return sum(2 * positions**2 * width.get_parameter("weight").numel() // 8 for width in widths)


def _weights(network: nn.Module) -> int:
    layers = [layer.get_parameter("weight") for layer in _layers(network).values()]
    return sum(weight.numel() for weight in (*layers, *_packed(network).values()))


def _channels(network: nn.Module) -> dict[str, int]:
    return {
        name: layer.out_channels
        if isinstance(layer, _ConvNd)
        else int(layer.get_parameter("weight").shape[0])
        for name, layer in _layers(network).items()
    } | {name: len(weight) for name, weight in _packed(network).items()}
