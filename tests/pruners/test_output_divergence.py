"""How far a network's outputs are from the dense one's, against scipy."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration


class Returns(nn.Module):
    """Gives its one parameter, in the form that ``form`` makes of it."""

    def __init__(self, outputs: torch.Tensor, form: Any) -> None:
        super().__init__()
        self.outputs, self.form = nn.Parameter(outputs), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.outputs[x[:, 0].long()])


def pair(*shape: int, form: Any = lambda x: x) -> tuple[Returns, Returns, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    dense, small = (Returns(torch.randn(*shape, generator=random), form) for _ in range(2))
    return dense, small, torch.arange(shape[0], dtype=torch.float32)[:, None]


def divergence(p: torch.Tensor, q: torch.Tensor) -> float:
    log_p = log_softmax(p.detach().double().numpy(), axis=1)
    log_q = log_softmax(q.detach().double().numpy(), axis=1)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())


@pytest.mark.parametrize("shape", [(70, 5), (40, 3, 4, 2), (4, 3, 350, 400)], ids=str)
def test_class_scores_diverge_by_their_softmax(shape: tuple[int, ...]) -> None:
    dense, small, images = pair(*shape)
    calibration = Calibration(dense, images)
    assert calibration.divergence(small) == pytest.approx(divergence(dense.outputs, small.outputs), rel=1e-9)
    assert calibration.divergence(dense) == 0
    assert calibration.images == shape[0]


@pytest.mark.parametrize("key", ["out", "logits"])
def test_class_scores_in_a_dictionary(key: str) -> None:
    dense, small, images = pair(9, 5, form=lambda x: {"aux": x[:, :1], key: x})
    expected = divergence(dense.outputs, small.outputs)
    assert Calibration(dense, images).divergence(small) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "form",
    [lambda x: x[:, :1], lambda x: x[:, 0], lambda x: (x[:, :2], [x[:, 2:]]), lambda x: {"boxes": x}],
    ids=["one column", "one dimension", "several tensors", "dictionary"],
)
def test_other_outputs_by_their_relative_squared_error(form: Any) -> None:
    dense, small, images = pair(50, 4, form=form)
    used = 4 if isinstance(form(torch.ones(1, 4)), tuple | dict) else 1
    a, b = dense.outputs.detach().double()[:, :used], small.outputs.detach().double()[:, :used]
    expected = float((a - b).square().sum() / a.square().sum())
    assert Calibration(dense, images).divergence(small) == pytest.approx(expected, rel=1e-9)


def test_outputs_of_another_form_or_not_finite() -> None:
    dense, small, images = pair(8, 5)
    calibration = Calibration(dense, images)
    small.outputs.data[3, 2] = torch.nan
    assert calibration.divergence(small) == float("inf")
    small.form = lambda x: x[:, :4]
    with pytest.raises(pruners.PrunerError, match=r"different shapes, \(8, 5\) and \(8, 4\)"):
        calibration.divergence(small)
    small.form = lambda x: (x, x)
    with pytest.raises(pruners.PrunerError, match="outputs have different forms"):
        calibration.divergence(small)

    small.form = lambda x: SimpleNamespace(scores=x)
    dense.form = small.form
    with pytest.raises(pruners.PrunerError, match="gives a SimpleNamespace, which holds no tensors"):
        Calibration(dense, images).divergence(small)


@pytest.mark.parametrize("form", [lambda x: x, lambda x: (x, x)], ids=["scores", "others"])
def test_a_dense_network_s_own_outputs_are_finite(form: Any) -> None:
    dense, small, images = pair(8, 5, form=form)
    dense.outputs.data[3, 2] = torch.nan
    with pytest.raises(pruners.PrunerError, match="network's own outputs on the calibration images are not"):
        Calibration(dense, images).divergence(small)


def test_classes_that_the_network_rules_out() -> None:
    dense, small, images = pair(8, 5)
    expected = divergence(dense.outputs[:, 1:], small.outputs[:, 1:])
    dense.outputs.data[:, 0] = small.outputs.data[:, 0] = -torch.inf
    assert Calibration(dense, images).divergence(small) == pytest.approx(expected, rel=1e-9)
    small.outputs.data[2, 3] = -torch.inf  # what the dense one thinks possible
    assert Calibration(dense, images).divergence(small) == float("inf")
