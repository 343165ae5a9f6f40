"""Kept weights of networks refitted: numpy's least squares on explicit columns, the guard, the artifact."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration
from pruners.sparse.fitting.network_refit import refitted
from pruners.testing.sparse.network import OddNetwork

pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")


class Mixed(nn.Module):
    """A convolution into BatchNorm, a grouped one with a bias, one without either, a Linear and an output."""

    def __init__(self, seed=3):
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.grouped = nn.Conv2d(6, 8, 3, stride=2, groups=2)
        self.plain = nn.Conv2d(8, 4, 2, bias=False)
        self.hidden = nn.Linear(4, 7)
        self.output = nn.Linear(7, 5)
        self.eval().double()

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.plain(torch.relu(self.grouped(x))).mean((2, 3)))
        return 3 * self.output(torch.relu(self.hidden(x)))


IMAGES = torch.rand(96, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def columns_of(model, name):
    """Inputs of a layer as columns, group by group, by torch's own unfold."""
    layer, seen = model.get_submodule(name), []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(IMAGES)
    handle.remove()
    if isinstance(layer, nn.Linear):
        return seen[0].T.numpy()[None]
    unfolded = nn.functional.unfold(seen[0], layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    flat = unfolded.transpose(0, 1).flatten(1).numpy()
    return flat.reshape(layer.groups, -1, flat.shape[1])


def by_lstsq(model, name, kept, intercept):
    """Weights, group by group and row by row, and the intercepts where there are some."""
    layer = model.get_submodule(name)
    weights = layer.weight.detach().numpy()
    found, offsets = np.zeros(weights.shape), []
    groups = getattr(layer, "groups", 1)
    rows = len(weights) // groups
    for place, (row, places) in enumerate(zip(weights, kept.numpy(), strict=True)):
        inputs = columns_of(model, name)[place // rows]
        # the change that is needed: an input that is always zero asks for none
        wanted = (row * ~places).ravel() @ inputs
        known = inputs[places.ravel()]
        if intercept:
            known = np.concatenate([known, np.ones((1, inputs.shape[1]))])
        answer = np.linalg.lstsq(known.T, wanted, rcond=None)[0]
        if intercept:
            *answer, offset = answer
            offsets.append(offset)
        found[place][places] = row[places] + answer
    return found, np.array(offsets)


def test_every_layer_is_the_least_squares_answer():
    model = Mixed()
    mask = pruners.compress(model, "magnitude", keep_ratio=0.6, allocation="layerwise")
    fitted = refitted(mask, Calibration(model, IMAGES), "layer", 0.0)
    assert fitted.refit.kept and fitted.complete
    small = fitted.apply(model)
    for name, layer in fitted.prunable.items():
        about_means = name != "plain"  # it has no bias, and no BatchNorm behind it
        kept = mask.masks[layer.parameter]
        weight, offsets = by_lstsq(model, name, kept, about_means)
        module = small.get_submodule(name)
        assert module.weight.detach().numpy() == pytest.approx(weight, abs=1e-8)
        assert (module.weight[~kept] == 0).all()
        if module.bias is not None:
            bias = model.get_submodule(name).bias.detach().numpy() + offsets
            assert module.bias.detach().numpy() == pytest.approx(bias, abs=1e-8)
        columns, dense = columns_of(model, name), model.get_submodule(name).weight.detach().numpy()
        folded = dense.reshape(len(columns), -1, columns.shape[1])
        wanted = folded @ columns
        lost = (folded - weight.reshape(folded.shape)) @ columns
        if about_means:
            wanted, lost = (part - part.mean(-1, keepdims=True) for part in (wanted, lost))
        error = np.linalg.norm(lost) / np.linalg.norm(wanted)
        assert fitted.refit.output_errors[name] == pytest.approx(error, abs=1e-6)


class Two(nn.Module):
    """A convolution into BatchNorm, and one with a bias behind it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.first, self.norm = nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 4, 3, stride=2)
        self.norm.weight.data.uniform_(0.5, 2)
        self.norm.bias.data.normal_()
        self.norm.running_mean.normal_()
        self.eval().double()

    def forward(self, x):
        return 4 * self.second(torch.relu(self.norm(self.first(x)))).mean((2, 3))


def unfolded(x, layer):
    columns = nn.functional.unfold(x, layer.kernel_size, 1, layer.padding, layer.stride)
    return columns.transpose(0, 1).flatten(1).numpy()


def test_in_sequence_by_hand():
    """Each row by numpy on the columns that the masked network gives it, BatchNorm by these images."""
    model, ridge = Two(), 1e-3
    mask = pruners.compress(
        model, "magnitude", keep_ratio=0.5, refit="sequential", ridge=ridge, data=list(IMAGES.split(40))
    )
    first, second = (mask.masks[f"{name}.weight"] for name in ("first", "second"))

    def rows(layer, kept, columns, wanted):
        centred = columns - columns.mean(1, keepdims=True)
        n, count = centred.shape
        noise = np.sqrt(ridge * np.mean(centred**2) * count)
        found = np.zeros((len(wanted), n))
        for place, (weight, places) in enumerate(zip(layer.weight, kept, strict=True)):
            known, weight, places = centred, weight.detach().numpy().ravel(), places.numpy().ravel()
            known = np.concatenate([centred[places], noise * np.eye(places.sum())], axis=1)
            aim = np.concatenate([wanted[place] - wanted[place].mean(), noise * weight[places]])
            found[place][places] = np.linalg.lstsq(known.T, aim, rcond=None)[0]
        return found, wanted.mean(1) - found @ columns.mean(1)

    with torch.no_grad():
        columns = unfolded(IMAGES, model.first)
        dense = model.first.weight.flatten(1).numpy() @ columns
        weight, _ = rows(model.first, first, columns, dense)
        made = torch.from_numpy(weight).view_as(model.first.weight)
        out = nn.functional.conv2d(IMAGES, made, padding=1)
        normed = nn.functional.batch_norm(out, None, None, model.norm.weight, model.norm.bias, training=True)
        wanted = model.second(torch.relu(model.norm(model.first(IMAGES)))).transpose(0, 1).flatten(1).numpy()
        other, bias = rows(model.second, second, unfolded(torch.relu(normed), model.second), wanted)
    small = mask.apply(model)
    assert mask.refit.kept and mask.refit.refit == "sequential"
    assert small.first.weight.detach().flatten(1).numpy() == pytest.approx(weight, abs=1e-8)
    assert small.second.weight.detach().flatten(1).numpy() == pytest.approx(other, abs=1e-7)
    assert small.second.bias.detach().numpy() == pytest.approx(bias, abs=1e-7)


def test_in_sequence_makes_up_for_more_than_layer_by_layer():
    model = Mixed()
    layer, sequential = (
        pruners.compress(model, "magnitude", keep_ratio=0.3, refit=refit, data=IMAGES).refit
        for refit in ("layer", "sequential")
    )
    assert (
        sequential.divergence < layer.divergence < layer.divergence_without == sequential.divergence_without
    )
    assert [*sequential.output_errors] == ["stem", "grouped", "plain", "hidden", "output"]


class Twice(nn.Module):
    """One layer that is called twice in a pass, and one whose input has no batch of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.again, self.output = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return 5 * self.output(torch.relu(self.again(torch.relu(self.again(x)))))


def test_in_sequence_a_layer_called_twice_is_fitted_as_by_itself():
    model, images = Twice(), torch.randn(80, 6, generator=torch.Generator().manual_seed(4))
    layer, sequential = (
        pruners.compress(
            model, "magnitude", keep_ratio=0.5, allocation="layerwise", refit=refit, data=images
        ).apply(model)
        for refit in ("layer", "sequential")
    )
    assert torch.equal(layer.again.weight, sequential.again.weight)
    assert not torch.equal(layer.output.weight, sequential.output.weight)


class Padded(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


class Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.weight / self.weight.std((1, 2, 3), keepdim=True), self.bias)


@pytest.mark.parametrize("refit", ["layer", "sequential"])
@pytest.mark.parametrize("kind", [Padded, Standardised])
def test_layers_with_a_forward_of_their_own_are_left(kind, refit):
    torch.manual_seed(0)
    own = kind(3, 12, 3)
    network = nn.Sequential(
        own, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 4)
    )
    artifact = pruners.compress(
        network,
        "magnitude",
        keep_ratio=0.5,
        data=torch.randn(30, 3, 8, 8),
        refit=refit,
        allocation="layerwise",
    )
    assert artifact.refit.output_errors.keys() == {"4", "5"} and artifact.refit.kept
    masked = own.weight.detach() * artifact.masks["0.weight"]
    assert torch.equal(artifact.apply(network)[0].weight, masked)


def test_in_sequence_takes_images_of_one_shape():
    images = [IMAGES[:8], torch.rand(8, 3, 9, 9).double()]
    ask = {"keep_ratio": 0.5, "data": images}
    with pytest.raises(pruners.PrunerError, match="not of one shape: give refit='layer'"):
        pruners.compress(Mixed(), "magnitude", refit="sequential", **ask)
    assert pruners.compress(Mixed(), "magnitude", refit="layer", **ask).refit.images == 16


def test_what_the_refit_came_to_is_told_and_batchnorm_is_estimated_again():
    model = Mixed()
    mask = pruners.compress(model, "magnitude", keep_ratio=0.4, refit="layer", data=IMAGES)
    bare = pruners.compress(model, "magnitude", keep_ratio=0.4)
    assert all(torch.equal(kept, bare.masks[name]) for name, kept in mask.masks.items())
    small, without = mask.apply(model), bare.apply(model)
    calibration = Calibration(model, IMAGES)
    assert mask.refit.divergence == calibration.divergence(small) < mask.refit.divergence_without
    assert mask.refit.divergence_without == calibration.divergence_recalibrated(without)
    assert (mask.refit.refit, mask.refit.images) == ("layer", 96)
    statistics = small.norm.running_mean.clone()
    pruners.recalibrate_batchnorm(small, calibration.batches)
    assert torch.equal(statistics, small.norm.running_mean)
    assert not torch.equal(statistics, model.norm.running_mean)


class Thresholded(nn.Module):
    """Features that count above a threshold, which the least squares of the layer below know nothing of."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(6, 12)
        self.output = nn.Linear(12, 3)

    def forward(self, x):
        return 40 * self.output(torch.relu(self.hidden(x) - 1.2))


def test_a_refit_that_makes_the_outputs_worse_is_not_kept():
    model, images = Thresholded(), torch.randn(200, 6, generator=torch.Generator().manual_seed(4))
    mask = pruners.compress(
        model, "magnitude", keep_ratio=0.5, exclude=["output"], refit="layer", ridge=0.0, data=images
    )
    assert not mask.refit.kept and mask.refit.divergence >= mask.refit.divergence_without
    bare = pruners.compress(model, "magnitude", keep_ratio=0.5, exclude=["output"])
    small, without = mask.apply(model).state_dict(), bare.apply(model).state_dict()
    assert all(torch.equal(tensor, without[name]) for name, tensor in small.items())


def test_same_images_same_bits_and_a_round_trip(tmp_path):
    model = Mixed().float()
    before = copy.deepcopy(model)
    images = IMAGES.float()
    first, second = (
        pruners.compress(model, "magnitude", keep_ratio=0.3, refit="layer", data=given)
        for given in (images, [(batch, None) for batch in images.split(32)])
    )
    first.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert loaded.refit == first.refit == second.refit and loaded.complete
    for other in (second, loaded, first.capture(first.apply(model))):
        small = other.apply(before).state_dict()
        assert all(
            torch.equal(tensor, small[name]) for name, tensor in first.apply(model).state_dict().items()
        )
        assert other.refit == first.refit
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_another_mask_has_no_refitted_weights():
    model = Mixed()
    mask = pruners.compress(model, "magnitude", keep_ratio=0.3, refit="layer", data=IMAGES)
    for other in (mask.with_masks(mask.masks), pruners.shuffle(mask, 1), pruners.random_mask(mask, 1)):
        assert not other.complete and other.refit is None
    again = pruners.compress(model, "magnitude", keep_ratio=0.2, mask=mask, refit="layer", data=IMAGES)
    assert all((mask.masks[name] | ~kept).all() for name, kept in again.masks.items())


def test_weights_that_something_else_uses_stay_as_they_are():
    model = OddNetwork()
    images = torch.randn(64, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    mask = pruners.compress(
        model,
        "magnitude",
        keep_ratio=0.4,
        allocation="layerwise",
        min_layer_keep=1,
        refit="layer",
        data=images,
    )
    fitted = ["stem.0", "grouped", "pointwise", "line", "hidden", "output"]
    assert [*mask.refit.output_errors] == fitted
    small = mask.apply(model)
    assert torch.equal(small.first.weight, model.first.weight * mask.masks["first.weight"])
    assert small.second.weight is small.first.weight


def test_attention_and_low_precision():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0).eval().bfloat16()
    images = torch.randn(32, 5, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    mask = pruners.compress(model, "magnitude", keep_ratio=0.5, refit="layer", data=images)
    assert mask.refit.output_errors.keys() == {"linear1", "linear2"}
    small = mask.apply(model)
    assert {parameter.dtype for parameter in small.parameters()} == {torch.bfloat16}
    assert torch.equal(
        small.self_attn.in_proj_weight,
        model.self_attn.in_proj_weight * mask.masks["self_attn.in_proj_weight"],
    )


def test_images_are_asked_for():
    with pytest.raises(pruners.PrunerError, match="refit layer needs data="):
        pruners.compress(Mixed(), "magnitude", keep_ratio=0.5, refit="layer")
    method = pruners.methods()["magnitude"]
    assert method.wants_data({"refit": "layer"}) and method.wants_data({"allocation": "measured"})
    assert not method.wants_data({}) and not method.wants_data({"allocation": "lamp", "refit": "none"})
