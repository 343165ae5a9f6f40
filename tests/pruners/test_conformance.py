"""What every method that chooses ranks must hold to; a new one is tested here without another line."""

import copy

import pytest
import torch
from torch import nn

import pruners

METHODS = pytest.mark.parametrize(
    "method", [n for n, m in pruners.methods().items() if m.kind == "decomposition"]
)
RATIOS = (0.15, 0.3, 0.5, 0.77, 1.0)


class SideBySide(nn.ModuleDict):
    """(n, 200) to the outputs of all layers in one row, each of them on the first of the values."""

    def forward(self, x):
        return torch.cat([layer(self._taken(layer, x)).flatten(1) for layer in self.values()], dim=1)

    @staticmethod
    def _taken(layer, x):
        if hasattr(layer, "in_features"):
            return x[:, : layer.in_features]
        return x[:, : 25 * layer.in_channels].unflatten(1, (-1, 5, 5))


def odd_network():
    torch.manual_seed(11)
    return SideBySide(
        {
            "pointwise": nn.Conv2d(8, 12, 1),
            "depthwise": nn.Conv2d(8, 8, 3, groups=8),
            "multiplied": nn.Conv2d(5, 20, 3, groups=5),
            "prime": nn.Conv2d(7, 13, 3),
            "gray": nn.Conv2d(1, 9, 5),
            "single": nn.Conv2d(6, 1, 3),
            "scalar": nn.Linear(1, 1),
            "wide": nn.Linear(64, 10),
            "tall": nn.Linear(10, 64),
        }
    )


def needed(method, *shape, dtype=torch.float32):
    """Calibration images for a method that cannot choose without; its factors stay the weights' own."""
    if "data" not in pruners.methods()[method].needs:
        return {}
    images = torch.randn(40, *(shape or (4, 8, 8)), generator=torch.Generator().manual_seed(8))
    return {"data": images.to(dtype), "refit": "none"}


@METHODS
def test_describes_itself(method):
    described = pruners.methods()[method]
    assert described.name == method
    assert described.title and described.paper
    assert set(described.needs) <= {"data", "loss", "example"}
    assert all(option.name and option.meaning for option in described.options)


@METHODS
def test_same_answer_every_time(method):
    first = pruners.compress(odd_network(), method, keep_ratio=0.4, seed=1, **needed(method, 200))
    second = pruners.compress(odd_network(), method, keep_ratio=0.4, seed=1, **needed(method, 200))
    assert first.plan == second.plan
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in second.tensors)


@METHODS
@pytest.mark.parametrize("make", [odd_network], ids=["odd"])
def test_never_over_budget(method, make):
    model = make()
    total = sum(m.weight.numel() for m in model.values())
    least = pruners.least_budget(model, "keep_ratio", method=method)
    for ratio in (*(r for r in RATIOS if r >= least), least):
        artifact = pruners.compress(model, method, keep_ratio=ratio, **needed(method, 200))
        small = artifact.apply(model)
        weights = sum(p.numel() for n, p in small.named_parameters() if n.endswith("weight"))
        assert weights == artifact.params <= artifact.budget <= ratio * total + 1e-6
    assert artifact.plan.params == artifact.budget


@METHODS
def test_never_over_budget_in_multiply_adds(method, network, batch):
    dense = pruners.cost(network, batch).multiply_adds
    for share in (0.2, 0.5, 0.9):
        artifact = pruners.compress(network, method, flops_ratio=share, example=batch, **needed(method))
        assert artifact.plan.unit == "multiply_adds"
        assert (
            pruners.cost(artifact, batch).multiply_adds
            == artifact.plan.cost
            <= artifact.budget
            <= share * dense
        )


@METHODS
def test_a_larger_budget_is_used(method, network):
    errors = [
        pruners.plan(network, method, keep_ratio=ratio, **needed(method)).error
        for ratio in (0.1, 0.2, 0.4, 0.8, 1.0)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]
    assert pruners.plan(network, method, keep_ratio=1.0, **needed(method)).layers == {} or errors[-1] < 1e-6


@METHODS
def test_model_is_untouched(method, network, batch):
    network[0].train()
    before, random = copy.deepcopy(network), torch.random.get_rng_state()
    artifact = pruners.compress(network, method, flops_ratio=0.4, example=batch, **needed(method))
    artifact.apply(network)
    assert torch.equal(random, torch.random.get_rng_state())
    assert str(before) == str(network)
    assert [m.training for m in before.modules()] == [m.training for m in network.modules()]
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.state_dict().values(), network.state_dict().values(), strict=True)
    )
    assert not any(m._forward_hooks for m in network.modules())


@METHODS
def test_infeasible_budget_tells_the_least(method, network, batch):
    for kind, asked in (("keep_ratio", 0.001), ("budget", 3), ("flops_ratio", 0.001)):
        with pytest.raises(pruners.InfeasibleBudget, match="least possible") as caught:
            pruners.compress(network, method, example=batch, **{kind: asked}, **needed(method))
        least = caught.value.least
        assert least == pruners.least_budget(network, kind, method=method, example=batch)
        plan = pruners.plan(network, method, example=batch, **{kind: least}, **needed(method))
        assert plan.cost == plan.budget


@METHODS
def test_a_layer_of_zeros_has_no_error(method, network):
    network[7].weight.data.zero_()
    artifact = pruners.compress(network, method, keep_ratio=0.4, **needed(method))
    assert artifact.layers["7"].error == 0.0
    assert set(artifact.layer_errors["7"].values()) == {0.0}
    small = artifact.apply(network)
    assert not any(
        p.any() or not torch.isfinite(p).all()
        for n, p in small.named_parameters()
        if n.startswith("7") and "weight" in n
    )


@METHODS
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(method, network, bad):
    network[7].weight.data[0, 0] = bad
    with pytest.raises(pruners.PrunerError, match=r"'7'.*not finite"):
        pruners.compress(network, method, keep_ratio=0.4, **needed(method))
    if "data" not in pruners.methods()[method].needs:  # the excluded layer spoils what the others are given
        assert "7" not in pruners.compress(network, method, keep_ratio=0.95, exclude=["7"]).layers


@METHODS
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_empty_layers_are_named(method):
    model = SideBySide({"full": nn.Linear(20, 20), "empty": nn.Linear(0, 5), "none": nn.Linear(5, 0)})
    with pytest.raises(pruners.PrunerError, match="'empty'"):
        pruners.compress(model, method, keep_ratio=0.5, **needed(method, 200))
    artifact = pruners.compress(
        model, method, keep_ratio=0.5, exclude=["empty", "none"], **needed(method, 200)
    )
    assert artifact.layers.keys() == {"full"}
    artifact.apply(model)


@METHODS
def test_everything_excluded_stays_dense(method, network):
    artifact = pruners.compress(
        network, method, keep_ratio=1.0, exclude=list(pruners.compressible(network)), **needed(method)
    )
    assert artifact.layers == {} and artifact.error == 0.0
    assert set(artifact.errors.values()) == {0.0}


@METHODS
def test_unknown_names_offer_the_nearest(method, network):
    with pytest.raises(pruners.UnknownMethod, match=method):
        pruners.compress(network, method + "s", keep_ratio=0.5)
    with pytest.raises(pruners.UnknownOption, match="exclude"):
        pruners.compress(network, method, keep_ratio=0.5, exclud=["0"], **needed(method))
    model = SideBySide({"classifier": nn.Linear(20, 20)})
    with pytest.raises(pruners.UnknownLayer, match="did you mean 'classifier'"):
        pruners.compress(model, method, keep_ratio=0.5, exclude=["clasifier"], **needed(method, 200))


@METHODS
def test_round_trip(method, network, batch, tmp_path):
    artifact = pruners.compress(network, method, keep_ratio=0.3, **needed(method))
    artifact.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert loaded.plan == artifact.plan
    assert loaded.errors == artifact.errors and loaded.layer_errors == artifact.layer_errors
    assert torch.equal(loaded.apply(network)(batch), artifact.apply(network)(batch))


@METHODS
def test_reported_errors_are_the_weights_own(method, network, reference):
    artifact = pruners.compress(network, method, keep_ratio=0.3, **needed(method))
    for name, choice in artifact.layers.items():
        expected = reference.errors(network.get_submodule(name), choice.rank, choice.num_subspaces)
        assert artifact.layer_errors[name] == pytest.approx(expected, abs=1e-9)
        if artifact.metric in expected:
            assert choice.error == pytest.approx(expected[artifact.metric], abs=1e-9)
            assert artifact.error == artifact.errors[artifact.metric]
    assert artifact.error == max(choice.error for choice in artifact.layers.values())


@METHODS
def test_double_precision_reconstruction(method, network, reference):
    network.double()
    artifact = pruners.compress(network, method, keep_ratio=0.3, **needed(method, dtype=torch.float64))
    small = artifact.apply(network)
    for name, choice in artifact.layers.items():
        dense = network.get_submodule(name)
        weight = reference.dense_weight(
            small.get_submodule(name), getattr(dense, "groups", 1), choice.num_subspaces
        )
        expected = [
            reference.truncated(m, choice.rank, choice.num_subspaces).tolist()
            for m in reference.folded(dense)
        ]
        torch.testing.assert_close(weight, torch.tensor(expected, dtype=torch.float64), atol=1e-10, rtol=0)


REFITS = pytest.mark.parametrize("refit", ["moments", "layer", "sequential"])


def random_inputs(*shape, number=40):
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(8))


@METHODS
@REFITS
@pytest.mark.parametrize("encoders", ["weight", "whitened", "joint"])
def test_a_refit_of_odd_shapes(method, refit, encoders):
    """Same answer every time, within the budget, the model untouched, no layer that is run left out."""
    model, data = odd_network(), random_inputs(200)
    before, random = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    options = {"keep_ratio": 0.4, "data": data, "refit": refit, "encoders": encoders}
    first = pruners.compress(model, method, **options)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    second = pruners.compress(odd_network(), method, **options)
    assert first.plan == second.plan and first.refit == second.refit
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(first.tensors[name], tensor) for name, tensor in second.tensors.items())
    assert first.refit.output_errors.keys() == first.layers.keys()
    small = first.apply(model)
    weights = sum(p.numel() for n, p in small.named_parameters() if n.endswith("weight"))
    assert weights == first.params <= first.budget
    refitted = first.refit
    assert refitted.kept == (refit == "moments" or refitted.divergence < refitted.divergence_without)


@METHODS
@REFITS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_refit_goes_through_files(method, refit, network, dtype, tmp_path):
    network.to(dtype)
    data = random_inputs(4, 8, 8).to(dtype)
    pruners.recalibrate_batchnorm(network, [data])
    artifact = pruners.compress(network, method, keep_ratio=0.3, data=data, refit=refit)
    artifact.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert loaded.plan == artifact.plan and loaded.refit == artifact.refit
    small = loaded.apply(network).eval()
    assert {p.dtype for p in small.parameters()} == {dtype}
    assert torch.equal(small(data), artifact.apply(network).eval()(data))
    again = loaded.capture(small)
    assert again.refit == artifact.refit and torch.equal(again.apply(network).eval()(data), small(data))
