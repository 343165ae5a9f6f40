"""Clusters of channels in the place of slices, against brute force and numpy's truncations."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.lowrank.clustering.channels import distances_to_means, distances_to_subspaces
from pruners.lowrank.clustering.exchanges import exchanged
from pruners.lowrank.clustering.partitions import best_partition, descent
from pruners.lowrank.layers.cut import CLUSTERINGS, Cut
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.spectra.network_spectra import spectra_of
from pruners.testing.lowrank import reference
from pruners.testing.lowrank.artifacts import ArtifactTests
from pruners.testing.lowrank.choices import ChoiceTests
from pruners.testing.lowrank.networks import images, small_network

BOTH = pytest.mark.parametrize("clustering", CLUSTERINGS)


def every_partition(points, clusters):
    """Every way to cut a list of points into clusters of one size, each set of clusters once."""
    if not points:
        yield ()
        return
    size = len(points) // clusters
    for others in itertools.combinations(points[1:], size - 1):
        rest = [point for point in points[1:] if point not in others]
        for following in every_partition(rest, clusters - 1):
            yield ((points[0], *others), *following)


def objective(channels, partition, clustering, rank):
    """What a partition leaves: squares about each cluster's mean, or beyond its leading singular values."""
    left = 0.0
    for cluster in partition:
        part = channels[list(cluster)]
        if clustering == "kmeans":
            left += np.square(part - part.mean(axis=0)).sum()
        else:
            columns = np.concatenate(list(part), axis=1)
            left += np.square(np.linalg.svd(columns, compute_uv=False)[rank:]).sum()
    return left


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9999), st.booleans())
def test_exchanges_end_where_none_is_left(clusters, size, seed, ties):
    random = np.random.default_rng(seed)
    costs = random.normal(size=(clusters * size, clusters))
    costs = np.round(costs) if ties else costs
    start = random.permutation(len(costs)).reshape(clusters, size)
    found = exchanged(costs, start)
    assert sorted(found.flatten()) == list(range(len(costs)))

    def cost(partition):
        return sum(costs[point, place] for place, cluster in enumerate(partition) for point in cluster)

    assert cost(found) <= cost(start) + 1e-9
    for one, other in itertools.combinations(range(clusters), 2):
        for i, j in itertools.product(range(size), repeat=2):
            swapped = found.copy()
            swapped[one, i], swapped[other, j] = found[other, j], found[one, i]
            assert cost(found) <= cost(swapped) + 1e-9
    if clusters == 2:
        splits = itertools.combinations(range(len(costs)), size)
        least = min(cost((split, set(range(len(costs))) - set(split))) for split in splits)
        assert cost(found) == pytest.approx(least, abs=1e-9)


def channels_of(points, rows, area, seed, rank_deficient):
    random = np.random.default_rng(seed)
    if rank_deficient:  # as a network is that was projected back
        return random.normal(size=(points, rows, 1)) * random.normal(size=(points, 1, area))
    return random.normal(size=(points, rows, area))


def costs_of(channels, clustering, rank):
    points = torch.from_numpy(channels)
    return distances_to_means(points) if clustering == "kmeans" else distances_to_subspaces(points, rank)


@BOTH
@settings(max_examples=40, deadline=None)
@given(
    clusters_and_size=st.sampled_from([(2, 2), (2, 3), (3, 2), (2, 4), (4, 2), (3, 3)]),
    rows=st.integers(2, 6),
    area=st.sampled_from([1, 2, 3]),
    rank=st.integers(1, 3),
    seed=st.integers(0, 9999),
    rank_deficient=st.booleans(),
)
def test_a_partition_against_all(clustering, clusters_and_size, rows, area, rank, seed, rank_deficient):
    clusters, size = clusters_and_size
    channels = channels_of(clusters * size, rows, area, seed, rank_deficient)
    costs = costs_of(channels, clustering, rank)

    def left(partition):
        return objective(channels, partition, clustering, rank)

    consecutive = np.arange(clusters * size).reshape(clusters, size)
    steps = [left(members) for members in descent(costs, consecutive)]
    assert all(after < before + 1e-9 for before, after in itertools.pairwise(steps))
    best = best_partition(costs, clusters * size, clusters, 1, seed)
    assert tuple(map(tuple, best.tolist())) in set(every_partition(list(range(clusters * size)), clusters))
    least = min(left(partition) for partition in every_partition(list(range(clusters * size)), clusters))
    assert least - 1e-9 <= left(best) <= steps[-1] + 1e-9 <= left(consecutive) + 2e-9


@BOTH
def test_clusters_that_are_there_are_found(clustering):
    """Far from each other, or each in a plane of its own: the best of all partitions, by brute force."""
    random, order = np.random.default_rng(3), np.random.default_rng(4).permutation(12)
    kinds = random.normal(size=(3, 8, 2))
    of_channel = [kinds[place // 4] for place in range(12)]
    if clustering == "kmeans":
        channels = np.stack([10 * kind + random.normal(size=(8, 2)) for kind in of_channel])[order]
    else:
        channels = np.stack([kind @ random.normal(size=(2, 3)) for kind in of_channel])[order]
    best = best_partition(costs_of(channels, clustering, 2), 12, 3, 1, 0)
    left = {p: objective(channels, p, clustering, 2) for p in every_partition(list(range(12)), 3)}
    assert tuple(map(tuple, best.tolist())) == min(left, key=left.get)
    assert {tuple(sorted(order[cluster] // 4)) for cluster in best} == {(0,) * 4, (1,) * 4, (2,) * 4}


@st.composite
def layers(draw):
    """A Conv2d or Linear in float64, with an input for it."""
    torch.manual_seed(draw(st.integers(0, 999)))
    channels, outputs = draw(st.sampled_from([4, 6, 8, 12])), draw(st.integers(3, 12))
    bias = draw(st.booleans())
    if draw(st.booleans()):
        layer = nn.Linear(channels, outputs, bias)
        shape = draw(st.sampled_from([(2,), (2, 3), ()]))
        return layer.double(), torch.randn(*shape, channels, dtype=torch.float64)
    layer = nn.Conv2d(
        channels,
        outputs,
        draw(st.sampled_from([1, 3, (1, 3), (2, 3)])),
        stride=draw(st.sampled_from([1, 2])),
        padding=draw(st.sampled_from([0, 1])),
        bias=bias,
        padding_mode=draw(st.sampled_from(["zeros", "circular"])),
    )
    if draw(st.booleans()):
        layer = layer.to(memory_format=torch.channels_last)
    batched = draw(st.booleans())
    inputs = torch.randn(2, channels, 6, 7, dtype=torch.float64)
    return layer.double(), inputs if batched else inputs[0]


@BOTH
@settings(max_examples=25, deadline=None)
@given(
    layer_and_inputs=layers(),
    keep_ratio=st.floats(0.3, 0.95),
    metric=st.sampled_from(["max", "thm1", "sum", "true", "frobenius"]),
    number=st.sampled_from([None, 2, 3, 4]),
    seed=st.integers(0, 5),
)
@torch.no_grad()
def test_the_small_network_is_the_clusters_truncation(
    clustering, layer_and_inputs, keep_ratio, metric, number, seed
):
    layer, inputs = layer_and_inputs
    model = nn.Sequential(layer).eval()
    options = {"clustering": clustering, "metric": metric, "candidate_subspaces": number and [number]}
    ratio = max(keep_ratio, pruners.least_budget(model, **options))
    artifact = pruners.compress(model, keep_ratio=ratio, seed=seed, **options)
    small = artifact.apply(model)
    if not artifact.layers:
        assert torch.equal(small(inputs), model(inputs))
        return
    choice, channels = artifact.layers["0"], pruners.compressible(model)["0"].in_channels
    assert (choice.form == clustering) == (1 < choice.num_subspaces < channels)
    order = small[0].reordering.order.tolist() if artifact.reordered else list(range(channels))
    assert sorted(order) == list(range(channels)) and (order != sorted(order)) == bool(artifact.reordered)
    matrix = reference.in_order(reference.folded(layer), order)
    made = [reference.truncated(m, choice.rank, choice.num_subspaces) for m in matrix]
    expected = torch.from_numpy(reference.in_order(np.array(made), np.argsort(order).tolist()))
    errors = reference.errors(layer, choice.rank, choice.num_subspaces, order)
    assert artifact.layer_errors["0"] == pytest.approx(errors, abs=1e-9)
    assert choice.error == pytest.approx(errors[metric], abs=1e-9)
    expected = expected.reshape(layer.weight.shape)
    torch.testing.assert_close(small[0].weight, expected, atol=1e-9, rtol=0)
    assert sum(p.numel() for p in small.parameters() if p.dim() > 1) == choice.params == artifact.params
    layer.weight.copy_(expected)
    torch.testing.assert_close(small(inputs), model(inputs), atol=1e-9, rtol=0)
    torch.testing.assert_close(artifact.project_back(small)(inputs), small(inputs), atol=1e-9, rtol=0)


@BOTH
def test_errors_fall_with_the_rank(clustering):
    """In one order for all ranks; subspaces are nearer than slices are at the rank that they are made for."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(16, 20, 3))
    spectra, shape = spectra_of(model), LayerShape(20, 16, (3, 3))
    for number in (2, 4, 8):
        ranks = range(1, shape.largest_saving_rank(number) + 1)
        for metric in ("max", "frobenius"):
            clusters = spectra.arrangement_search("0", metric, 0)
            errors = [clusters.error(Cut(rank, number, clustering)) for rank in ranks]
            assert errors == sorted(errors, reverse=True)
        if clustering == "projective":
            middle = ranks[-1] // 2
            assert errors[middle - 1] < spectra.search("0", "frobenius").error(Cut(middle, number))


def planted(order):
    """A convolution whose 12 channels, in ``order``, are slices of rank 2."""
    generator = torch.Generator().manual_seed(2)
    slices = [
        torch.randn(10, 2, generator=generator) @ torch.randn(2, 27, generator=generator) for _ in range(4)
    ]
    layer = nn.Conv2d(12, 10, 3).double()
    layer.weight.data[:, order] = torch.cat(slices, 1).reshape(10, 12, 3, 3).double()
    return nn.Sequential(layer)


def test_shuffled_channels_are_put_in_order():
    order = torch.randperm(12, generator=torch.Generator().manual_seed(7))
    shuffled, in_order = planted(order), planted(torch.arange(12))
    for model, clustering, exact in (
        (in_order, "none", True),
        (shuffled, "none", False),
        (shuffled, "projective", True),
        (in_order, "projective", True),
    ):
        artifact = pruners.compress(model, keep_ratio=0.35, clustering=clustering, candidate_subspaces=[4])
        assert artifact.layers["0"].rank >= 2
        assert (artifact.errors["frobenius"] < 1e-7) == exact
        small = artifact.apply(model)
        if model is shuffled and exact:
            assert artifact.reordered == ("0",)
            found = small[0].reordering.order.unflatten(0, (4, 3)).tolist()
            assert sorted(found) == sorted(sorted(part) for part in order.unflatten(0, (4, 3)).tolist())
        else:  # nothing to re-order, and nothing that would
            assert artifact.reordered == () and [name for name, _ in small[0].named_children()] == ["0", "1"]


def test_slices_are_the_default_to_the_bit():
    model = small_network()
    default, none = (pruners.compress(model, keep_ratio=0.3, **o) for o in ({}, {"clustering": "none"}))
    assert default.plan == none.plan and {c.form for c in default.layers.values()} == {"encode"}
    assert default.tensors.keys() == none.tensors.keys() and not default.reordered
    assert all(torch.equal(default.tensors[name], tensor) for name, tensor in none.tensors.items())


@BOTH
def test_starts_are_drawn_by_the_seed(clustering):
    torch.manual_seed(0)
    model, options = nn.Sequential(nn.Linear(48, 40)), {"clustering": clustering, "candidate_subspaces": [4]}

    def order(seed):
        tensors = pruners.compress(model, keep_ratio=0.5, seed=seed, **options).tensors
        return tensors["0.reordering.order"].tolist()

    orders = [order(seed) for seed in range(4)]
    assert orders[1] == order(1)
    assert len(set(map(tuple, orders))) > 1


@BOTH
@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_through_files_captured_and_within_a_time(clustering, tmp_path):
    model, data = small_network().double(), images(4, 8, 8).double()
    options = {"clustering": clustering, "candidate_subspaces": [2]}
    artifact = pruners.compress(model, keep_ratio=0.4, **options)
    assert set(artifact.reordered) >= {"7"} and "3" not in artifact.reordered  # with groups
    small = artifact.apply(model)
    assert "Reordering(192, dimension=-1)" in repr(small)
    for parameter in small.parameters():
        parameter.data.add_(0.01 * torch.randn(parameter.shape, dtype=torch.float64))
    captured = artifact.capture(small)
    captured.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert loaded.plan == artifact.plan and loaded.reordered == artifact.reordered
    assert torch.equal(loaded.apply(model)(data), small(data))
    torch.testing.assert_close(loaded.project_back(small)(data), small(data), atol=1e-9, rtol=0)
    assert torch.equal(torch.jit.script(small)(data), small(data))
    artifact.save(tmp_path)
    torch.testing.assert_close(
        pruners.load(tmp_path).apply(model)(data), artifact.apply(model)(data), atol=0, rtol=0
    )
    least = pruners.least_budget(model, "latency_ms", example=data, **options)
    timed = pruners.compress(model, latency_ms=2 * least, example=data, **options)
    assert timed.plan.cost <= timed.budget


def test_an_order_that_is_none_is_refused():
    model = small_network()
    artifact = pruners.compress(model, keep_ratio=0.4, clustering="kmeans", candidate_subspaces=[2])
    captured = artifact.capture(artifact.apply(model))
    captured.tensors["7.reordering.order"][0] = captured.tensors["7.reordering.order"][1]
    with pytest.raises(pruners.BadArtifact, match=r"'7\.reordering\.order' is no order of 192 channels"):
        captured.apply(model)


def test_what_keeps_its_slices(network):
    pin = {"9": {"rank": 2, "num_subspaces": 2}}
    plan = pruners.plan(network, keep_ratio=0.4, clustering="kmeans", layers=pin, candidate_subspaces=[2])
    assert {name: choice.form for name, choice in plan.layers.items()} == {
        "0": "kmeans",
        "3": "encode",  # with groups
        "7": "kmeans",
        "9": "encode",  # set outright
    }
    wide = nn.Sequential(nn.Linear(512, 100))
    forms = {
        number: pruners.plan(wide, keep_ratio=0.7, clustering="kmeans", candidate_subspaces=[number])
        .layers["0"]
        .form
        for number in (1, 128, 256)
    }
    assert forms == {1: "encode", 128: "kmeans", 256: "encode"}


def test_clusters_go_without_a_refit_and_another_folding(network):
    data = images(4, 8, 8)
    with pytest.raises(pruners.PrunerError, match=r"refit 'layer' takes the moments.*'kmeans' goes without"):
        pruners.compress(network, keep_ratio=0.3, data=data, clustering="kmeans", refit="layer")
    assert not pruners.methods()["alds"].wants_data({"clustering": "kmeans"})
    assert pruners.compress(network, keep_ratio=0.3, data=data, clustering="kmeans").refit is None
    with pytest.raises(pruners.PrunerError, match=r"'kmeans' is of the columns that folding 'encode' has"):
        pruners.plan(network, keep_ratio=0.3, clustering="kmeans", folding="best")
    with pytest.raises(pruners.PrunerError, match="clustering 'kmean' is unknown; did you mean 'kmeans'"):
        pruners.plan(network, keep_ratio=0.3, clustering="kmean")


@pytest.mark.parametrize("clustering", CLUSTERINGS)
class TestConformance(ChoiceTests, ArtifactTests):
    """The suite that methods are held to, refits excepted, which clusters go without."""

    method = "alds"

    @pytest.fixture(autouse=True)
    def _clustered(self, clustering):
        self.clustering = clustering

    def needed(self, model):
        return {"clustering": self.clustering, "candidate_subspaces": [1, 2, 4]}
