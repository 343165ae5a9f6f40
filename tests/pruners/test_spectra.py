"""Spectra and errors: as accurate as a float64 SVD of every slice, whatever shortcut found them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.lowrank.layers.candidates import layer_candidates
from pruners.lowrank.layers.shapes import shape_of
from pruners.lowrank.spectra.error_curve import ErrorCurve
from pruners.lowrank.spectra.frontier import LayerSearch
from pruners.lowrank.spectra.layer_error import layer_errors
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import ERROR_METRICS


def spectra_of(layer):
    return LayerSpectra("layer", layer.weight.detach().clone(), shape_of(layer))


def by_svd(layer, num_subspaces):
    shape = shape_of(layer)
    matrix = layer.weight.detach().double().reshape(shape.groups, *shape.matrix)
    return torch.stack(
        [torch.linalg.svdvals(part) for part in matrix.chunk(num_subspaces, dim=-1)], dim=1
    ).numpy()


LAYERS = [
    nn.Conv2d(12, 20, 3),
    nn.Conv2d(12, 8, 3),
    nn.Conv2d(24, 36, (1, 3), groups=2),
    nn.Conv2d(7, 7, 3, groups=7),
    nn.Conv2d(1, 9, 5),
    nn.Linear(60, 17),
    nn.Linear(13, 40),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_survey_agrees_with_svd(layer):
    spectra = spectra_of(layer)
    spectra.survey(spectra.shape.candidate_subspaces)
    for number in spectra.shape.candidate_subspaces:
        expected = by_svd(layer, number)
        assert np.all(spectra.least_singular_values(number) <= expected + 1e-7)
        np.testing.assert_allclose(spectra.singular_values(number), expected, atol=1e-9 * spectra.scale)


@pytest.mark.parametrize("layer", [nn.Conv2d(16, 24, 3), nn.Conv2d(24, 8, 3), nn.Linear(40, 90)], ids=str)
@pytest.mark.parametrize("smallest", [1e-4, 1e-6, 1e-9, 0.0])
def test_small_singular_values_keep_their_accuracy(layer, smallest):
    layer = (
        type(layer)(layer.in_channels, layer.out_channels, 3)
        if isinstance(layer, nn.Conv2d)
        else nn.Linear(40, 90)
    )
    u, s, v = torch.linalg.svd(layer.weight.detach().double().flatten(1), full_matrices=False)
    decaying = torch.logspace(0, -9, len(s), dtype=torch.float64).clamp_min(smallest)
    if smallest == 0.0:
        decaying[3:] = 0.0
    layer = layer.double()
    layer.weight.data = ((u * decaying) @ v).reshape(layer.weight.shape)
    spectra = spectra_of(layer)
    for number in spectra.shape.candidate_subspaces:
        ranks = spectra.shape.largest_saving_rank(number)
        ours, expected = (
            spectra.singular_values(number)[..., : ranks + 1],
            by_svd(layer, number)[..., : ranks + 1],
        )
        np.testing.assert_allclose(ours, expected, atol=1e-9 * spectra.scale)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_errors_are_those_of_the_residual(reference, layer):
    spectra = spectra_of(layer)
    for rank, number, _, expected in reference.options(layer)[1:]:
        found = layer_errors(spectra, rank, number)
        assert found == pytest.approx(expected, abs=1e-9)
        assert found["max"] <= found["true"] + 1e-12 <= found["sum"] + 2e-12 <= found["thm1"] + 3e-12


@pytest.mark.parametrize("metric", ERROR_METRICS)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_lower_bounds_are_below_and_become_exact(layer, metric):
    spectra = spectra_of(layer)
    spectra.survey(spectra.shape.candidate_subspaces)
    for number in spectra.shape.candidate_subspaces:
        curve = ErrorCurve(spectra, number, metric)
        ranks = range(1, len(curve.errors) + 1)
        exact = [layer_errors(spectra_of(layer), rank, number)[metric] for rank in ranks]
        assert np.all(curve.errors <= np.array(exact) + 1e-12)
        curve.tighten()
        assert np.all(curve.errors <= np.array(exact) + 1e-12)
        for rank in ranks:
            curve.resolve(rank)
        assert curve.exact.all()
        np.testing.assert_allclose(curve.errors, exact, atol=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    channels=st.sampled_from([6, 8, 12, 16]),
    filters=st.integers(4, 24),
    decay=st.floats(0, 2),
)
def test_shortcuts_change_no_frontier(seed, channels, filters, decay):
    torch.manual_seed(seed)
    layer = nn.Conv2d(channels, filters, 3)
    layer.weight.data *= torch.arange(1, channels + 1)[None, :, None, None] ** -decay
    spectra = spectra_of(layer)
    candidates = layer_candidates(spectra.shape, spectra.shape.candidate_subspaces)
    search = LayerSearch(spectra, "max")
    frontier = search.frontier(candidates)
    while not frontier.exact.all():
        point = int(np.argmin(frontier.exact))
        search.resolve(frontier.cut(point))
        frontier = search.frontier(candidates)
    full = [
        (0.0 if not n else layer_errors(spectra_of(layer), r, n)["max"], p, r, n)
        for r, n, p in zip(
            candidates.ranks.tolist(), candidates.subspaces.tolist(), candidates.params.tolist(), strict=True
        )
    ]
    expected, smallest = [], float("inf")
    for error, params, rank, number in sorted(full, key=lambda row: (row[1], row[0], row[3])):
        if error < smallest - 1e-12:
            expected.append((rank, number, params))
            smallest = error
    assert (
        list(zip(frontier.ranks.tolist(), frontier.subspaces.tolist(), frontier.params.tolist(), strict=True))
        == expected
    )


def test_changes_in_place_are_noticed(network):
    before = pruners.compress(network, keep_ratio=0.3)
    assert pruners.compress(network, keep_ratio=0.3).plan == before.plan
    network[7].weight.data[0, 0] += 10.0
    after = pruners.compress(network, keep_ratio=0.3)
    assert after.plan == pruners.plan(pruners.Spectra(network), keep_ratio=0.3)
    assert after.plan != before.plan


def test_artifact_keeps_the_weights_it_was_made_of(network, reference):
    expected = pruners.compress(network, keep_ratio=0.3)
    expected.tensors  # noqa: B018  (computed here, before the change)
    late = pruners.compress(network, keep_ratio=0.3)
    network[7].weight.data.zero_()
    for name, tensor in expected.tensors.items():
        assert torch.equal(late.tensors[name], tensor)
