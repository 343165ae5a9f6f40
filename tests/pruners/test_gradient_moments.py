"""Gradient moments against a loop over images, with autograd's own gradients at each layer's output."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration
from pruners.calibration.moments.drawn_loss import draw_labels

DOUBLE = torch.float64


class Classifier(nn.Module):
    """A grouped convolution whose output is changed in place, one that is called twice, and a Linear on
    positions.
    """

    def __init__(self, maps: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, groups=3, dtype=DOUBLE)
        self.twice = nn.Conv2d(6, 6, 1, dtype=DOUBLE)
        self.last = nn.Linear(6, 4, dtype=DOUBLE)
        self.maps = maps

    def forward(self, x: torch.Tensor, note: Callable[..., torch.Tensor] = lambda _, y: y) -> Any:
        x = note("first", self.first(x)).relu_()
        x = note("twice", self.twice(note("twice", self.twice(x)).tanh()))
        scores = note("last", self.last(x.movedim(1, -1)))
        return {"out": scores.movedim(-1, 1)} if self.maps else scores.mean((1, 2))


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("maps", [False, True], ids=["a label an image", "a label a position"])
def test_every_image_on_its_own(maps: bool, frozen: bool) -> None:
    torch.manual_seed(0)
    network = Classifier(maps)
    images = torch.randn(11, 3, 4, 5, dtype=DOUBLE)
    gradients: dict[str, list[np.ndarray]] = {"first": [], "twice": [], "last": []}
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        every = [network(part) for part in images.split(8)]  # as many as are drawn for together
    drawn = torch.cat([draw_labels(scores["out"] if maps else scores, generator) for scores in every])
    for image, labels in zip(images.split(1), drawn.split(1), strict=True):
        noted: list[tuple[str, torch.Tensor]] = []

        def note(name: str, output: torch.Tensor, noted: Any = noted) -> torch.Tensor:
            noted.append((name, output))
            return output.clone()

        scores = network(image, note)
        scores = scores["out"] if maps else scores
        picked = scores.log_softmax(1).gather(1, labels[:, None])
        loss = -picked.sum() / (20**0.5 if maps else 1)
        found = torch.autograd.grad(loss, [output for _, output in noted])
        for (name, _), gradient in zip(noted, found, strict=True):
            channels = gradient[0] if name == "last" else gradient[0].movedim(0, -1)
            gradients[name].append(channels.reshape(-1, channels.shape[-1]).numpy())
    network.requires_grad_(not frozen)
    moments = Calibration(network, images).gradient_moments(list(gradients), seed=7)
    for name, parts in gradients.items():
        groups = 3 if name == "first" else 1
        rows = np.concatenate(parts).reshape(-1, groups, 6 // groups if name != "last" else 4)
        expected = np.einsum("cgi,cgj->gij", rows, rows) / len(rows)
        assert moments[name].columns == len(rows) == 220 * (2 if name == "twice" else 1)
        np.testing.assert_allclose(moments[name].second.numpy(), expected, rtol=1e-10, atol=1e-16)
        np.testing.assert_allclose(moments[name].mean.numpy(), rows.mean(0), rtol=1e-10, atol=1e-16)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_labels_come_as_often_as_the_network_expects_them() -> None:
    scores = torch.tensor([[[2.0, -1.0], [0.5, 0.0], [-3.0, 1.0]]]).expand(20_000, 3, 2)
    labels = draw_labels(scores, torch.Generator().manual_seed(0))
    assert labels.shape == (20_000, 2)
    often = torch.stack([(labels == label).double().mean(0) for label in range(3)])
    expected = scores[0].double().softmax(0)
    assert ((often - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt()).all()


def test_they_predict_the_divergence_of_small_changes() -> None:
    """One layer alone, so that nothing of the Kronecker approximation is left but independence."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4, bias=False, dtype=DOUBLE))
    images = torch.ones(5_000, 3, dtype=DOUBLE) + 0.01 * torch.randn(5_000, 3, dtype=DOUBLE)
    calibration = Calibration(network, [images])
    inputs, gradients = calibration.moments(["0"])["0"], calibration.gradient_moments(["0"], seed=0)["0"]
    change = 0.01 * torch.randn(4, 3, dtype=DOUBLE)
    predicted = float((gradients.second[0] @ change @ inputs.second[0] @ change.T).trace())
    small = nn.Sequential(nn.Linear(3, 4, bias=False, dtype=DOUBLE))
    small[0].weight = nn.Parameter(network[0].weight.detach() + change)
    share = gradients.columns / (2 * calibration.images)
    assert calibration.divergence(small) == pytest.approx(share * predicted, rel=0.05)


def test_seeds_and_refusals() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    calibration = Calibration(network, torch.randn(20, 3))
    first = calibration.gradient_moments(["0"], seed=1)["0"]
    assert calibration.gradient_moments(["0"], seed=1)["0"] is first
    again = Calibration(network, calibration.batches).gradient_moments(["2", "0"], seed=1)["0"]
    assert torch.equal(again.second, first.second)
    assert not torch.equal(calibration.gradient_moments(["0"], seed=2)["0"].second, first.second)
    single = nn.Linear(3, 1)
    with pytest.raises(pruners.PrunerError, match="need a network that gives class scores"):
        Calibration(single, torch.randn(20, 3)).gradient_moments([""], seed=0)


class Heads(nn.Module):
    """An auxiliary head beside the class scores; ``without`` says what runs without gradients."""

    def __init__(self, without: str = "") -> None:
        super().__init__()
        torch.manual_seed(5)
        self.body, self.head, self.aux = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 3)
        self.without = without

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.set_grad_enabled(self.without != "body"):
            x = torch.relu(self.body(x))
        x = x.detach() if self.without == "detached" else x
        scores = self.head(x)
        return {"out": scores.detach() if self.without == "scores" else scores, "aux": self.aux(x)}


def test_an_auxiliary_head_does_not_matter_to_the_class_scores() -> None:
    images = torch.randn(10, 3, 6, 6, generator=torch.manual_seed(0))
    network = Heads()
    moments = Calibration(network, images).gradient_moments(["body", "head", "aux"], seed=0)
    assert moments["aux"].columns == 10 * 2 * 2
    assert not moments["aux"].second.any() and not moments["aux"].mean.any()
    alone = Calibration(network, images).gradient_moments(["body"], seed=0)["body"]
    assert torch.equal(moments["body"].second, alone.second) and alone.second.any()
    artifact = pruners.compress(network, "calibrated", keep_ratio=0.6, data=images)
    assert (artifact.layers["aux"].rank, artifact.layers["aux"].error) == (1, 0)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("body", "Layer 'body' has no gradients, the network runs it"),
        ("detached", "Layer 'body' has no gradients, the network detaches"),
        ("scores", "class scores have gradients"),
    ],
)
def test_a_network_without_a_way_back_is_said_to_have_none(without: str, said: str) -> None:
    network = Heads(without)
    calibration = Calibration(network, torch.randn(20, 3, 6, 6))
    with pytest.raises(pruners.PrunerError, match=said):
        calibration.gradient_moments(["body", "head"], seed=0)
