"""Networks that take one tensor, several by position or several by keyword: batches of all three forms are
handled alike.
"""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.network.inputs import (
    batch_size,
    forward,
    input_tensors,
    join_inputs,
    move_inputs,
    split_inputs,
    take_inputs,
)

X, Y = torch.arange(12.0).reshape(6, 2), torch.arange(6, 24.0).reshape(6, 3)
Pair = namedtuple("Pair", "left right")
FORMS = {
    "tuple": (X, Y),
    "list": [X, Y],
    "namedtuple": Pair(X, Y),
    "dict": {"left": X, "right": Y},
    "ordered": OrderedDict(right=Y, left=X),
}


class Two(nn.Module):
    """A network with two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.of_left, self.of_right, self.norm = nn.Linear(2, 4), nn.Linear(3, 4), nn.BatchNorm1d(4)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.norm(self.of_left(left) + self.of_right(right))


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_in_every_form(form: str) -> None:
    batch, network = FORMS[form], Two().eval()
    assert torch.equal(forward(network, batch), network(X, Y))
    assert batch_size(batch) == 6
    assert {tensor.shape for tensor in input_tensors(batch)} == {X.shape, Y.shape}
    part = take_inputs(batch, torch.tensor([4, 1]))
    assert torch.equal(forward(network, part), network(X[[4, 1]], Y[[4, 1]]))
    pieces = split_inputs(batch, 4)
    assert [batch_size(piece) for piece in pieces] == [4, 2]
    assert torch.equal(forward(network, join_inputs(pieces)), network(X, Y))
    assert {tensor.device.type for tensor in input_tensors(move_inputs(batch, torch.device("meta")))} == {
        "meta"
    }


def test_one_tensor_is_left_as_it_is() -> None:
    network = nn.Linear(2, 3)
    assert torch.equal(forward(network, X), network(X)) and batch_size(X) == 6
    assert torch.equal(join_inputs(split_inputs(X, 5)), X)


def test_a_list_within_is_one_argument() -> None:
    class Sums(nn.Module):
        def forward(self, images: list[Tensor]) -> Tensor:
            return torch.stack([image.sum() for image in images])

    assert torch.equal(forward(Sums(), ([X, Y],)), torch.stack([X.sum(), Y.sum()]))


@pytest.mark.parametrize(
    "wrong", [(X, "mask"), {"left": X, "right": None}, "image", 3, [], {}, (X, Y[:5]), torch.tensor(3.0)]
)
def test_what_is_no_batch(wrong: object) -> None:
    with pytest.raises(pruners.PrunerError, match=r"inputs|batch"):
        batch_size(wrong)  # type: ignore[arg-type]


def test_batchnorm_is_estimated_on_several_inputs() -> None:
    network = Two()
    for form in ({"left": X, "right": Y}, (X, Y)):
        pruners.recalibrate_batchnorm(network, [form])
        before = network.of_left(X) + network.of_right(Y)
        torch.testing.assert_close(network.norm.running_mean, before.mean(0))
        torch.testing.assert_close(network.norm.running_var, before.var(0))


def test_gradients_of_several_inputs() -> None:
    network, labels = Two().double(), torch.tensor([0, 1, 2, 3, 0, 1])
    x, y = X.double(), Y.double()
    network.eval()
    loss = nn.functional.cross_entropy(network(x, y), labels)
    expected = torch.autograd.grad(loss, [network.of_left.weight, network.of_right.weight])
    for form in ({"left": x, "right": y}, [x, y]):
        batches = [(take_inputs(form, slice(0, 4)), labels[:4]), (take_inputs(form, slice(4, 6)), labels[4:])]
        scores = pruners.scores(network, "snip", data=batches, loss=nn.functional.cross_entropy, bn="eval")
        for (name, score), gradient in zip(scores.items(), expected, strict=True):
            weight = network.get_parameter(name).detach()
            ratio = score / (gradient * weight).abs()
            torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.flatten()[0])))
