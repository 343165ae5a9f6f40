"""torch.set_default_device, or a ``with torch.device`` around a call, is about the caller's own tensors."""

from typing import Any

import pytest
import torch

import pruners
from pruners.network.call_stream import streaming
from tests.pruners.scoring import tiny_data, tiny_network

BY_IMAGES: list[tuple[str, dict[str, Any]]] = [
    ("alds", {"refit": "layer", "encoders": "whitened"}),
    ("alds", {"refit": "sequential", "encoders": "joint", "ridge": 0}),
    ("calibrated", {"error": "measured"}),
    ("calibrated", {"error": "true"}),
    ("magnitude", {"refit": "layer", "ridge": 0}),
    ("magnitude", {"refit": "sequential", "allocation": "measured"}),
]
EVERY = [(name, {}) for name in pruners.methods()]


@pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
@pytest.mark.parametrize(("method", "options"), [*EVERY, *BY_IMAGES], ids=str)
def test_every_method_gives_the_same(method: str, options: dict[str, Any]) -> None:
    images, labels = tiny_data(12)
    data = [(images[:6], labels[:6]), (images[6:], labels[6:])]
    given: dict[str, Any] = {"data": data, "loss": torch.nn.functional.cross_entropy, "example": images[:2]}
    needed = pruners.methods()[method].needs
    given = {name: value for name, value in given.items() if name in needed or (options and name == "data")}
    there, here = tiny_network(), tiny_network()
    with torch.device("meta"):  # no tensor of ours may be there
        first = pruners.compress(there, method, keep_ratio=0.7, **given, **options)
        small = first.apply(there)
    second = pruners.compress(here, method, keep_ratio=0.7, **given, **options)
    assert first.layers == second.layers
    state = second.apply(here).state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in small.state_dict().items())


def test_costs_and_times_are_told() -> None:
    network, (images, _) = tiny_network(), tiny_data()
    with torch.device("meta"):
        assert pruners.cost(network, images).multiply_adds == pruners.cost(network, images).multiply_adds > 0
        assert pruners.compress(network, "alds", latency_ms=1e6, example=images).params


def test_a_network_has_it_in_the_thread_of_its_pass_too() -> None:
    class Places(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.arange(len(x))

    network = torch.nn.Sequential(Places())
    with torch.device("meta"), streaming(network, {"0": network[0]}, torch.zeros(3)) as calls:
        assert calls.next_output("0").is_meta
