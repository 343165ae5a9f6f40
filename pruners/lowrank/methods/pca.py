"""PCA: a layer's outputs projected on the directions in which they vary most."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pruners.calibration.calibration import Calibration
from pruners.lowrank.curves.principal import PrincipalErrors, principal_components
from pruners.lowrank.fitting.options import encoders_option
from pruners.lowrank.fitting.principal import principal_tensors
from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.cut import ENCODE, Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.common_share import cuts_at_largest_share, ranks_at_largest_energy_share
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    LayerErrors,
    RankMethod,
    excluding,
)
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.method import Option
from pruners.option_values import Choice


@final
class PCA(RankMethod):
    """Keeps of each layer's outputs y their principal components: W becomes U U^T W, in one subspace.

    U holds the leading eigenvectors of the covariance of y on the calibration images, which follows from the
    moments S of the layer's inputs as W S W^T; the bias (of the BatchNorm behind it, the mean) becomes that
    which leaves the mean of y as it is. Where a layer has neither, its moments are not about the mean. Zhang,
    Zou, He, Sun: Accelerating Very Deep Convolutional Networks for Classification and Detection, TPAMI 2016,
    arXiv 1505.06798, sections 3.1 and 3.4; the baseline "PCA" of ALDS's paper. As there, the nonlinear case
    (3.2) is left out.

    ``allocate`` says how ranks are chosen. ``product``: so that the product of the layers' shares of energy
    (of variance kept) is large, greedily, as section 3.4 and the authors of ALDS do: the next eigenvalue e_r
    to go is that with the smallest e_r / (e_1 + ... + e_r) for what it costs, in the budget's own unit (the
    authors' code of ALDS divides by multiply-adds whatever the budget counts). ``share``: the same share of
    energy in every layer. Either is the largest within the budget; a layer that would save nothing stays
    dense.

    Without a refit these are the factors; with one, the second half is fitted by least squares to the dense
    outputs, ``sequential`` from the compressed network's own inputs, the paper's asymmetric reconstruction
    (section 3.3).
    """

    name = "pca"
    title = "PCA: the principal components of each layer's outputs on unlabelled images"
    paper = "Zhang et al., TPAMI 2016, arXiv 1505.06798"
    needs = ("data",)
    factors_from_data = True
    options = (
        Option(
            "allocate",
            "product",
            "what is as large as the budget allows: product (of the layers' shares of energy, greedily) or "
            "share (of energy, the same in every layer)",
            Choice(("product", "share")),
        ),
        EXCLUDE,
        RANK_MULTIPLE,
        encoders_option("whitened"),
    )

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell whether calibration images would be used: always, the method needs them."""
        return True

    def metric(self, options: Mapping[str, Any]) -> str:
        """Return the error that the layer errors of the result are told in: that of the layer's outputs."""
        return "output"

    def errors_of(self, problem: AllocationProblem, layer: str, options: Mapping[str, Any]) -> LayerErrors:
        """Return the errors of a layer's outputs over its ranks, without a refit."""
        assert problem.calibration is not None  # `needs` asks for it
        return PrincipalErrors(principal_components(problem.calibration, problem.spectra, [layer])[layer])

    def own_tensors(
        self, spectra: Spectra, cuts: Mapping[str, Cut], calibration: Calibration
    ) -> Mapping[str, Tensor]:
        """Return the factors U and U^T W, and the biases and BatchNorm means that belong to them."""
        ranks = {name: cut.rank for name, cut in cuts.items()}
        components = principal_components(calibration, spectra, ranks)
        return principal_tensors(calibration.network(), spectra, ranks, calibration, components)

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every rank of the whole matrix that saves something, and dense."""
        options_of, free = excluding(shape, options["exclude"])
        options_of |= {
            name: layer_candidates(shape.layers[name], (1,), rank_multiple=options["rank_multiple"])
            for name in free
        }
        return {name: options_of[name] for name in shape.layers}

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks that keep the most energy within the budget, as ``allocate`` compares it."""
        assert problem.calibration is not None  # `needs` asks for it
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        free = [name for name in problem.candidates if name not in excluded]
        components = principal_components(problem.calibration, problem.spectra, free)
        layers = problem.shape.layers
        energies = {n: components[n].energies[: layers[n].max_rank(1)] for n in free}
        step = {name: layers[name].rank_step(options["rank_multiple"], (1,)) for name in free}
        if options["allocate"] == "share":
            by_folding = {name: {ENCODE: of_layer} for name, of_layer in energies.items()}
            return ranks_at_largest_energy_share(problem, by_folding, options["rank_multiple"])
        worth = {
            name: _worth(of_layer)
            / (layers[name].params_per_rank(1) * max(problem.shape.unit_cost(name, problem.budget.unit), 1))
            for name, of_layer in energies.items()
        }
        shares = np.unique(-np.concatenate([*worth.values(), [0.0]])).tolist()

        def cuts(share: float) -> dict[str, Cut]:
            return {
                name: Cut(step[name] * max(1, -(-int((of_layer >= -share).sum()) // step[name])), 1)
                for name, of_layer in worth.items()
            }

        return cuts_at_largest_share(problem, shares, cuts)


def _worth(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the energy kept so far that each rank holds: it falls with the rank."""
    kept = np.cumsum(energies)
    return np.divide(energies, kept, out=np.zeros_like(energies), where=kept > 0)
