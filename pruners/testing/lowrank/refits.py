"""Tests of a refit of the chosen factors to calibration images."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pruners
from pruners.methods import rank_method_named
from pruners.testing.lowrank.networks import images, odd_network
from pruners.testing.lowrank.setting import RankMethodSetting
from pruners.testing.method_suite import is_nearer

_REFITS = pytest.mark.parametrize("refit", ["moments", "layer", "sequential"])


class RefitTests(RankMethodSetting):
    """Tests of a method's choice, refitted where there is such a refit."""

    @_REFITS
    @pytest.mark.parametrize("encoders", ["weight", "whitened", "joint"])
    def test_a_refit_of_odd_shapes(self, refit: str, encoders: str) -> None:
        """Check: same answer every time, within the budget, the model untouched, no run layer left out."""
        if not rank_method_named(self.method).refits:
            return
        model, data = odd_network(), images(200)
        before, random = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
        options: dict[str, Any] = {"keep_ratio": 0.4, "data": data, "refit": refit, "encoders": encoders}
        first = self.compressed(model, **options)
        assert torch.equal(random, torch.random.get_rng_state())
        assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
        second = self.compressed(odd_network(), **options)
        assert first.plan == second.plan and first.refit == second.refit
        assert first.tensors.keys() == second.tensors.keys()
        assert all(torch.equal(first.tensors[name], tensor) for name, tensor in second.tensors.items())
        refitted = first.refit
        assert refitted is not None and refitted.output_errors.keys() == first.layers.keys()
        small = first.apply(model)
        weights = sum(p.numel() for n, p in small.named_parameters() if n.endswith("weight"))
        assert weights == first.params <= first.budget
        assert refitted.kept == (refit == "moments" or is_nearer(refitted))

    @_REFITS
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    def test_a_refit_goes_through_files(
        self, refit: str, network: nn.Module, dtype: torch.dtype, tmp_path: Path
    ) -> None:
        """Check that refitted factors keep their dtype, and are the same saved, loaded and captured."""
        if not rank_method_named(self.method).refits:
            return
        network.to(dtype)
        data = images(4, 8, 8).to(dtype)
        pruners.recalibrate_batchnorm(network, [data])
        artifact = self.compressed(network, keep_ratio=0.3, data=data, refit=refit)
        artifact.save(tmp_path)
        loaded = pruners.load(tmp_path)
        assert isinstance(loaded, pruners.Decomposition)
        assert loaded.plan == artifact.plan and loaded.refit == artifact.refit
        small = loaded.apply(network).eval()
        assert {p.dtype for p in small.parameters()} == {dtype}
        assert torch.equal(small(data), artifact.apply(network).eval()(data))
        again = loaded.capture(small)
        assert again.refit == artifact.refit and torch.equal(again.apply(network).eval()(data), small(data))
