"""PCA of responses: against numpy's eigenvectors of the outputs themselves, on an actual batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration
from pruners.lowrank.fitting.principal import PrincipalComponents


def network(bias: bool) -> nn.Sequential:
    """In float64, after some images: the conv goes into BatchNorm, the Linear has a bias or nothing."""
    torch.manual_seed(5)
    made = nn.Sequential(
        nn.Conv2d(3, 10, 3, padding=1, bias=bias),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.Conv2d(10, 8, 3, groups=2, stride=2),
        nn.Flatten(),
        nn.Linear(8 * 9, 12, bias=bias),
    )
    made.train()(torch.randn(64, 3, 8, 8))
    return made.double().eval()


def images() -> torch.Tensor:
    mixed = torch.randn(50, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return mixed + 0.5 * mixed.cumsum(-1) + torch.tensor([0.3, -1.0, 2.0]).view(3, 1, 1)


def outputs(of: nn.Module, name: str, inputs: torch.Tensor) -> np.ndarray:
    """What a layer puts out in the dense network: groups x positions x rows."""
    caught = []
    handle = of.get_submodule(name).register_forward_hook(lambda _m, _i, out: caught.append(out))
    with torch.no_grad():
        of(inputs)
    handle.remove()
    groups = getattr(of.get_submodule(name), "groups", 1)
    flat = caught[0].movedim(1, 0).flatten(1)
    return flat.unflatten(0, (groups, -1)).mT.numpy()


def inputs_of(of: nn.Module, name: str, inputs: torch.Tensor) -> torch.Tensor:
    caught = []
    handle = of.get_submodule(name).register_forward_hook(lambda _m, i, _o: caught.append(i[0]))
    with torch.no_grad():
        of(inputs)
    handle.remove()
    return caught[0]


@pytest.mark.parametrize("bias", [True, False])
def test_projects_outputs_on_their_leading_eigenvectors_and_tells_the_error(bias: bool) -> None:
    dense, batch = network(bias), images()
    artifact = pruners.compress(dense, "pca", keep_ratio=0.45, data=batch, refit="none")
    small = artifact.apply(dense)
    assert artifact.refit is None and artifact.metric == "output" and len(artifact.layers) == 3
    for name, choice in artifact.layers.items():
        layer, given_to_it = dense.get_submodule(name), inputs_of(dense, name, batch)
        y = outputs(dense, name, batch)
        own = 0.0 if layer.bias is None else layer.bias.detach().numpy().reshape(len(y), 1, -1)
        y = y - own
        # without a bias, and no BatchNorm behind it that has one, there is nothing to take the mean
        centred = layer.bias is not None or name == "0"
        mean = y.mean(1, keepdims=True) if centred else np.zeros((len(y), 1, y.shape[-1]))
        expected = np.empty_like(y)
        for g, group in enumerate(y - mean):
            _, vectors = np.linalg.eigh(group.T @ group)
            leading = vectors[:, -choice.rank :]
            expected[g] = group @ leading @ leading.T + mean[g]
        with torch.no_grad():
            made = small.get_submodule(name)(given_to_it)
        made = made.movedim(1, 0).flatten(1).unflatten(0, (len(y), -1)).mT.numpy() - own
        lacking = 0.0
        if not bias and name == "0":  # the BatchNorm's mean has moved instead
            norm = dense[1]
            lacking = (norm.running_mean - small[1].running_mean).numpy()
        np.testing.assert_allclose(made + lacking, expected, atol=1e-9)
        measured = np.sqrt(((made + lacking - y) ** 2).sum() / ((y - mean) ** 2).sum())
        assert choice.error == pytest.approx(measured, rel=1e-8)
    assert artifact.error == max(choice.error for choice in artifact.layers.values())


@st.composite
def layers(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int, torch.Generator]:
    rows, columns, seen = draw(st.integers(2, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 12))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    weight = torch.randn(1, rows, columns, generator=random, dtype=torch.float64)
    scale = torch.logspace(0, -draw(st.integers(0, 4)), columns, dtype=torch.float64)
    x = torch.randn(seen, columns, generator=random, dtype=torch.float64) * scale
    return weight, x, draw(st.integers(1, min(rows, columns))), random


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layer=layers())
def test_no_projection_of_that_rank_is_nearer(
    layer: tuple[torch.Tensor, torch.Tensor, int, torch.Generator],
) -> None:
    weight, x, rank, random = layer
    components = PrincipalComponents.of(weight, (x.T @ x)[None] / len(x))
    y = x @ weight[0].T

    def left(projector: torch.Tensor) -> float:
        return float((y - y @ projector).square().sum() / y.square().sum()) ** 0.5

    u = components.vectors[0, :, :rank]
    assert left(u @ u.T) == pytest.approx(components.errors()[rank - 1], abs=1e-7)
    first, second = components.factors(weight, rank)
    torch.testing.assert_close((first @ second)[0, 0], u @ u.T @ weight[0], atol=1e-10, rtol=0)
    torch.testing.assert_close(first[0, 0].T @ first[0, 0], second[0, 0] @ second[0, 0].T, atol=1e-9, rtol=0)
    of_the_weight, _, _ = torch.linalg.svd(weight[0])
    drawn, _ = torch.linalg.qr(torch.randn(len(u), rank, generator=random, dtype=torch.float64))
    for other in (of_the_weight[:, :rank], drawn):
        assert left(u @ u.T) <= left(other @ other.T) + 1e-7


def energies(of: nn.Module, batch: torch.Tensor) -> dict[str, np.ndarray]:
    """What each rank adds to a layer's variance, all groups together, by numpy."""
    found = {}
    for name in ("0", "3", "5"):
        y = outputs(of, name, batch)
        y = y - y.mean(1, keepdims=True)
        values = np.array([np.linalg.svd(group, compute_uv=False) ** 2 for group in y])
        found[name] = values.sum(0)
    return found


@pytest.mark.parametrize("keep_ratio", [0.25, 0.4, 0.6, 0.8])
def test_ranks_by_the_product_of_energies(keep_ratio: float) -> None:
    """The greedy of the paper's section 3.4, written out: the cheapest loss goes first."""
    dense, batch = network(True), images()
    shapes = {n: dense.get_submodule(n).weight.numel() for n in ("0", "3", "5")}
    per_rank = {"0": 10 + 27, "3": 8 + 2 * 45, "5": 12 + 72}
    of_layers, rank = energies(dense, batch), {"0": 10, "3": 4, "5": 12}

    def cost() -> int:
        return sum(min(shapes[n], rank[n] * per_rank[n]) for n in shapes)

    while cost() > keep_ratio * sum(shapes.values()):
        kept = {n: np.cumsum(of_layers[n])[rank[n] - 1] for n in rank if rank[n] > 1}
        worst = min(kept, key=lambda n: of_layers[n][rank[n] - 1] / kept[n] / per_rank[n])
        rank[worst] -= 1
    plan = pruners.plan(dense, "pca", keep_ratio=keep_ratio, data=batch)
    assert {n: one.rank for n, one in plan.layers.items()} == {
        n: r for n, r in rank.items() if r * per_rank[n] < shapes[n]
    }
    assert plan.cost == cost() <= plan.budget


@pytest.mark.parametrize("keep_ratio", [0.25, 0.5, 0.8])
def test_ranks_by_a_common_share_of_energy(keep_ratio: float) -> None:
    dense, batch = network(True), images()
    plan = pruners.plan(dense, "pca", keep_ratio=keep_ratio, data=batch, allocate="share")
    held = {n: np.cumsum(e) / e.sum() for n, e in energies(dense, batch).items()}
    weights = {n: dense.get_submodule(n).weight.numel() for n in held}
    per_rank = {"0": 10 + 27, "3": 8 + 2 * 45, "5": 12 + 72}
    best: dict[str, int] = {}
    for share in sorted(np.concatenate([*held.values()])):
        rank = {n: int((h < share - 1e-12).sum()) + 1 for n, h in held.items()}
        if sum(min(weights[n], rank[n] * per_rank[n]) for n in held) <= keep_ratio * sum(weights.values()):
            best = rank
    assert {n: one.rank for n, one in plan.layers.items()} == {
        n: r for n, r in best.items() if r * per_rank[n] < weights[n]
    }


def test_a_refit_begins_with_its_own_components_and_goes_on_from_its_own_factors() -> None:
    dense, batch = network(True), images()
    refitted = pruners.compress(dense, "pca", keep_ratio=0.4, data=batch)
    own = pruners.compress(dense, "pca", keep_ratio=0.4, data=batch, refit="none")
    assert refitted.plan == own.plan
    assert refitted.refit is not None
    assert (refitted.refit.refit, refitted.refit.encoders) == ("sequential", "whitened")
    without = own.apply(dense)
    judged = Calibration(dense, batch).first(32).divergence_recalibrated(without)
    assert judged == pytest.approx(refitted.refit.divergence_without)
    assert refitted.refit.kept and refitted.refit.divergence < refitted.refit.divergence_without
    # at no ridge a layer's least squares on its own inputs are PCA itself
    layerwise = pruners.compress(dense, "pca", keep_ratio=0.4, data=batch, refit="moments", ridge=0.0)
    weights = own.apply(dense)[5].weight
    torch.testing.assert_close(layerwise.apply(dense)[5].weight, weights, atol=1e-8, rtol=0)


def test_encoders_of_another_kind_need_a_refit() -> None:
    with pytest.raises(pruners.PrunerError, match="encoders 'weight' belong to a refit"):
        pruners.compress(network(True), "pca", keep_ratio=0.4, data=images(), refit="none", encoders="weight")
    with pytest.raises(pruners.PrunerError, match="pca needs data="):
        pruners.compress(network(True), "pca", keep_ratio=0.4)


def test_outputs_that_do_not_vary_are_kept_as_the_weight_has_them() -> None:
    weight = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    components = PrincipalComponents.of(weight, torch.zeros(1, 5, 5, dtype=torch.float64))
    left, right = components.factors(weight, 2)
    u, s, v = torch.linalg.svd(weight[0], full_matrices=False)
    torch.testing.assert_close((left @ right)[0, 0], (u[:, :2] * s[:2]) @ v[:2])
    assert components.errors().tolist() == [0.0] * 6
