"""A sweep file as W&B knows sweeps."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.search.per_layer import is_per_layer
from sweeps.search.prepare import Prepared
from sweeps.tracking.beginning import without_secrets

_METHODS = {"grid": "grid", "random": "random", "qmc": "random"}


def sweep_config(prepared: Prepared) -> dict[str, Any]:
    """Return the sweep, with the parameters of layers, as W&B's own sweep page wants it.

    W&B knows three methods: whatever searches by what it found is called bayes. Nobody but this project's
    driver hands out trials, so nothing is searched by it.
    """
    file = prepared.sweep.file
    objective = file.objectives[0]
    searched = prepared.space.distributions.items()
    parameters: dict[str, Any] = {}
    _nest(prepared.sweep.resolved().get("parameters") or {}, parameters)
    _nest({name: _of_a_layer(found) for name, found in searched if is_per_layer(name)}, parameters)
    return {
        "name": file.name,
        "description": without_secrets(file.description or ""),
        "method": _METHODS.get(file.method, "bayes"),
        "metric": {"name": objective.name, "goal": objective.goal},
        "parameters": parameters,
    }


def _nest(parameters: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Put parameters into ``found`` as W&B nests them, as the runs' configurations are nested.

    W&B knows no parameter that stands under a value of another: it stands beside that one.
    """
    for name, parameter in parameters.items():
        *sections, last = name.split(".")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {"parameters": {}})["parameters"]
        if parameter.get("parameters"):
            _nest(parameter["parameters"], inner.setdefault(last, {"parameters": {}})["parameters"])
            continue
        plain = {key: value for key, value in parameter.items() if value is not None}
        branches = [_branch(choice) for choice in plain.get("values", ())]
        if branches:
            plain["values"] = [value for value, _ in branches]
        plain |= {key: without_secrets(plain[key], name) for key in ("value", "values") if key in plain}
        inner.setdefault(last, plain)
        for _, under in branches:
            _nest(under, found)


def _of_a_layer(found: BaseDistribution) -> dict[str, Any]:
    """Return a layer's parameter in W&B's form: choices, or a range on a logarithmic scale."""
    if isinstance(found, CategoricalDistribution):
        return {"values": list(found.choices)}
    assert isinstance(found, IntDistribution | FloatDistribution)
    whole = "q_" if isinstance(found, IntDistribution) else ""
    return {"distribution": f"{whole}log_uniform_values", "min": found.low, "max": found.high}


def _branch(choice: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return one of a parameter's values and what stands under it."""
    is_branch = isinstance(choice, Mapping) and "value" in choice
    return (choice["value"], choice.get("parameters", {})) if is_branch else (choice, {})
