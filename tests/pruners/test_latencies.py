"""Networks timed in turn."""

import time

import pytest
import torch
from torch import nn

import pruners


class Works(nn.Module):
    """Takes so many seconds, and notes when it is called."""

    def __init__(self, seconds, calls):
        super().__init__()
        self.seconds, self.calls = seconds, calls

    def forward(self, x):
        self.calls.append(self.seconds)
        assert not self.training and not torch.is_grad_enabled()
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        return x.mul_(2)


def test_networks_run_in_turn_and_are_told_as_shares_of_the_first():
    calls, batch = [], torch.ones(2, 3)
    networks = {"dense": Works(0.03, calls), "small": Works(0.001, calls)}
    told = pruners.latencies(networks, batch)
    # the first two try the batch out
    assert calls == [0.03, 0.001] * (len(calls) // 2) and len(calls) >= 2 * (1 + 2 + 5)
    assert list(told) == ["dense", "small"] and told["dense"].kept == 1.0 and told["dense"].ms >= 30
    assert told["small"].kept < 0.7 and told["small"].ms >= 1
    assert torch.equal(batch, torch.ones(2, 3)) and all(network.training for network in networks.values())


def test_a_network_that_needs_two_examples_is_told_for_one():
    calls = []
    network = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), Works(0.04, calls))
    assert pruners.latencies({"dense": network}, torch.ones(1, 3))["dense"].ms >= 20


def test_int8_networks_are_timed_as_they_are_deployed():
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    told = pruners.latencies({"dense": network, "int8": pruners.quantize(network, images)}, images[:2])
    assert told["int8"].ms > 0 and told["int8"].kept > 0


def test_what_cannot_be_timed_is_said():
    with pytest.raises(pruners.PrunerError, match="cannot be run on inputs of shape"):
        pruners.latencies({"dense": nn.Linear(3, 2)}, torch.ones(1, 4))
    with pytest.raises(pruners.PrunerError, match=r"must be a torch\.nn\.Module"):
        pruners.latencies({"dense": "network"}, torch.ones(1, 4))
