"""Errors of outputs over all options: those of the refitted layers themselves, and what they cost."""

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration
from pruners.calibration.moments.drawn_loss import draw_labels
from pruners.lowrank.curves.kept import ErrorKind, errors_by_data
from pruners.lowrank.curves.output import _not_too_many_encoders
from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.spectra.network_spectra import spectra_of

OUTPUT = ErrorKind("output", "weight", 1e-3, 0)
PREDICTED = ErrorKind("predicted", "weight", 1e-3, 0)


def images(number: int, *shape: int) -> torch.Tensor:
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("encoders", ["weight", "whitened"])
def test_output_errors_are_those_of_the_refitted_layers(network, encoders):
    data = images(60, 4, 8, 8)
    errors = errors_by_data(
        Calibration(network, data),
        spectra_of(network),
        ["0", "3", "7"],
        ErrorKind("output", encoders, 1e-3, 0),
    )
    for pins in ({"0": (2, 2), "3": (1, 1), "7": (3, 6)}, {"0": (4, 4), "3": (2, 4), "7": (1, 48)}):
        artifact = pruners.compress(
            network,
            "alds",
            keep_ratio=1.0,
            data=data,
            refit="layer",
            encoders=encoders,
            layers={n: {"rank": r, "num_subspaces": k} for n, (r, k) in pins.items()},
        )
        for name, (rank, subspaces) in pins.items():
            assert errors[name].error(Cut(rank, subspaces)) == pytest.approx(
                artifact.refit.output_errors[name], rel=1e-6
            )


def test_the_frontier_leaves_out_nothing_that_is_worth_something(network):
    spectra = spectra_of(network)
    errors = errors_by_data(Calibration(network, images(60, 4, 8, 8)), spectra, ["0"], OUTPUT)["0"]
    shape = spectra.shape.layers["0"]
    every = layer_candidates(shape, shape.candidate_subspaces)
    frontier = errors.frontier(every)
    assert (np.diff(frontier.params) > 0).all() and (np.diff(frontier.errors) < 0).all()
    for rank, subspaces, params in zip(every.ranks, every.subspaces, every.params, strict=True):
        error = errors.error(Cut(int(rank), int(subspaces))) if rank else 0.0
        assert frontier.errors[frontier.params <= params].min() <= error


def test_options_that_take_too_long_are_left_out_where_there_are_others():
    options = layer_candidates(LayerShape(3000, 3000), (1, 1000))
    kept = _not_too_many_encoders(options)
    assert kept.ranks[kept.subspaces == 1000].tolist() == [1] and 0 in kept.ranks
    assert options.ranks[options.subspaces == 1000].tolist() == [1, 2]
    assert (kept.subspaces == 1).sum() == (options.subspaces == 1).sum()
    large = options.ranks * options.subspaces > 1536
    only = Candidates(
        options.ranks[large], options.subspaces[large], options.params[large], options.forms[large]
    )
    assert _not_too_many_encoders(only) is only


def test_the_predicted_loss_is_the_full_fisher_matrix_of_a_single_image():
    """One image with one label has one gradient, whose square is a single Kronecker product."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 6, bias=False), nn.Tanh(), nn.Linear(6, 5)).eval()
    image = images(1, 12)
    artifact = pruners.compress(
        network,
        keep_ratio=1.0,
        data=image,
        refit="layer",
        ridge=0.1,
        layers={"0": {"rank": 1, "num_subspaces": 2}},
        exclude=["2"],
    )
    assert artifact.refit.kept
    moved = artifact.apply(network)[0].weight.detach().double() - network[0].weight.detach().double()
    network.double()
    label = draw_labels(network(image.double()), torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(network(image.double()), label)
    (gradient,) = torch.autograd.grad(loss, network[0].weight)
    network.float()
    pixels = image[0].double()
    # the ridge is noise in the inputs, a tenth of their mean square
    second = torch.outer(pixels, pixels) + 0.1 * pixels.square().mean() * torch.eye(12)
    at_output = gradient @ pixels / pixels.square().sum()
    fisher = torch.kron(torch.outer(at_output, at_output), second)
    kind = ErrorKind("predicted", "weight", 0.1, 0)
    errors = errors_by_data(Calibration(network, image), spectra_of(network), ["0"], kind)["0"]
    expected = float(moved.flatten() @ fisher @ moved.flatten()) / 2
    assert expected > 1e-8
    assert errors.error(Cut(1, 2)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("network", "shape", "rank", "subspaces", "within"),
    [
        (nn.Linear(6, 5), (6,), 1, 2, 0.1),
        (nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(72, 6)), (4, 5, 5), 3, 2, 0.3),
    ],
    ids=["linear", "convolution"],
)
def test_the_predicted_loss_is_about_the_divergence(network, shape, rank, subspaces, within):
    for number, parameter in enumerate(network.parameters()):
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(number))
    data = images(3000, *shape)
    name = "" if isinstance(network, nn.Linear) else "0"
    calibration = Calibration(network.eval(), data)
    predicted = errors_by_data(calibration, spectra_of(network), [name], PREDICTED)[name]
    others = [n for n in pruners.compressible(network) if n != name]
    artifact = pruners.compress(
        network,
        keep_ratio=1.0,
        data=calibration,
        refit="layer",
        layers={name: {"rank": rank, "num_subspaces": subspaces}},
        exclude=others,
    )
    divergence = calibration.divergence(artifact.apply(network))
    assert divergence > 1e-4
    assert predicted.error(Cut(rank, subspaces)) == pytest.approx(divergence, rel=within)
