"""OWL: layers with more outliers keep more of their weights."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction

from torch import Tensor

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import layer_calls
from pruners.calibration.moments.columns import has_columns
from pruners.calibration.moments.moment import Moment
from pruners.network.layer_names import named_modules, named_parameters
from pruners.sparse.selection.allocation import Pool
from pruners.sparse.selection.counts import rounded
from pruners.sparse.selection.prunable import PrunableLayer
from pruners.sparse.selection.shared_options import SelectionOptions


def owl_pools(
    pools: Sequence[Pool],
    layers: Mapping[str, PrunableLayer],
    alive: Mapping[str, Tensor],
    selection: SelectionOptions,
    calibration: Calibration,
) -> list[Pool]:
    """Divide the place that several layers compete for by the layers' outliers; pools of one layer stay.

    Yin et al.: Outlier Weighed Layerwise Sparsity (OWL): A Missing Secret Sauce for Pruning LLMs to High
    Sparsity, ICML 2024, arXiv 2310.05175, sections 3.2 and 3.3, a layer in the place of a transformer block.
    Layers whose inputs are not seen (attention multiplies by its projections itself; a forward of the user's
    own; one that is not called) keep the share that all keep together.
    """
    divided: list[Pool] = []
    shares: dict[str, Fraction] | None = None
    for pool in pools:
        if len(pool.layers) == 1:
            divided.append(pool)
            continue
        if shares is None:
            shares = _outlier_shares(layers, alive, selection.owl_m, calibration)
        left = {name: int(alive[layers[name].parameter].count_nonzero()) for name in pool.layers}
        counts = divided_by_outliers(
            pool.keep,
            [layers[name].params for name in pool.layers],
            [shares.get(name) for name in pool.layers],
            selection.owl_lambda,
            [min(selection.min_layer_keep, left[name]) for name in pool.layers],
            [left[name] for name in pool.layers],
        )
        divided += [Pool((name,), count) for name, count in zip(pool.layers, counts, strict=True)]
    return divided


def _outlier_shares(
    layers: Mapping[str, PrunableLayer], alive: Mapping[str, Tensor], m: float, calibration: Calibration
) -> dict[str, Fraction]:
    """Return the outliers' share of every layer whose inputs are seen."""
    network = calibration.network()
    modules, weights = dict(named_modules(network)), named_parameters(network)
    seen = {name: module for name in layers if has_columns(module := modules.get(name))}
    moments = calibration.moments(list(layer_calls(network, seen, calibration.batches[0])))
    return {
        name: outlier_share(weights[layer.parameter].detach(), alive[layer.parameter], moments[name], m)
        for name, layer in layers.items()
        if name in moments
    }


def outlier_share(weight: Tensor, alive: Tensor, moment: Moment, m: float) -> Fraction:
    """Count which share of a layer's weights are outliers: |w| times the norm of the input that w multiplies
    is above ``m`` times its mean in the layer.

    The norm is the l2 norm over all columns of the images, of which the root mean square has the same
    outliers. Weights that are not ``alive`` (bool, of the weight's shape) count nowhere.
    """
    squares = moment.second.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    groups, columns = squares.shape
    folded = weight.abs().double().cpu().reshape(groups, -1, columns)
    scores = (folded * squares.sqrt().unsqueeze(1)).flatten()[alive.flatten()]
    if not scores.numel():
        return Fraction(0)
    return Fraction(int((scores > m * scores.mean()).count_nonzero()), scores.numel())


def divided_by_outliers(
    total: int,
    weights: Sequence[int],
    shares: Sequence[Fraction | None],
    spread: Fraction,
    least: Sequence[int],
    most: Sequence[int],
) -> list[int]:
    """Divide ``total`` among layers of so many ``weights``, exactly, by the ``shares`` of their outliers.

    Densities are linear in the shares, 2 * ``spread`` apart between the layers with the fewest and the most
    outliers, moved to have the total, and then at most ``spread`` from total / all weights, up to rounding by
    largest remainder (which earlier layers win). A layer without a share has that mean. ``least`` and
    ``most`` count weights and go first: where the total cannot be had between them within the spread, the
    spread gives way. ``sum(least) <= total <= sum(most)`` must hold.
    """
    known = [share for share in shares if share is not None]
    low, high = min(known, default=Fraction(0)), max(known, default=Fraction(0))
    mean = Fraction(total, max(1, sum(weights)))
    above, floors, ceilings = [], [], []
    for count, share, fewest, utmost in zip(weights, shares, least, most, strict=True):
        near = spread if share is not None else Fraction(0)
        more = 2 * spread * (share - low) / (high - low) if share is not None and high > low else 0
        above.append(mean + more)
        floors.append(min(max(count * (mean - near), Fraction(fewest)), Fraction(utmost)))
        ceilings.append(min(max(count * (mean + near), Fraction(fewest)), Fraction(utmost)))
    if sum(floors) > total:
        floors = [Fraction(fewest) for fewest in least]
    if sum(ceilings) < total:
        ceilings = [Fraction(utmost) for utmost in most]
    return rounded(_lowered(total, weights, above, floors, ceilings), total)


def _lowered(
    total: int,
    weights: Sequence[int],
    densities: Sequence[Fraction],
    floors: Sequence[Fraction],
    ceilings: Sequence[Fraction],
) -> list[Fraction]:
    """Return weights * (densities - x) within their bounds, for the one x at which they have the total."""

    def at(x: Fraction) -> list[Fraction]:
        return [
            min(max(count * (density - x), floor), ceiling)
            for count, density, floor, ceiling in zip(weights, densities, floors, ceilings, strict=True)
        ]

    # between two of these the sum is linear in x, which lowers it
    turns = sorted(
        {
            density - bound / count
            for count, density, *bounds in zip(weights, densities, floors, ceilings, strict=True)
            if count
            for bound in bounds
        }
    )
    if not turns:
        return at(Fraction(0))
    place = bisect_right(turns, -Fraction(total), key=lambda x: -sum(at(x), Fraction(0))) - 1
    before = at(turns[max(place, 0)])
    if sum(before) == total or place + 1 >= len(turns):
        return before
    after = at(turns[place + 1])
    share = Fraction(sum(before) - total, sum(before) - sum(after))
    return at(turns[place] + share * (turns[place + 1] - turns[place]))
