"""From a network and a budget to every layer's rank and num_subspaces, without touching a weight."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruners.calibration.calibration import Calibration, calibration_of
from pruners.channels.methods.channel_method import ChannelMethod
from pruners.channels.network_channels import NetworkChannels
from pruners.channels.prune import least_channels
from pruners.errors import InfeasibleBudget, PrunerError
from pruners.latency.tables import LatencyTables, tables_of
from pruners.lowrank.latency.table import LatencyTable
from pruners.lowrank.latency.timed_shape import TimedShape
from pruners.lowrank.layers.budget import IN_TIME, Budget, resolve_budget, unit_of
from pruners.lowrank.layers.candidates import (
    PINS,
    Candidates,
    check_not_empty,
    dense_candidate,
    least_cost,
    pinned_candidate,
)
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.pricing import priced
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.rank_method import AllocationProblem, RankMethod
from pruners.lowrank.plan import Plan, plan_from_choice
from pruners.lowrank.spectra.network_spectra import Spectra, spectra_of
from pruners.methods import method_named, rank_method_named
from pruners.network.inputs import Inputs, check_example
from pruners.network.layer_names import check_module
from pruners.network.seeding import seeded


def plan(
    model: nn.Module | Spectra,
    method: str = "alds",
    *,
    keep_ratio: float | None = None,
    budget: int | None = None,
    flops_ratio: float | None = None,
    latency_ratio: float | None = None,
    latency_ms: float | None = None,
    latency_table: LatencyTables | str | Path | None = None,
    example: Inputs | None = None,
    data: Calibration | Inputs | Iterable[Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> Plan:
    """Choose ranks as `compress` would, without making anything; see there.

    Given `Spectra`, it does not look at the network's weights again. ``data`` (calibration images, or a
    `Calibration` that has them) is for methods that choose by it.
    """
    with torch.inference_mode(False):  # whose tensors could be neither differentiated nor changed
        rule = rank_method_named(method)
        if data is None and "data" in rule.needs:
            raise PrunerError(f"Method {method} needs data=.")
        chosen_options = rule.with_defaults(options)
        spectra = model if isinstance(model, Spectra) else spectra_of(model)
        if latency_ms is not None or latency_ratio is not None:
            _check_timed(rule)
            shape: NetworkShape = _timed_shape(_network_of(spectra), example, latency_table)
        else:
            shape = _shape_with_positions(spectra, example if flops_ratio is not None else None)
        shape.check_any()
        allowed = resolve_budget(shape, keep_ratio, budget, flops_ratio, latency_ratio, latency_ms)
        candidates = _priced(shape, rule.candidates(shape, chosen_options), allowed.unit)
        least = least_cost(shape, candidates, allowed.unit)
        if least > allowed.limit:
            raise _infeasible(allowed, least, shape)
        calibration = _calibration(spectra, data)
        problem = AllocationProblem(spectra, shape, candidates, allowed, calibration, seed)

        def error_of(layer: str, cut: Cut) -> float:
            return rule.error_of(problem, layer, cut, chosen_options)

        with _seeded(calibration, seed):
            choice = rule.choose(problem, chosen_options)
            problem.check(choice)
            cost, metric = problem.cost(choice), rule.metric(chosen_options)
            if cost > allowed.limit:
                raise PrunerError(
                    f"Method {method} chose {cost} {allowed.unit.replace('_', '-')}, over the budget of "
                    f"{allowed.limit}."
                )
            return plan_from_choice(shape, allowed, choice, cost, method, metric, error_of)


def error_curves(
    model: nn.Module,
    method: str,
    *,
    data: Calibration | Inputs | Iterable[Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, list[tuple[float, float]]]:
    """Return what a method chooses from: each layer's error over the share of its weights kept, ascending.

    The options that no other beats in both; a layer that has no choice is left out. Arguments are those of
    `plan`; ``scale`` is no part of a curve.
    """
    with torch.inference_mode(False):  # whose tensors could be neither differentiated nor changed
        rule = rank_method_named(method)
        chosen_options, spectra = rule.with_defaults(options), spectra_of(model)
        shape = spectra.shape
        candidates = rule.candidates(shape, chosen_options)
        whole = resolve_budget(shape, 1.0, None, None)
        calibration = _calibration(spectra, data)
        problem = AllocationProblem(spectra, shape, candidates, whole, calibration, seed)
        curves = {}
        for name, options_of_layer in candidates.items():
            if len(options_of_layer.params) > 1:
                with _seeded(calibration, seed):
                    best = rule.errors_of(problem, name, chosen_options).frontier(options_of_layer)
                shares = best.params / shape.layers[name].params
                curves[name] = list(zip(shares.tolist(), best.errors.tolist(), strict=True))
        return curves


def least_budget(
    model: nn.Module | NetworkShape | NetworkChannels,
    kind: str = "keep_ratio",
    *,
    method: str = "alds",
    example: Inputs | None = None,
    latency_table: LatencyTables | str | Path | None = None,
    **options: Any,
) -> float:
    """Return the least budget that a method can meet, from shapes alone.

    It is a value of the keyword ``kind``: keep_ratio, budget, flops_ratio, latency_ratio or latency_ms. The
    last three need ``example`` (flops_ratio takes a `NetworkShape` made with one), and those in time a
    network that can be run: it is measured, and kept in ``latency_table``, see `compress`. Options are the
    method's own: pins (``layers=``), ``exclude=`` and ``bounds=`` count. A method of kind channels always
    needs ``example``, or, for budgets that are not in time, a `NetworkChannels` in place of the network.
    """
    unit = unit_of(kind)
    chosen = method_named(method)
    if isinstance(chosen, ChannelMethod):
        if isinstance(model, NetworkShape):
            raise PrunerError(f"Method {method} needs the network itself, or its NetworkChannels.")
        return least_channels(model, kind, chosen, example, options, tables_of(latency_table))
    if isinstance(model, NetworkChannels):
        raise PrunerError(f"Method {method} removes no channels: give the network itself, or its shapes.")
    rule = rank_method_named(method)
    if kind in IN_TIME:
        _check_timed(rule)
    shape = _shape_for(kind, model, example, latency_table)
    shape.check_any()
    candidates = _priced(shape, rule.candidates(shape, rule.with_defaults(options)), unit)
    least = least_cost(shape, candidates, unit)
    # unit_of has checked the kind
    return Budget(kind, least, unit).as_asked(least, shape)  # type: ignore[arg-type]


def budget_of(
    model: nn.Module | NetworkShape,
    layers: Mapping[str, Mapping[str, Any]],
    kind: str = "keep_ratio",
    *,
    example: Inputs | None = None,
    latency_table: LatencyTables | str | Path | None = None,
) -> float:
    """Return what a configuration {layer: {rank, num_subspaces}} costs, from shapes alone.

    The cost is a value of the keyword ``kind``. Layers left out stay dense, and so does one that its rank and
    num_subspaces would save nothing in.
    """
    unit = unit_of(kind)
    shape = _shape_for(kind, model, example, latency_table)
    layers = PINS.checked(layers, "layers")
    shape.check_names(layers, "layers")
    check_not_empty(shape, layers)
    options = {
        name: pinned_candidate(name, layer, layers[name]) if name in layers else dense_candidate(layer)
        for name, layer in shape.layers.items()
    }
    cost = least_cost(shape, _priced(shape, options, unit), unit)
    # unit_of has checked the kind
    return Budget(kind, cost, unit).as_asked(cost, shape)  # type: ignore[arg-type]


def _shape_for(
    kind: str,
    model: nn.Module | NetworkShape,
    example: Inputs | None,
    tables: LatencyTables | str | Path | None,
) -> NetworkShape:
    if kind in IN_TIME:
        if isinstance(model, NetworkShape):
            raise PrunerError(f"A budget in time ({kind}) needs the network itself, not its shapes.")
        return _timed_shape(model, example, tables)
    if isinstance(model, NetworkShape):
        return model
    return NetworkShape(model, example if kind == "flops_ratio" else None)


def _check_timed(rule: RankMethod) -> None:
    if not rule.timed:
        raise PrunerError(
            f"Method {rule.name} takes no budget in time (latency_ratio, latency_ms); methods do that choose "
            "for each layer by itself, such as alds and calibrated, or remove channels."
        )


def _calibration(spectra: Spectra, data: Calibration | Inputs | Iterable[Any] | None) -> Calibration | None:
    return None if data is None else calibration_of(_network_of(spectra), data)


def _seeded(calibration: Calibration | None, seed: int) -> AbstractContextManager[None]:
    """Seed the random numbers of a network that draws some in eval mode too, while it may be run."""
    return nullcontext() if calibration is None else seeded(seed, calibration.network())


def _network_of(spectra: Spectra) -> nn.Module:
    model = spectra.model()
    if model is None:
        raise PrunerError(
            "These spectra outlived their network, which has to be run: keep a reference to it."
        )
    return model


def _shape_with_positions(spectra: Spectra, example: Inputs | None) -> NetworkShape:
    """Return the shapes, with output positions where there is an example."""
    if example is None:
        return spectra.shape
    return NetworkShape(_network_of(spectra), example)


def _timed_shape(
    model: nn.Module, example: Inputs | None, tables: LatencyTables | str | Path | None
) -> TimedShape:
    if example is None:
        raise PrunerError("A budget in time (latency_ratio, latency_ms) needs example=, a batch of input.")
    check_module(model)
    check_example(example)
    return TimedShape(model, LatencyTable(model, example, tables_of(tables)))


def _priced(shape: NetworkShape, candidates: dict[str, Candidates], unit: str) -> dict[str, Candidates]:
    return shape.priced(candidates) if isinstance(shape, TimedShape) else priced(shape, candidates, unit)


def _infeasible(allowed: Budget, least: int, shape: NetworkShape) -> InfeasibleBudget:
    asked = allowed.as_asked(least, shape)
    total = allowed.amount(shape.total(allowed.unit))
    message = (
        f"A budget of {allowed} cannot be met: the least possible is {allowed.amount(least)} of "
        f"{total} ({allowed.kind}={asked:.6g})."
    )
    return InfeasibleBudget(message, asked)
