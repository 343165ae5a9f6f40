"""The steps in which a network is made smaller and smaller, each step retrained."""

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import pruners
from pruners.sparse.selection.counts import after_rounds
from trainables.config import BudgetConfig, TaskConfig, TrialConfig
from trainables.errors import Refused
from trainables.users_code.methods import method_named

_DIGITS = 12  # of a step's share: cascades that differ in the last bits of a root share their steps


def cascade_budgets(config: TrialConfig) -> list[BudgetConfig | None]:
    """Return the budget of each step of a trial's cascade, the last of which is the one asked for.

    They are geometric, as levels of iterative pruning are: of n steps the i-th keeps the share (budget /
    dense)^(i/n), of a count of weights that number rounded up. Raises `Refused` where a cascade means
    nothing.
    """
    compression, budget = config.compression, config.budget
    steps = compression.cascade
    if steps == 1 or budget is None:
        return [budget]
    _check(config)
    if budget.parameters is not None:
        dense = max(budget.parameters, _dense_weights(config))
        counts = after_rounds(dense, budget.parameters, steps, "exponential")
        return [*(BudgetConfig(parameters=count) for count in counts[:-1]), budget]
    asked: float = getattr(budget, budget.kind)
    shares = [max(asked, float(f"{asked ** (step / steps):.{_DIGITS}g}")) for step in range(1, steps)]
    given: list[dict[str, Any]] = [{budget.kind: share} for share in shares]
    return [*(BudgetConfig(**one) for one in given), budget]


def goes_on_from_its_mask(method: str) -> bool:
    """Tell whether a network that this method compressed is compressed again as it is."""
    return method_named(method).kind == "mask"


def _check(config: TrialConfig) -> None:
    compression = config.compression
    if not compression.retrain_epochs:
        raise Refused(
            ("compression", "cascade"),
            "compression.cascade retrains the network after each step, and compression.retrain_epochs is 0.",
        )
    if compression.control != "none":
        raise Refused(
            ("compression", "control"),
            f"control {compression.control} has no place in a cascade, whose steps go on from the method's "
            "own networks; give compression.cascade 1.",
        )


def _dense_weights(config: TrialConfig) -> int:
    from trainables.task.task import sources  # torch takes seconds, and few sweeps are cascades

    compression = config.compression
    masked = goes_on_from_its_mask(compression.method)
    options = method_named(compression.method).with_defaults(compression.options)
    code = tuple(sources(config.task, ("network", "data")).values())
    task = json.dumps(asdict(config.task), sort_keys=True)
    return _counted(task, masked, tuple(options["exclude"]) if masked else (), code)


@lru_cache(maxsize=32)
def _counted(task: str, masked: bool, exclude: tuple[str, ...], _: tuple[str, ...]) -> int:
    """Count the weights that a budget is of, once for each network and state of the user's code."""
    from trainables.task.task import build_network

    network = build_network(TaskConfig(**json.loads(task)))
    if masked:
        return sum(layer.params for layer in pruners.prunable(network, exclude).values())
    return pruners.NetworkShape(network).params
