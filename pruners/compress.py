"""The way in: a network and a budget give an artifact."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.calibration import calibration_of
from pruners.channels.channels import Channels
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.prune import remove_channels
from pruners.channels.scoring import channel_inputs
from pruners.errors import PrunerError, PrunerWarning
from pruners.latency.tables import LatencyTables, tables_of
from pruners.lowrank.decomposition import LiveDecomposition
from pruners.lowrank.fitting.network_fit import fit_network
from pruners.lowrank.methods.rank_method import RankMethod
from pruners.lowrank.spectra.network_spectra import spectra_of
from pruners.method import Method
from pruners.methods import method_named, score_method_named
from pruners.network.inputs import Inputs, check_example
from pruners.network.seeding import SEED, seeded
from pruners.option_values import shown
from pruners.planning import plan
from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.mask import Mask, checked_mask
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.prune import prune, score
from pruners.unreached import UnreachedWarning, unreached, unreached_sentence


def compress(
    model: nn.Module,
    method: str = "alds",
    *,
    keep_ratio: float | None = None,
    budget: int | None = None,
    flops_ratio: float | None = None,
    latency_ratio: float | None = None,
    latency_ms: float | None = None,
    latency_table: LatencyTables | str | Path | None = None,
    example: Inputs | None = None,
    data: Inputs | Iterable[Any] | None = None,
    loss: Callable[..., Tensor] | None = None,
    seed: int = 0,
    mask: Mask | None = None,
    **options: Any,
) -> LiveDecomposition | Mask | Channels:
    """Choose, within a budget, how to decompose a network's layers, or which weights or channels to keep.

    Exactly one of five budgets is given. A method of kind decomposition replaces Conv2d and Linear layers;
    ``keep_ratio`` is the share of all compressible weights kept (at most floor(keep_ratio * N)), ``budget``
    their number, ``flops_ratio`` the share of the compressible layers' multiply-adds, ``latency_ratio`` the
    share of the time of the whole network and ``latency_ms`` its milliseconds, by a table of its layers'
    times that is measured once and kept, in this process or in the JSON file ``latency_table``; the last
    three need ``example``, a batch of input, for budgets in time as it will be used, on its device. A layer
    that no decomposition makes faster stays dense under such a budget. A method of kind mask keeps single
    weights of convolutions and Linears, see `prunable`: exactly ceil(keep_ratio * N) of them, or ``budget``,
    those with the highest scores and the earlier of equal ones; it takes no other budget. It may go on from a
    ``mask`` of the same network: what that removed stays removed, and N still counts it. A method of kind
    channels removes whole channels of the layers that a mask would be of, each group of them down to one at
    the least, within any of the five; all of them need ``example``, to find the channels that can only go
    together.

    ``data`` (batches of inputs and labels on the network's device), ``loss`` and ``example`` are for methods
    whose ``needs`` name them; ``seed`` for those that draw. A method of kind decomposition takes as ``data``
    a few hundred training inputs without labels too, one tensor or batches: its factors are then refitted to
    the network's outputs by least squares and BatchNorm is re-estimated, unless ``refit="none"``; the
    artifact's ``refit`` tells what that came to. A method of kind mask takes such ``data`` for
    ``allocation="measured"`` or ``"owl"`` and for a ``refit``; with one that needs labels its own batches
    serve for these too. ``options`` are the method's own and its kind's, see `methods`. The network is not
    changed; ``artifact.apply(model)`` gives the small one. Layers that lose
    every weight are named in a PrunerWarning, as are those whose channels a trial shows to be bound to
    something that is not understood and which keep them all, and weights that the method does not reach in an
    UnreachedWarning where they are at least 1 % of the network's parameters, see `unreached`.

    Raises PrunerError: UnknownMethod, UnknownOption, UnknownLayer, InfeasibleBudget (with ``least``), or one
    that names a layer with weights or scores that are not finite or not there; BadArtifact for a mask of
    another network.
    """
    with torch.inference_mode(False):  # whose tensors could be neither differentiated nor changed
        rule = method_named(method)
        _check_arguments(rule, data, loss, example, mask)
        seed = SEED.checked(seed, "seed")
        asked = _Asked(keep_ratio, budget, flops_ratio, latency_ratio, latency_ms)
        tables = tables_of(latency_table)
        result: LiveDecomposition | Mask | Channels
        if isinstance(rule, ScoreMethod):
            result = _mask(model, rule, asked, data, loss, example, seed, mask, options)
        elif mask is not None:
            does = "removes channels" if isinstance(rule, ChannelMethod) else "decomposes layers"
            raise PrunerError(f"Method {method} {does} and cannot go on from a mask.")
        elif isinstance(rule, ChannelMethod):
            inputs = channel_inputs(rule, data, loss, example, seed)
            result = _channels(model, rule, asked, tables, inputs, seed, options)
        else:
            assert isinstance(rule, RankMethod)
            result = _decomposition(model, method, rule, asked, tables, example, data, seed, options)
        if said := unreached_sentence(method, unreached(model, method)):
            warnings.warn(f"{said} pruners.unreached(model, {method!r}) lists all.", UnreachedWarning, 2)
        return result


_NOT_OF_WEIGHTS = {
    "flops_ratio": "multiply-adds",
    "latency_ratio": "milliseconds",
    "latency_ms": "milliseconds",
}


@dataclass(frozen=True)
class _Asked:
    """The five budgets, of which one is given."""

    keep_ratio: float | None
    budget: int | None
    flops_ratio: float | None
    latency_ratio: float | None
    latency_ms: float | None


def _decomposition(
    model: nn.Module,
    method: str,
    rule: RankMethod,
    asked: _Asked,
    tables: LatencyTables,
    example: Inputs | None,
    data: Inputs | Iterable[Any] | None,
    seed: int,
    options: Mapping[str, Any],
) -> LiveDecomposition:
    """Choose ranks, and fit the factors to the data where they are to be."""
    chosen_options = rule.with_defaults(options)
    spectra = spectra_of(model)
    fitting = rule.fitting(chosen_options, data is not None)
    calibration = calibration_of(model, data) if data is not None and rule.wants_data(options) else None
    chosen = plan(
        spectra,
        method,
        **asdict(asked),
        latency_table=tables,
        example=example,
        data=calibration,
        seed=seed,
        **options,
    )
    fitted = own = None
    refitting = fitting.refit != "none"
    if calibration is not None and chosen.layers and (refitting or rule.factors_from_data):
        cuts = {name: choice.cut for name, choice in chosen.layers.items()}
        with seeded(seed, model):
            own = rule.own_tensors(spectra, cuts, calibration)
            fitted = fit_network(spectra, cuts, calibration, fitting, own) if refitting else None
    return LiveDecomposition(chosen, spectra, rule.factoring(chosen_options, seed), fitted, own)


def _channels(
    model: nn.Module,
    rule: ChannelMethod,
    asked: _Asked,
    tables: LatencyTables,
    inputs: ChannelInputs,
    seed: int,
    options: Mapping[str, Any],
) -> Channels:
    """Choose channels."""
    return remove_channels(
        model,
        rule,
        asked=asdict(asked),
        tables=tables,
        scoring_inputs=inputs,
        seed=seed,
        options=options,
    )


def _mask(
    model: nn.Module,
    rule: ScoreMethod,
    asked: _Asked,
    data: Inputs | Iterable[Any] | None,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
    mask: Mask | None,
    options: Mapping[str, Any],
) -> Mask:
    """Choose single weights, and name the layers that lose all; refuses budgets in anything else."""
    for given, unit in _NOT_OF_WEIGHTS.items():
        if getattr(asked, given) is not None:
            raise PrunerError(
                f"Method {rule.name} keeps a number of weights, not of {unit}: give keep_ratio or budget, "
                f"not {given}."
            )
    result = prune(
        model,
        rule,
        keep_ratio=asked.keep_ratio,
        budget=asked.budget,
        data=data,
        loss=loss,
        example=example,
        seed=seed,
        mask=mask,
        options=options,
    )
    if empty := result.empty_layers:
        warnings.warn(
            f"Method {rule.name} left no weights in {', '.join(map(repr, empty))}; "
            "min_layer_keep=1 forbids it.",
            PrunerWarning,
            3,
        )
    return result


def scores(
    model: nn.Module,
    method: str,
    *,
    data: Iterable[Any] | None = None,
    loss: Callable[..., Tensor] | None = None,
    example: Inputs | None = None,
    seed: int = 0,
    mask: Mask | None = None,
    **options: Any,
) -> Scores:
    """Score the prunable weights once; the highest scores are worth keeping.

    Gives {parameter name: tensor of its shape}. Arguments are those of `compress`; of the options that
    methods of this kind share it takes ``exclude`` alone. With ``mask`` the weights that it removed are zero
    meanwhile, and their own scores say nothing. Raises PrunerError as `compress` does.
    """
    rule = score_method_named(method)
    _check_arguments(rule, data, loss, example, mask)
    seed = SEED.checked(seed, "seed")
    return score(model, rule, data=data, loss=loss, example=example, seed=seed, mask=mask, options=options)


def _check_arguments(method: Method, data: object, loss: object, example: object, mask: object) -> None:
    given = {"data": data, "loss": loss, "example": example}
    for need in method.needs:
        if given[need] is None:
            raise PrunerError(f"Method {method.name} needs {need}=.")
    labelled = "data" in method.needs and (isinstance(method, ScoreMethod) or "loss" in method.needs)
    if labelled and (not isinstance(data, Iterable) or isinstance(data, str | Mapping | Tensor)):
        raise PrunerError(f"data takes batches (inputs, labels), not {shown(data)}.")
    if loss is not None and not callable(loss):
        raise PrunerError(f"loss takes a function of outputs and labels, not {shown(loss)}.")
    if example is not None:
        check_example(example)
    if mask is not None:
        checked_mask(mask)
