"""A calibration is kept with its network, and takes images as people have them."""

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pruners
from pruners.calibration.batches import parts
from pruners.calibration.calibration import Calibration, calibration_kept, calibration_of
from pruners.calibration.moments.moment import Moment
from pruners.network.inputs import batch_size, input_tensors, join_inputs


def test_networks_run_in_eval_mode_and_stay_in_theirs() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    calibration = Calibration(network, torch.randn(40, 4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert calibration.divergence(network) == 0
    calibration.moments(["0", "3"])
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network._forward_pre_hooks and not network[0]._forward_pre_hooks


def test_it_is_kept_until_weights_buffers_or_images_change() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    images = torch.randn(40, 4)
    own = pruners.held_memory(network)
    first = calibration_of(network, images)
    first.moments(["0"])
    assert pruners.held_memory(network) >= 2 * own + 4 * images.numel() + 8 * (16 + 4)
    labels = torch.zeros(40)
    assert calibration_of(network, images.clone()) is first
    assert calibration_of(network, [(images[:20], labels[:20]), (images[20:], labels[20:])]) is first
    assert calibration_of(network, [images]) is not first
    for tensor in (images, network[0].weight.data, network[1].running_var):
        before = calibration_of(network, images)
        digest = before.digest
        tensor[-1] += 1
        after = calibration_of(network, images)
        assert after is not before and calibration_kept(network) is after
        assert (after.digest != digest) == (tensor is images)
        assert before.digest == digest, "the images of a calibration are its own"
    held = weakref.ref(calibration_of(network, images))
    del network, first, before, after, tensor
    gc.collect()
    assert held() is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "data: there are no calibration images"),
        (torch.zeros(0, 4), "data: there are no calibration images"),
        (torch.full((2, 4), torch.nan), "data: the calibration images hold values that are not finite"),
        (torch.ones(2, 4).to_sparse(), "data: the calibration images are sparse tensors"),
        (3, "data takes inputs, or batches of them, not 3"),
        ("images", "data takes inputs"),
        ([3], r"data takes batches of inputs, or pairs \(inputs, labels\), not 3"),
        ([(torch.zeros(2, 4),) * 3], "data takes batches of inputs, or pairs"),
        ({"x": torch.zeros(2, 4), "y": torch.zeros(3, 4)}, "data: the tensors of a batch"),
        ([(3, torch.zeros(2))], "data: a network's inputs are a tensor"),
    ],
    ids=str,
)
def test_refuses_what_are_no_images(data: Any, said: str) -> None:
    with pytest.raises(pruners.PrunerError, match=said):
        Calibration(nn.Linear(4, 2), data)


def test_an_image_by_itself_joins_others_of_its_shape() -> None:
    images = torch.arange(70.0)[:, None]

    def sizes(*batches: Any) -> list[int]:
        calibration = Calibration(nn.Linear(1, 1), batches)
        columns = {batch.shape[1] for batch in calibration.batches}
        if len(columns) == 1:
            assert torch.equal(torch.cat(calibration.batches), torch.cat([*batches]))
        return [len(batch) for batch in calibration.batches]

    for number, cut in ((65, [22, 22, 21]), (64, [32, 32]), (34, [17, 17]), (20, [20]), (1, [1])):
        assert [len(batch) for batch in Calibration(nn.Linear(1, 1), images[:number]).batches] == cut
    assert sizes(*images.split(1)) == [32, 32, 6]
    assert sizes(*images[:65].split(1)) == [32, 33]
    assert sizes(*images[:3].split(1), images[3:]) == [3, 67]
    assert sizes(images[:40], images[40:41], images[41:]) == [40, 30]
    assert sizes(images[:40], images[40:60], images[60:61]) == [40, 21]
    assert sizes(images[:40], images[40:40], images[40:]) == [40, 30]
    assert sizes(images[:1]) == [1]
    assert sizes(images[:40], torch.zeros(1, 2), torch.zeros(1, 2), images[40:41]) == [40, 2, 1]


def test_what_fits_keep_for_further_budgets_is_counted() -> None:
    torch.manual_seed(0)
    network, images = nn.Sequential(nn.Linear(40, 12)), torch.randn(50, 40)
    calibration = calibration_of(network, images)
    pruners.compress(network, "svd", keep_ratio=0.5, data=images, refit="none")
    calibration.moments(["0"])
    before = pruners.held_memory(network)
    pruners.compress(network, "svd", keep_ratio=0.5, data=images, refit="moments")
    matrix = network[0].weight.detach().double()[None]
    assert pruners.held_memory(network) == before + 8 * (12 * 40 + 12)
    kept = calibration.fit_moments("0", matrix)
    assert kept is calibration.fit_moments("0", matrix)
    torch.testing.assert_close(kept.target, matrix @ kept.second)


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        (torch.zeros(32, 3, 224, 224), [8, 8, 8, 8]),
        (torch.zeros(17, 3, 224, 224), [5, 6, 6]),
        (torch.zeros(57, 3, 224, 224), [7, 7, 7, 7, 7, 7, 7, 8]),
        (torch.zeros(9, 3, 500, 500), [4, 5]),
        (torch.zeros(33, 1, 28, 28), [33]),
        (torch.zeros(20, 12, dtype=torch.int64), [6, 7, 7]),
        ({"image": torch.zeros(16, 3, 224, 112), "mask": torch.zeros(16, 3, 224, 112)}, [8, 8]),
        (torch.zeros(1, 2), [1]),
    ],
    ids=["pixels", "no part of one", "nor here", "large", "small", "tokens", "several tensors", "one"],
)
def test_a_pass_there_and_back_takes_even_parts(batch: Any, sizes: list[int]) -> None:
    cut = parts(batch)
    assert [batch_size(part) for part in cut] == sizes
    whole = join_inputs(cut)
    assert all(map(torch.equal, input_tensors(whole), input_tensors(batch)))


def test_what_a_loader_of_images_alone_gives() -> None:
    images = torch.randn(40, 3)
    loader = DataLoader(TensorDataset(images), batch_size=20)
    assert all(isinstance(batch, list) and len(batch) == 1 for batch in loader)
    network = nn.Sequential(nn.Linear(3, 12), nn.Linear(12, 4))
    first = pruners.compress(network, "alds", keep_ratio=0.6, data=loader)
    second = pruners.compress(network, "alds", keep_ratio=0.6, data=[images[:20], images[20:]])
    assert first.refit == second.refit and first.refit.kept


class Uncommon(nn.Module):
    """Normalises its inputs in place, and calls its layers by keyword."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.inner, self.norm, self.last = nn.Linear(6, 24), nn.BatchNorm1d(24), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.normalised(x)
        return self.last(input=torch.relu(self.norm(input=self.inner(input=x))))

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub_(0.5).div_(2)


class Common(Uncommon):
    """The same network, as most are."""

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 0.5) / 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.norm(self.inner(self.normalised(x)))))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("alds", {"refit": "layer"}),
        ("alds", {"refit": "sequential", "encoders": "joint"}),
        ("calibrated", {}),
        ("calibrated", {"error": "measured"}),
        ("magnitude", {"refit": "sequential", "allocation": "measured"}),
    ],
    ids=str,
)
def test_inputs_changed_in_place_and_given_by_keyword(method: str, options: dict[str, Any]) -> None:
    images = torch.randn(65, 6, generator=torch.manual_seed(1))
    before = images.clone()
    uncommon, common = (
        pruners.compress(network, method, keep_ratio=0.5, data=images, **options)
        for network in (Uncommon(), Common())
    )
    assert torch.equal(images, before)
    assert uncommon.refit == common.refit and uncommon.layers == common.layers
    for name, file in common.files().items():
        assert all(torch.equal(tensor, uncommon.files()[name][key]) for key, tensor in file.items())


@pytest.mark.parametrize("built_there", [False, True])
@pytest.mark.parametrize("method", ["alds", "calibrated", "magnitude"])
def test_inference_mode_changes_nothing(method: str, built_there: bool) -> None:
    images = torch.randn(40, 6, generator=torch.manual_seed(1))
    with torch.inference_mode(built_there):
        network = Common()
    options = {"allocation": "measured", "refit": "layer"} if method == "magnitude" else {}
    with torch.inference_mode():
        there = pruners.compress(network, method, keep_ratio=0.5, data=images * 1, **options)
        if method == "calibrated":
            assert pruners.plan(network, method, keep_ratio=0.5, data=images * 2).layers
    artifact = pruners.compress(Common(), method, keep_ratio=0.5, data=images, **options)
    assert artifact.refit == there.refit and artifact.layers == there.layers
    for name, file in artifact.files().items():
        assert all(torch.equal(tensor, there.files()[name][key]) for key, tensor in file.items())


class Noisy(Common):
    """Drops activations in eval mode too, as a functional dropout does that was not told otherwise."""

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.2)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("alds", {"refit": "layer"}),
        ("alds", {"refit": "sequential"}),
        ("calibrated", {}),
        ("calibrated", {"error": "measured"}),
        ("magnitude", {"refit": "sequential", "allocation": "measured"}),
    ],
    ids=str,
)
def test_random_numbers_of_a_network_are_seeded(method: str, options: dict[str, Any]) -> None:
    images = torch.randn(40, 6, generator=torch.manual_seed(1))
    artifacts = []
    for other in (3, 4):
        network = Noisy()
        torch.manual_seed(other)
        before = torch.get_rng_state()
        artifacts.append(pruners.compress(network, method, keep_ratio=0.5, data=images, **options))
        assert torch.equal(torch.get_rng_state(), before)
    first, second = artifacts
    assert first.refit == second.refit and first.layers == second.layers
    for name, file in first.files().items():
        assert all(torch.equal(tensor, second.files()[name][key]) for key, tensor in file.items())


def test_costs_of_a_network_that_changes_its_inputs() -> None:
    network, images = Uncommon(), torch.randn(5, 6)
    before = images.clone()
    assert pruners.cost(network, images).multiply_adds == 5 * (6 * 24 + 24 * 5)
    artifact = pruners.compress(network, "alds", latency_ms=1e6, example=images)
    assert not artifact.layers and torch.equal(images, before)


def test_a_refusing_layer_is_named() -> None:
    network = nn.Sequential(nn.Linear(4, 2))
    calibration = Calibration(network, torch.zeros(2, 5))
    with pytest.raises(pruners.PrunerError, match=r"calibration images; layer '0' .Linear. refuses"):
        calibration.moments(["0"])


def test_a_network_that_is_gone_is_said_to_be() -> None:
    calibration = Calibration(nn.Linear(4, 2), torch.zeros(2, 4))
    with pytest.raises(pruners.PrunerError, match="network of this calibration is gone"):
        calibration.moments([""])


def test_a_calibration_given_as_data_is_kept_while_it_is_the_network_s_own() -> None:
    network = nn.Linear(4, 3)
    given = Calibration(network, torch.randn(5, 4))
    assert given.is_of(network) and calibration_of(network, given) is given is calibration_kept(network)
    before = given.network_digest
    with torch.no_grad():
        network.weight[0, 0] += 1
    assert not given.is_of(network)
    fresh = calibration_of(network, given)
    assert fresh is not given and fresh.digest == given.digest and fresh.network_digest != before


@pytest.mark.parametrize(("method", "refit"), [("alds", "sequential"), ("magnitude", "layer")])
def test_a_calibration_of_another_network_or_of_old_weights_is_its_images(method: str, refit: str) -> None:
    images = torch.randn(40, 6, generator=torch.manual_seed(1))
    network, other = Common(), Common()
    with torch.no_grad():
        other.inner.weight.mul_(2)
    given = Calibration(network, images)

    def compressed(model: nn.Module, data: Any) -> dict[str, torch.Tensor]:
        artifact = pruners.compress(model, method, keep_ratio=0.5, data=data, refit=refit)
        return artifact.apply(model).state_dict()

    for model in (other, network):
        expected = compressed(model, images)
        found = compressed(model, given)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
        with torch.no_grad():
            network.last.weight.mul_(3)


def test_what_is_computed_of_it_is_computed_once_for_its_key() -> None:
    calibration, called = Calibration(nn.Linear(4, 3), torch.randn(5, 4)), []

    def compute() -> dict[str, Any]:
        called.append(1)
        return {"sum": 0.1 + 0.2}

    for _ in range(2):
        assert calibration.computed({"one": compute, "two": compute}) == {"one": compute(), "two": compute()}
        called.clear()
    assert calibration.computed({"two": compute}) == {"two": {"sum": 0.1 + 0.2}} and not called


def test_moments_survive_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 4, 3))
    images = torch.randn(40, 4, 4, 4)
    calibration = Calibration(network, images)
    for moment in calibration.moments(["0", "2"]).values():
        save_file(moment.tensors(), tmp_path / "moment.safetensors")
        tensors = load_file(tmp_path / "moment.safetensors")
        again = Moment.from_tensors(tensors)
        assert again.columns == moment.columns
        assert torch.equal(again.second, moment.second) and torch.equal(again.mean, moment.mean)
        with pytest.raises(pruners.BadArtifact, match="Kept moments are damaged"):
            Moment.from_tensors({**tensors, "upper": tensors["upper"][:, :-1]})
        del tensors["mean"]
        with pytest.raises(pruners.BadArtifact, match="Kept moments are damaged: 'mean'"):
            Moment.from_tensors(tensors)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_on_cuda_gives_what_it_gives_on_the_cpu() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    network = network.double().eval()
    small = copy.deepcopy(network)
    with torch.no_grad():
        small[0].weight += 0.05 * torch.randn_like(small[0].weight)
    images = torch.randn(40, 3, 9, 9, dtype=torch.float64)
    names = ["0", "3", "5"]
    calibration = Calibration(network, images)
    moments, divergence = calibration.moments(names), calibration.divergence(small)
    gradients = calibration.gradient_moments(names, seed=0)
    network.cuda()
    on_cuda = Calibration(network, images)
    assert on_cuda.digest == calibration.digest
    assert on_cuda.divergence(small.cuda()) == pytest.approx(divergence, rel=1e-9)
    for found, expected in (
        (on_cuda.moments(names), moments),
        (on_cuda.gradient_moments(names, seed=0), gradients),
    ):
        for name in names:
            assert found[name].second.device.type == found[name].mean.device.type == "cpu"
            torch.testing.assert_close(found[name].second, expected[name].second, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(found[name].mean, expected[name].mean, rtol=1e-9, atol=1e-12)
