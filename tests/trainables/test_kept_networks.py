"""What a worker keeps between trials is weighed, and bounded whatever the networks' size."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.lowrank.spectra import network_spectra
from tests.trainables.configs import trial
from trainables import run_trial
from trainables.config import CompressionConfig, TaskConfig, TrainingConfig
from trainables.execution import run
from trainables.execution.kept_networks import KeptNetworks
from trainables.execution.network import Network


def network(width: int = 100) -> Network:
    return Network(nn.Sequential(nn.Linear(50, width), nn.BatchNorm1d(width), nn.Linear(width, 50)))


def test_a_network_is_weighed_with_its_buffers_and_spectra() -> None:
    module = network().module
    own = 4 * (50 * 100 + 100 + 100 + 100 + 100 * 50 + 50) + 4 * 200 + 8
    assert pruners.held_memory(module) == own
    pruners.plan(module, keep_ratio=0.5)
    kept = network_spectra._kept[module]
    values = sum(
        value.nbytes
        for layer in kept.layers.values()
        for value in (*layer._values.values(), *layer._samples.values())
    )
    weights = 4 * 2 * 50 * 100
    assert own + weights + values < pruners.held_memory(module) < own + weights + 12 * values
    shared = nn.Sequential(nn.Linear(8, 8, bias=False))
    shared.append(shared[0])
    assert pruners.held_memory(shared) == 4 * 64


def test_views_of_one_array_are_weighed_once() -> None:
    module = nn.Linear(4, 4, bias=False)
    kept = network_spectra.spectra_of(module)
    array = np.zeros((10, 100))
    before = pruners.held_memory(module)
    views = {("a", ""): array[3:], ("b", ""): array[:, 1], ("c", ""): torch.from_numpy(array)}
    kept._searches = views  # type: ignore[assignment]
    assert pruners.held_memory(module) == before + array.nbytes


def test_the_least_recently_used_goes_first_and_its_spectra_with_it() -> None:
    size = pruners.held_memory(network().module)
    kept = KeptNetworks(limit=3 * size)
    for name in "abc":
        kept.put((name,), network())
    assert kept.get(("a",))
    kept.put(("d",), network())
    assert [bool(kept.get((name,))) for name in "abcd"] == [True, False, True, True]
    last = kept.get(("d",))
    assert last
    module = weakref.ref(last.module)
    pruners.plan(last.module, keep_ratio=0.5)  # it has grown since it was put there
    held = weakref.ref(network_spectra._kept[last.module])
    del last
    assert kept.get(("d",)) and not kept.get(("a",)), "the grown one leaves no room for others"
    kept.put(("e",), network(400))
    assert kept.get(("e",)) and not kept.get(("d",)), "the last one stays however large it is"
    gc.collect()
    assert module() is None and held() is None


def test_gradients_are_not_kept() -> None:
    one = network()
    one.module(torch.rand(4, 50)).sum().backward()
    KeptNetworks().put(("a",), one)
    assert all(parameter.grad is None for parameter in one.module.parameters())


def test_a_worker_does_not_grow_with_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trial has a dense network of its own; the memory of all living tensors and spectra is counted."""
    monkeypatch.setattr(run, "_kept", KeptNetworks(limit=2**20))

    def alive() -> int:
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, nn.Parameter)]
        tensors = [
            tensor for tensor in tensors if tensor.layout == torch.strided
        ]  # not another test's sparse ones
        storages = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors
        }
        return sum(storages.values()) + sum(
            pruners.held_memory(module) for module in list(network_spectra._kept)
        )

    sizes = []
    for number in range(7):
        config = trial(
            tmp_path,
            str(number),
            task=TaskConfig("lenet_300_100", "digits"),
            training=TrainingConfig(epochs=0),
            compression=CompressionConfig("alds", recalibrate_bn=0),
            seeds=(number,),
        )
        assert "failed" not in run_trial(config)
        if number % 3 == 0:
            sizes.append(alive())
    assert sizes[1] - sizes[0] > 2**17, "networks are kept as long as there is room"
    assert sizes[2] - sizes[1] < 2**17, sizes
