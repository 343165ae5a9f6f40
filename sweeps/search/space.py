"""From the sweep file's parameters to Optuna's distributions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.spec.keys import Parameter


@dataclass(frozen=True)
class Space:
    """What is searched (a distribution for each dotted name) and what is held (a value for each)."""

    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)


def build(parameters: Mapping[str, Parameter]) -> Space:
    """The space of the ``parameters`` of a sweep file, nested ones under dotted names."""
    space = Space()
    for name, parameter in flatten(parameters):
        if is_constant(parameter):
            space.constants[name] = parameter.value
        else:
            space.distributions[name] = distribution(parameter)
    return space


def flatten(parameters: Mapping[str, Parameter], prefix: str = "") -> Iterator[tuple[str, Parameter]]:
    """Dotted names and parameters, nested ones taken apart."""
    for name, parameter in parameters.items():
        if parameter.parameters is not None:
            yield from flatten(parameter.parameters, f"{prefix}{name}.")
        else:
            yield prefix + name, parameter


def is_constant(parameter: Parameter) -> bool:
    """Whether the parameter has one value and nothing to search."""
    return "value" in parameter.model_fields_set


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's form of W&B's: without a name, ``values`` is categorical, two integers are ``int_uniform``, other ranges ``uniform``.

    W&B's ``log_uniform`` takes natural logarithms as its bounds, ``log_uniform_values`` the values themselves; with ``q: 1`` the
    ``q_log`` forms draw integers.
    """
    if parameter.values is not None:
        return CategoricalDistribution(_hashable(parameter.values))
    low, high = parameter.min, parameter.max
    assert low is not None and high is not None
    integers = isinstance(low, int) and isinstance(high, int)
    kind = parameter.distribution or ("int_uniform" if integers else "q_uniform" if parameter.q else "uniform")
    if kind in ("log_uniform", "q_log_uniform"):
        low, high, kind = math.exp(low), math.exp(high), kind + "_values"
    if kind == "int_uniform":
        if low != int(low) or high != int(high):
            raise ValueError(f"int_uniform needs whole numbers, not {low:g} and {high:g}")
        return IntDistribution(int(low), int(high), step=int(parameter.q or 1))
    if kind == "q_log_uniform_values":
        if parameter.q not in (None, 1):
            raise ValueError(f"Optuna samples a logarithmic range continuously or in whole numbers (q: 1), not in steps of {parameter.q:g}")
        return IntDistribution(max(1, round(low)), round(high), log=True)
    return FloatDistribution(low, high, log=kind == "log_uniform_values", step=parameter.q if kind == "q_uniform" else None)


def _hashable(values: list[Any]) -> list[Any]:
    for value in values:
        if not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"values are plain numbers, texts, booleans or null, not {value!r}")
    return values


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Values that stand for all others when a parameter is checked: every choice, or both ends."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]
