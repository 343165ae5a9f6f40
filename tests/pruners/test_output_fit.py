"""Decoders against numpy.linalg.lstsq on explicit columns; the errors of all ranks at once against each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners.lowrank.fitting.encoders import weight_encoders, whitened_encoders
from pruners.lowrank.fitting.joint_encoders import joint_encoders
from pruners.lowrank.fitting.output_fit import OutputFit


@st.composite
def layers(draw):
    """A folded weight, the columns of its inputs, and a cut of it."""
    groups, rows = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    subspaces, part = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rank = draw(st.integers(1, min(rows, part)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    columns = subspaces * part
    matrix = torch.randn(groups, rows, columns, generator=generator, dtype=torch.float64)
    mixing = torch.randn(groups, columns, columns, generator=generator, dtype=torch.float64)
    inputs = mixing @ torch.randn(groups, columns, 4 * columns, generator=generator, dtype=torch.float64)
    return matrix, inputs, rank, subspaces


def moment(inputs):
    return inputs @ inputs.mT / inputs.shape[-1]


def block_diagonal(encoders):
    return torch.stack([torch.block_diag(*of_group) for of_group in encoders])


def together(decoder, encoders):
    """The folded weight that decoder and encoders make."""
    return torch.cat(list((decoder @ encoders).unbind(1)), dim=-1)


def by_least_squares(matrix, inputs, encoders, noise=0.0):
    """D of each group from the columns themselves; the ridge is columns of its own."""
    found = []
    for w, x, e in zip(matrix, inputs, block_diagonal(encoders), strict=True):
        x = torch.cat([x / x.shape[-1] ** 0.5, noise**0.5 * torch.eye(len(x), dtype=x.dtype)], dim=1)
        solution, *_ = np.linalg.lstsq((e @ x).T.numpy(), (w @ x).T.numpy(), rcond=None)
        found.append(torch.from_numpy(solution.T))
    return torch.stack(found)


def flat(decoder):
    return decoder.transpose(1, 2).flatten(2)


@given(layers(), st.sampled_from([0.0, 1e-3, 1.0]))
@settings(max_examples=40, deadline=None)
def test_decoder_is_the_least_squares_one(layer, ridge):
    matrix, inputs, rank, subspaces = layer
    encoders = weight_encoders(matrix, rank, subspaces)
    decoder = OutputFit(matrix, moment(inputs), ridge).decoder(encoders)
    for group in range(len(matrix)):
        one = slice(group, group + 1)
        noise = ridge * float(moment(inputs)[group].diagonal().mean())
        expected = by_least_squares(matrix[one], inputs[one], encoders[one], noise)
        difference = (flat(decoder)[one] - expected) @ block_diagonal(encoders)[one] @ inputs[one]
        assert difference.norm() <= 1e-8 * (matrix[one] @ inputs[one]).norm()


@given(layers())
@settings(max_examples=20, deadline=None)
def test_other_inputs_are_fitted_to_the_dense_ones_outputs(layer):
    matrix, dense, rank, subspaces = layer
    own = dense + 0.3 * dense.roll(1, dims=-1)
    outputs = matrix @ dense
    target = outputs @ own.mT / own.shape[-1]
    encoders = weight_encoders(matrix, rank, subspaces)
    fit = OutputFit(matrix, moment(own), 0.0, target, float(outputs.square().sum() / own.shape[-1]))
    decoder = fit.decoder(encoders)
    lost = (together(decoder, encoders) @ own - outputs).norm() / outputs.norm()
    assert fit.error(together(decoder, encoders)) == pytest.approx(float(lost), abs=1e-6)
    for w, x, y, e, d in zip(matrix, own, outputs, block_diagonal(encoders), flat(decoder), strict=True):
        solution, *_ = np.linalg.lstsq((e @ x).T.numpy(), y.T.numpy(), rcond=None)
        assert (torch.from_numpy(solution.T) @ e @ x - d @ e @ x).norm() <= 1e-7 * (w @ x).norm()


@given(layers())
@settings(max_examples=20, deadline=None)
def test_white_inputs_and_full_rank_change_nothing(layer):
    matrix, inputs, rank, subspaces = layer
    white = torch.eye(matrix.shape[-1], dtype=matrix.dtype).expand(len(matrix), -1, -1)
    encoders = weight_encoders(matrix, rank, subspaces)
    truncated = together(matrix.unflatten(2, (subspaces, -1)).transpose(1, 2) @ encoders.mT, encoders)
    own = together(OutputFit(matrix, white, 0.1).decoder(encoders), encoders)
    torch.testing.assert_close(own, truncated, rtol=0, atol=1e-10)
    full = weight_encoders(matrix, min(matrix.shape[1], matrix.shape[2] // subspaces), subspaces)
    kept = together(OutputFit(matrix, moment(inputs), 1e-6).decoder(full), full)
    torch.testing.assert_close(kept, matrix, rtol=0, atol=1e-6)


def test_a_large_ridge_leaves_the_weights_own_factors():
    torch.manual_seed(0)
    matrix, inputs = torch.randn(1, 6, 8).double(), torch.randn(1, 8, 30).double() * torch.arange(8)[:, None]
    encoders = weight_encoders(matrix, 2, 2)
    truncated = together(matrix.unflatten(2, (2, 4)).transpose(1, 2) @ encoders.mT, encoders)
    fitted = together(OutputFit(matrix, moment(inputs), 1e9).decoder(encoders), encoders)
    torch.testing.assert_close(fitted, truncated, rtol=0, atol=1e-7)


@given(layers(), st.sampled_from(["weight", "whitened"]), st.sampled_from([0.0, 1e-2]))
@settings(max_examples=40, deadline=None)
def test_errors_of_all_ranks_are_those_of_each(layer, kind, ridge):
    matrix, inputs, _, subspaces = layer
    fit = OutputFit(matrix, moment(inputs), ridge)
    most = min(matrix.shape[1], matrix.shape[2] // subspaces)

    def encoders(rank):
        if kind == "weight":
            return weight_encoders(matrix, rank, subspaces)
        return whitened_encoders(matrix, fit.second, rank, subspaces)

    together_at_once = fit.errors(encoders(most))
    assert together_at_once.shape == (most,)
    assert (np.diff(together_at_once) <= 1e-6).all()
    for rank in range(1, most + 1):
        one = encoders(rank)
        refitted = together(fit.decoder(one), one)
        assert together_at_once[rank - 1] == pytest.approx(fit.error(refitted), abs=1e-6)
        if not ridge:
            lost = ((refitted - matrix) @ inputs).norm() / (matrix @ inputs).norm()
            assert fit.error(refitted) == pytest.approx(float(lost), abs=1e-7)


@given(layers())
@settings(max_examples=30, deadline=None)
def test_whitened_encoders_of_the_whole_matrix_are_the_best_for_its_outputs(layer):
    matrix, inputs, rank, _ = layer
    fit = OutputFit(matrix, moment(inputs))
    encoders = whitened_encoders(matrix, fit.second, rank, 1)
    left = ((together(fit.decoder(encoders), encoders) - matrix) @ inputs).square().sum()
    # Eckart and Young: what the outputs' own singular values leave
    best = torch.linalg.svdvals(matrix @ inputs)[:, rank:].square().sum()
    assert float(left) == pytest.approx(float(best), rel=1e-6, abs=1e-7 * float((matrix @ inputs).norm()))
    assert (encoders @ encoders.mT - torch.eye(rank, dtype=encoders.dtype)).abs().max() < 1e-10


@given(layers(), st.booleans(), st.sampled_from([0.0, 1e-3]))
@settings(max_examples=25, deadline=None)
def test_joint_encoders_leave_less_error(layer, scaled, ridge):
    """No more than those they start from; what they converge to cannot be bettered slice by slice."""
    matrix, inputs, rank, subspaces = layer
    fit = OutputFit(matrix, moment(inputs), ridge)
    scale = torch.linspace(0.5, 2, matrix.shape[0] * matrix.shape[1]).double().reshape(matrix.shape[:2])
    rows = scale if scaled else torch.ones_like(scale)

    def error(encoders):
        weighted = rows.unsqueeze(-1) * (together(fit.decoder(encoders), encoders) - matrix)
        return float(((weighted @ fit.second) * weighted).sum())

    start = weight_encoders(rows.unsqueeze(-1) * matrix, rank, subspaces)
    found = joint_encoders(fit, matrix, rank, subspaces, scale if scaled else None)
    assert found.shape == start.shape
    assert (found @ found.mT - torch.eye(rank).double()).abs().max() < 1e-9
    tolerance = 1e-9 * float(((matrix @ fit.second) * matrix).sum())
    assert error(found) <= error(start) + tolerance
    if subspaces == 1 and not scaled:
        best = error(whitened_encoders(matrix, fit.second, rank, 1))
        assert best - tolerance <= error(found)


def test_joint_encoders_by_hand():
    """One slice after the other by numpy.linalg.lstsq on explicit columns."""
    torch.manual_seed(3)
    matrix, inputs = torch.randn(1, 5, 8).double(), torch.randn(1, 8, 60).double() ** 3
    rank, subspaces = 2, 2
    x, encoders = inputs[0], weight_encoders(matrix, rank, subspaces)
    for _ in range(2):
        decoder = OutputFit(matrix, moment(inputs)).decoder(encoders)[0]
        for i in range(subspaces):
            others = sum(
                (decoder[j] @ encoders[0, j] @ x[4 * j : 4 * j + 4] for j in range(subspaces) if j != i),
                torch.zeros(5, 60).double(),
            )
            wanted = (matrix[0] @ x - others).T.flatten()  # vec of D_i E_i x_i over positions
            design = np.kron(x[4 * i : 4 * i + 4].T.numpy(), decoder[i].numpy())
            solution, *_ = np.linalg.lstsq(design, wanted.numpy(), rcond=None)
            encoders[0, i] = torch.from_numpy(solution).reshape(4, rank).T
    found = joint_encoders(OutputFit(matrix, moment(inputs)), matrix, rank, subspaces, None)
    expected = together(OutputFit(matrix, moment(inputs)).decoder(encoders), encoders)
    own = together(OutputFit(matrix, moment(inputs)).decoder(found), found)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-8)


def test_inputs_that_never_vary_in_some_directions():
    torch.manual_seed(1)
    matrix, inputs = torch.randn(2, 6, 12).double(), torch.randn(2, 12, 5).double()
    inputs[1] = 0  # a group without any
    encoders = weight_encoders(matrix, 3, 2)
    for ridge in (0.0, 1e-4):
        fit = OutputFit(matrix, moment(inputs), ridge)
        decoder = fit.decoder(encoders)
        assert torch.isfinite(decoder).all()
        errors = fit.errors(encoders)
        # six directions explain what five columns show
        assert errors[2] == pytest.approx(0, abs=2e-2 if ridge else 1e-5)
        assert np.isfinite(errors).all() and (np.diff(errors) <= 0).all()
    # with a ridge a group without inputs keeps the weights' own decoder
    own = matrix[1].unflatten(1, (2, 6)).transpose(0, 1) @ encoders[1].mT
    torch.testing.assert_close(decoder[1], own, rtol=0, atol=1e-9)


def test_a_layer_of_zeros_has_no_error():
    encoders = weight_encoders(torch.randn(1, 4, 6).double(), 2, 1)
    fit = OutputFit(torch.zeros(1, 4, 6).double(), torch.eye(6).double()[None], 1e-4)
    assert not fit.errors(encoders).any() and fit.error(torch.ones(1, 4, 6).double()) == 0
    assert not fit.decoder(encoders).any()
