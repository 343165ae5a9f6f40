"""Factors refitted to calibration images: against doing it by hand, and what becomes of the artifact."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.network.batchnorm import recalibrate_batchnorm


def images(number=96, shape=(4, 8, 8), seed=7):
    """Smooth inputs, far from white."""
    noise = torch.randn(number, *shape, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 3, 1, 1) + 0.5


def columns_of(layer, x):
    """Groups x n x positions, by unfold."""
    if isinstance(layer, nn.Linear):
        return x.reshape(1, -1, x.shape[-1]).mT.double()
    seen = nn.functional.unfold(x.double(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return seen.unflatten(1, (layer.groups, -1)).permute(1, 2, 0, 3).flatten(2)


def outputs_of(layer, y):
    groups = getattr(layer, "groups", 1)
    return y.double().transpose(0, 1).flatten(1).unflatten(0, (groups, -1))


def seen_by(network, layer, x):
    """A layer's inputs and outputs in eval mode."""
    found = []
    handle = layer.register_forward_hook(lambda _m, given, output: found.append((given[0], output)))
    with torch.no_grad():
        network(x)
    handle.remove()
    return found[0]


def least_squares(encoded, wanted, with_bias):
    """The decoder of one group, and its offset."""
    ones = [np.ones((encoded.shape[1], 1))] if with_bias else []
    solution, *_ = np.linalg.lstsq(np.hstack([encoded.T.numpy(), *ones]), wanted.T.numpy(), rcond=None)
    solution = torch.from_numpy(solution.T)
    return (solution[:, :-1], solution[:, -1]) if with_bias else (solution, torch.zeros(len(solution)))


def two_layers():
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(4, 12, 3, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(160, 5),
    ).double()


@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_two_layers_by_hand(refit):
    """Encoders as ALDS has them, then each layer by numpy.linalg.lstsq on explicit columns."""
    dense, x = two_layers(), images().double()
    recalibrate_batchnorm(dense, [x])
    dense.eval()
    options = {"keep_ratio": 0.5, "candidate_subspaces": [2], "exclude": ["6"]}
    plain = pruners.compress(dense, "alds", **options)
    assert plain.layers.keys() == {"0", "3"}
    artifact = pruners.compress(dense, "alds", data=[x], refit=refit, ridge=0.0, **options)
    by_hand = plain.apply(dense)
    norm = by_hand[1]
    for name in ("0", "3"):
        layer = dense[int(name)]
        _, wanted = seen_by(dense, layer, x)
        source = by_hand if refit == "sequential" else dense
        given, _ = seen_by(source, source[int(name)], x)
        first, second = by_hand[int(name)]
        with torch.no_grad():
            hidden = first(given)
        groups = getattr(layer, "groups", 1)
        encoded = hidden.transpose(0, 1).flatten(1).unflatten(0, (groups, -1))
        fitted = [
            # BatchNorm after the first takes care of a constant, the second has a bias
            least_squares(h, w, with_bias=True)
            for h, w in zip(encoded, outputs_of(layer, wanted), strict=True)
        ]
        second.weight.data = torch.cat([weight for weight, _ in fitted])[:, :, None, None]
        if layer.bias is not None:
            second.bias.data = torch.cat([offset for _, offset in fitted])
        if refit == "sequential":
            norm.train()  # by the statistics of all images
    recalibrate_batchnorm(by_hand, [x])
    assert artifact.refit.kept
    with torch.no_grad():
        expected, small = by_hand.eval()(x), artifact.apply(dense).eval()
        torch.testing.assert_close(small(x), expected, rtol=0, atol=1e-7)
        log_p, log_q = dense(x).log_softmax(1), small(x).log_softmax(1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    assert artifact.refit.divergence == pytest.approx(float(divergence), rel=1e-9)
    for name, error in artifact.refit.output_errors.items():
        assert 0 < error < 1, name


def refitted(network, **options):
    return pruners.compress(network, "alds", **{"keep_ratio": 0.3, "data": images(), **options})


def test_without_data_nothing_changes(network):
    plain = pruners.compress(network, "alds", keep_ratio=0.3)
    unfitted = refitted(network, refit="none")
    assert plain.refit is unfitted.refit is None
    assert "refit" not in plain.described()
    assert plain.tensors.keys() == unfitted.tensors.keys()
    assert all(torch.equal(tensor, unfitted.tensors[name]) for name, tensor in plain.tensors.items())


def test_what_needs_data_says_so(network):
    for refit in ("layer", "sequential"):
        with pytest.raises(pruners.PrunerError, match=f"refit '{refit}' needs data="):
            pruners.compress(network, "svd", keep_ratio=0.5, refit=refit)
    with pytest.raises(pruners.PrunerError, match="encoders 'whitened' belong to a refit"):
        pruners.compress(network, "svd", keep_ratio=0.5, encoders="whitened")
    with pytest.raises(pruners.PrunerError, match="encoders 'whitened' belong to a refit"):
        refitted(network, refit="none", encoders="whitened")


def test_who_wants_data():
    alds = pruners.methods()["alds"]
    assert alds.wants_data({}) and alds.wants_data({"refit": "layer"})
    assert not alds.wants_data({"refit": "none"})


@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_wrong_data_is_told(network, refit):
    for wrong in ("images", 3, [], [torch.zeros(0, 4, 8, 8)]):
        with pytest.raises(pruners.PrunerError, match="data"):
            refitted(network, data=wrong, refit=refit)
    with pytest.raises(pruners.PrunerError, match=r"calibration images.*layer '0'"):
        refitted(network, data=torch.zeros(5, 3, 8, 8), refit=refit)
    with torch.device("meta"):
        nowhere = two_layers()
    with pytest.raises(pruners.PrunerError, match="meta device"):
        refitted(nowhere, refit=refit)


def test_images_of_several_shapes_are_fitted_layer_by_layer():
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(4, 12, 3), nn.ReLU(), nn.Conv2d(12, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    data = [images(10), images(10, (4, 12, 9))]
    with pytest.raises(pruners.PrunerError, match="refit='layer'"):
        refitted(model, data=data, keep_ratio=0.5)
    assert refitted(model, data=data, keep_ratio=0.5, refit="layer").refit.images == 20


def test_labels_do_not_matter(network):
    x = images()
    first = refitted(network, data=[x[:50], x[50:]])
    second = refitted(network, data=((part, torch.zeros(len(part))) for part in (x[:50], x[50:])))
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


def test_a_fit_that_makes_it_worse_is_not_kept(network):
    """Random weights without structure in what they are given: here the weights' own factors are better."""
    x = images()
    pruners.recalibrate_batchnorm(network, [x])
    artifact = refitted(network, ridge=1e-12, data=[x[:2]], refit="layer")
    assert not artifact.refit.kept
    assert artifact.refit.divergence >= artifact.refit.divergence_without
    plain = pruners.compress(network, "alds", keep_ratio=0.3)
    assert all(torch.equal(artifact.tensors[name], tensor) for name, tensor in plain.tensors.items())


class Halves(nn.Module):
    """A layer called twice, one that is never called, one whose bias another uses too, one read only."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(6)
        self.twice, self.never, self.read = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 12)
        self.one, self.other = nn.Linear(12, 12), nn.Linear(12, 12)
        self.other.bias = self.one.bias

    def forward(self, x):
        x = torch.relu(self.twice(torch.relu(self.twice(x))))
        x = nn.functional.linear(x, self.read.weight)
        return self.one(x) - self.other(x.relu())


@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_layers_that_are_not_called_once(refit):
    model, x = Halves(), images(60, (1, 4, 3)).flatten(1)
    plain = pruners.compress(model, "svd", keep_ratio=0.6)
    artifact = pruners.compress(model, "svd", keep_ratio=0.6, data=x, refit=refit)
    assert artifact.refit.kept
    assert artifact.refit.output_errors.keys() == {"twice", "one", "other"}
    changed = {n for n, t in artifact.tensors.items() if not torch.equal(t, plain.tensors.get(n, t[:0]))}
    assert changed == {f"{name}.{part}.weight" for name in ("twice", "one", "other") for part in (0, 1)} | {
        "twice.1.bias"
    }
    small = artifact.apply(model)
    assert small.one[1].bias is small.other[1].bias


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("svd", {"refit": "layer"}),
        ("svd", {}),
        ("svd", {"encoders": "joint"}),
        ("calibrated", {"error": "measured"}),
        ("magnitude", {"refit": "sequential"}),
        ("magnitude", {"refit": "layer"}),
        ("magnitude", {"allocation": "measured"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_within_the_network_is_told(method, options, value):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12))
    model[0].bias.data[3] = value
    with pytest.raises(pruners.PrunerError, match="on the calibration images are not finite"):
        pruners.compress(model, method, keep_ratio=0.6, data=images(40, (1, 4, 3)).flatten(1), **options)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        *(("svd", {"refit": r, "encoders": e}) for r in ("layer", "sequential") for e in ("weight", "joint")),
        ("magnitude", {"refit": "layer"}),
        ("magnitude", {"refit": "sequential"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("number", [1, 40])
def test_images_that_do_not_vary_move_biases_alone(method, options, number):
    """What rounding leaves about the mean is nothing to fit a weight to."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 6))
    image = images(1, (1, 4, 3)).flatten(1)
    artifact = pruners.compress(model, method, keep_ratio=0.6, data=image.expand(number, -1), **options)
    plain = pruners.compress(model, method, keep_ratio=0.6)
    assert artifact.refit.kept and artifact.refit.divergence < 1e-12
    fitted, own = artifact.apply(model), plain.apply(model)
    for name in ("0", "2", "4"):
        ours, theirs = (small.get_submodule(name).weight for small in (fitted, own))
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)


class Rarely(nn.Module):
    """A layer that is given nothing, and two that are given one vector whatever the images are."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(6)
        self.query, self.scale, self.nothing, self.last = (nn.Linear(12, 12) for _ in range(4))
        self.vector = nn.Parameter(torch.randn(12))

    def forward(self, x):
        scale = self.scale(torch.relu(self.query(self.vector)))
        return self.last(x * scale) + self.nothing(x[:0]).sum(0)


class Catching(nn.Module):
    """Tries again where something is raised; ``caught`` is what."""

    def __init__(self, caught):
        super().__init__()
        torch.manual_seed(6)
        self.one, self.other, self.caught = nn.Linear(12, 12), nn.Linear(12, 12), caught

    def forward(self, x):
        try:
            return self.other(torch.relu(self.one(x)))
        except self.caught:
            return self.other(torch.relu(self.one(2 * x)))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_a_network_that_catches_what_its_layers_raise(caught):
    x = images(60, (1, 4, 3)).flatten(1)
    artifact = pruners.compress(Catching(caught), "svd", keep_ratio=0.6, data=x)
    same = pruners.compress(Catching(ValueError), "svd", keep_ratio=0.6, data=x)
    assert artifact.refit.kept and artifact.refit == same.refit


class Deciding(nn.Module):
    """Its first layer's outputs decide which layer is next."""

    def __init__(self, x):
        super().__init__()
        torch.manual_seed(6)
        self.first, self.one, self.other = (nn.Linear(12, 12) for _ in range(3))
        self.least = 0.999 * self.first(x).detach().abs().mean().item()

    def forward(self, x):
        x = self.first(x)
        return self.one(x) if x.abs().mean() > self.least else self.other(x)


def test_inputs_that_decide_which_layers_run():
    x = images(60, (1, 4, 3)).flatten(1)
    with pytest.raises(
        pruners.PrunerError, match=r"dense network calls .* next, the compressed one .* give refit='layer'"
    ):
        pruners.compress(Deciding(x), "svd", keep_ratio=0.3, data=x)
    assert pruners.compress(Deciding(x), "svd", keep_ratio=0.3, data=x, refit="layer").refit


@pytest.mark.parametrize("refit", ["layer", "sequential"])
@pytest.mark.parametrize("encoders", ["weight", "joint"])
def test_layers_that_are_given_little(refit, encoders):
    model, x = Rarely(), images(60, (1, 4, 3)).flatten(1)
    artifact = pruners.compress(model, "svd", keep_ratio=0.6, data=x, refit=refit, encoders=encoders)
    assert artifact.refit.kept and artifact.refit.output_errors.keys() == {"query", "scale", "last"}
    assert torch.equal(artifact.apply(model).nothing[1].bias, model.nothing.bias)


def test_a_network_held_by_wrappers():
    model, x = two_layers().float().eval(), images()
    artifact = refitted(nn.DataParallel(model), keep_ratio=0.5)
    bare = refitted(model, keep_ratio=0.5)
    assert artifact.refit == bare.refit
    assert all(torch.equal(tensor, bare.tensors[name]) for name, tensor in artifact.tensors.items())
    assert torch.equal(artifact.apply(model)(x), bare.apply(model)(x))


def test_an_artifact_from_before_there_was_a_refit(network, batch, tmp_path):
    artifact = pruners.compress(network, keep_ratio=0.3)
    artifact.save(tmp_path)
    spec = json.loads((tmp_path / "spec.json").read_text())
    assert "refit" not in spec
    loaded = pruners.load(tmp_path)
    assert loaded.refit is None and torch.equal(loaded.apply(network)(batch), artifact.apply(network)(batch))


def test_a_tensor_of_another_network_is_named(network, tmp_path):
    refitted(network).save(tmp_path)
    bare = nn.Sequential(*[nn.Identity() if isinstance(m, nn.BatchNorm2d) else m for m in network])
    with pytest.raises(pruners.BadArtifact, match=r"no '1\.num_batches_tracked'"):
        pruners.load(tmp_path).apply(bare)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("encoders", ["weight", "joint"])
@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_on_a_gpu_as_on_the_cpu(refit, encoders):
    dense, x = two_layers(), images().double()
    recalibrate_batchnorm(dense, [x])
    options = {"keep_ratio": 0.5, "refit": refit, "encoders": encoders}
    here = pruners.compress(dense, "alds", data=x, **options)
    there = pruners.compress(dense.cuda(), "alds", data=x, **options)
    assert there.refit.divergence == pytest.approx(here.refit.divergence, rel=1e-6)
    with torch.no_grad():
        expected = here.apply(dense.cpu()).eval()(x)
        small = there.apply(dense.cuda()).eval()(x.cuda()).cpu()
    torch.testing.assert_close(small, expected, rtol=0, atol=1e-8)
