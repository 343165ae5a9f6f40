"""Input moments against columns that are written out in numpy, one output position after the other."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

import pruners
from pruners.calibration.calibration import Calibration
from pruners.calibration.moments.input_moments import call_moments

DOUBLE = torch.float64


def explicit_columns(layer: Any, inputs: torch.Tensor) -> NDArray[np.float64]:
    """groups x columns x n, by slicing."""
    if isinstance(layer, nn.Linear):
        return inputs.detach().double().reshape(1, -1, inputs.shape[-1]).numpy()
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if layer.padding == "same":
        whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        around = [(w // 2, w - w // 2) for w in whole]
    else:
        around = [(p, p) for p in ((0,) * len(kernel) if layer.padding == "valid" else layer.padding)]
    mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    maps = np.pad(inputs.detach().double().numpy(), [(0, 0), (0, 0), *around], mode[layer.padding_mode])
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    starts = [range(0, side - r, s) for side, r, s in zip(maps.shape[2:], reach, stride, strict=True)]
    columns = []
    for sample, position in itertools.product(maps, itertools.product(*starts)):
        cut = tuple(slice(p, p + r + 1, d) for p, r, d in zip(position, reach, dilation, strict=True))
        columns.append(sample[(slice(None), *cut)].reshape(layer.groups, -1))
    return np.stack(columns, axis=1)


def check(layer: Any, moment: Any, columns: NDArray[np.float64], tolerance: float = 1e-10) -> None:
    second = columns.transpose(0, 2, 1) @ columns / columns.shape[1]
    assert moment.columns == columns.shape[1]
    assert moment.second.dtype == moment.mean.dtype == DOUBLE
    assert moment.second.shape == second.shape
    assert np.abs(moment.second.numpy() - second).max() <= tolerance * max(1.0, np.abs(second).max())
    assert np.abs(moment.mean.numpy() - columns.mean(axis=1)).max() <= tolerance
    assert torch.equal(moment.second, moment.second.mT)
    # the columns are in the order of the folded weight
    weight = layer.weight.detach().double().reshape(columns.shape[0], -1, columns.shape[-1])
    assert weight.shape[-1] == moment.second.shape[-1]


LAYERS = [
    nn.Conv2d(3, 4, 3, padding=1),
    nn.Conv2d(3, 4, 3),
    nn.Conv2d(3, 4, 3, padding=2),
    nn.Conv2d(3, 4, 3, padding=4),
    nn.Conv2d(3, 4, 3, stride=2, padding=1),
    nn.Conv2d(3, 4, 7, stride=2, padding=3),
    nn.Conv2d(3, 4, 1),
    nn.Conv2d(3, 4, 1, stride=2),
    nn.Conv2d(3, 4, 1, padding=1),
    nn.Conv2d(3, 4, (1, 4), padding="same"),
    nn.Conv2d(3, 4, (2, 3), padding=(0, 1), dilation=(2, 1)),
    nn.Conv2d(3, 4, (3, 2), padding=(1, 2), stride=(1, 2)),
    nn.Conv2d(3, 4, 3, padding="same", dilation=2),
    nn.Conv2d(3, 4, 2, padding="valid"),
    nn.Conv2d(3, 4, 7, padding=3),
    nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="circular"),
    nn.Conv2d(3, 4, 4, padding="same", padding_mode="replicate"),
    nn.Conv2d(4, 6, 3, padding=1, groups=2),
    nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
    nn.Conv1d(3, 4, 3, padding=1, dilation=2),
    nn.Conv1d(4, 4, 2, stride=2, groups=2),
    nn.Conv3d(2, 3, (3, 2, 1), padding=(1, 0, 0)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32], ids=str)
def test_every_convolution(layer: Any, dtype: torch.dtype) -> None:
    layer = layer.to(dtype)
    sides = (7, 8, 6)[: len(layer.kernel_size)]
    images = torch.randn(5, layer.in_channels, *sides, dtype=dtype, generator=torch.manual_seed(0)) + 0.5
    moment = Calibration(layer, [images[:2], images[2:]]).moments([""])[""]
    check(layer, moment, explicit_columns(layer, images), 1e-10 if dtype == DOUBLE else 1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("layer", [*LAYERS, nn.Linear(3, 4), nn.Linear(3, 4, bias=False)], ids=str)
def test_outputs_that_are_wanted_of_a_call(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruners.calibration.moments.input_moments._ELEMENTS", 300)  # several parts
    layer, generator = layer.double(), torch.manual_seed(0)
    linear = isinstance(layer, nn.Linear)
    shape = (5, 6, 3) if linear else (5, layer.in_channels, *(7, 8, 6)[: len(layer.kernel_size)])
    images = torch.randn(shape, dtype=DOUBLE, generator=generator)
    wanted = torch.randn(layer(images).shape, dtype=DOUBLE, generator=generator)
    moments = call_moments(layer, images, wanted)
    assert moments is not None
    columns = explicit_columns(layer, images)
    bias = 0 if layer.bias is None else layer.bias.detach().numpy()
    values = np.moveaxis(wanted.numpy(), -1 if linear else 1, -1).reshape(columns.shape[1], -1) - bias
    values = values.reshape(columns.shape[1], len(columns), -1).transpose(1, 2, 0)
    assert np.allclose(moments.target.numpy(), values @ columns / columns.shape[1], rtol=0, atol=1e-12)
    assert np.allclose(moments.output_mean.numpy(), values.mean(-1), rtol=0, atol=1e-12)
    assert moments.energy == pytest.approx(np.square(values).sum() / columns.shape[1], abs=1e-12)


def test_leading_dimensions_and_several_calls_add_up() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6, dtype=DOUBLE)
            self.unused = nn.Linear(2, 2, dtype=DOUBLE)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(input=functional.relu(self.inner(x))[:, 0])

    network = Twice()
    images = torch.randn(4, 3, 2, 6, dtype=DOUBLE, generator=torch.manual_seed(1))
    calibration = Calibration(network, images)
    with torch.no_grad():
        second = functional.relu(network.inner(images))[:, 0]
    columns = np.concatenate(
        [explicit_columns(network.inner, images), explicit_columns(network.inner, second)], axis=1
    )
    check(network.inner, calibration.moments(["inner"])["inner"], columns)
    with pytest.raises(pruners.PrunerError, match="'unused' is not called on the calibration images"):
        calibration.moments(["inner", "unused"])
    with pytest.raises(pruners.UnknownLayer, match="no convolution or Linear 'iner'; did you mean 'inner'"):
        calibration.moments(["iner"])


def test_inputs_that_are_not_finite_are_named() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    nn.init.constant_(network[0].bias, torch.finfo(torch.float32).max)
    nn.init.constant_(network[0].weight, 1e38)
    with pytest.raises(pruners.PrunerError, match="Layer '1': its inputs on the calibration images are not"):
        Calibration(network, torch.tensor([[1.0, 1.0, 1.0]])).moments(["0", "1"])


def test_layers_of_a_transformer_are_called_off_its_fast_path() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    network = nn.TransformerEncoder(layer, 2).eval()
    images = torch.randn(3, 5, 8)
    moments = Calibration(network, images).moments(["layers.0.linear1", "layers.1.linear2"])
    assert {name: moment.columns for name, moment in moments.items()} == {
        "layers.0.linear1": 15,
        "layers.1.linear2": 15,
    }


def test_maps_of_several_sizes_and_none_at_all_add_up() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(3, 2, 3, padding=1, dtype=DOUBLE)

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [self.head(part) for part in parts(x)]

    def parts(x: torch.Tensor) -> list[torch.Tensor]:
        return [x, x[:, :, ::2, 1:], x[:, :, :3, :3], x[:, :, 1:2, 2:3], x[:0]]

    images = torch.randn(3, 3, 9, 8, dtype=DOUBLE, generator=torch.manual_seed(2))
    network = Pyramid()
    columns = [explicit_columns(network.head, part) for part in parts(images)[:-1]]
    check(
        network.head, Calibration(network, images).moments(["head"])["head"], np.concatenate(columns, axis=1)
    )


@pytest.mark.parametrize(
    "build",
    [
        torchvision.models.googlenet,
        torchvision.models.segmentation.lraspp_mobilenet_v3_large,
    ],
    ids=lambda build: build.__name__,
)
def test_squared_outputs_of_all_layers_of_a_network_follow(build: Any) -> None:
    torch.manual_seed(0)
    extra = {"weights_backbone": None} if "segmentation" in build.__module__ else {}
    extra |= {"init_weights": False, "aux_logits": False} if "googlenet" in build.__name__ else {}
    network = build(weights=None, **extra).eval()
    images = torch.randn(3, 3, 64, 64)
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    squares: dict[str, list[torch.Tensor]] = {name: [] for name in layers}

    def note(name: str) -> Any:
        def hook(layer: Any, inputs: Any, output: torch.Tensor) -> None:
            channels = output.double().movedim(1 if isinstance(layer, nn.Conv2d) else -1, 0).flatten(1)
            squares[name].append(channels - (0 if layer.bias is None else layer.bias[:, None]))

        return hook

    handles = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    moments = Calibration(network, images).moments([name for name in layers if squares[name]])
    assert len(moments) > 20
    for name, moment in moments.items():
        weight = (
            layers[name].weight.detach().double().reshape(len(moment.second), -1, moment.second.shape[-1])
        )
        predicted = (weight @ moment.second * weight).sum(-1).flatten()
        outputs = torch.cat(squares[name], dim=1)
        assert moment.columns == outputs.shape[1]
        torch.testing.assert_close(predicted, outputs.square().mean(1), rtol=1e-4, atol=1e-7)
