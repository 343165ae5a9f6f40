"""From the sweep file's parameters to Optuna's distributions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
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

    W&B's ``log_uniform`` takes natural logarithms as its bounds, ``log_uniform_values`` the values themselves. The ``q_`` forms draw
    multiples of ``q`` (1 where none is given) above ``min``, the ``q_log`` forms whole numbers only. Raises ValueError for what
    Optuna cannot sample.
    """
    if parameter.values is not None:
        return CategoricalDistribution(_hashable(parameter.values))
    low, high = parameter.min, parameter.max
    assert low is not None and high is not None
    integers = isinstance(low, int) and isinstance(high, int)
    kind = parameter.distribution or ("int_uniform" if integers else "q_uniform" if parameter.q else "uniform")
    if kind in ("log_uniform", "q_log_uniform"):
        low, high, kind = _exp(low), _exp(high), kind + "_values"
    if kind == "int_uniform":
        step = parameter.q or 1
        if any(number != int(number) for number in (low, high, step)):
            raise ValueError(f"int_uniform needs whole numbers, not {low:g}, {high:g} and q {step:g}")
        return IntDistribution(int(low), int(_last_multiple(low, high, step)), step=int(step))
    if kind == "q_uniform":
        step = parameter.q or 1
        return FloatDistribution(low, _last_multiple(low, high, step), step=step)
    if kind == "q_log_uniform_values":
        if parameter.q not in (None, 1):
            raise ValueError(f"Optuna samples a logarithmic range continuously or in whole numbers (q: 1), not in steps of {parameter.q:g}")
        return IntDistribution(max(1, round(low)), round(high), log=True)
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _exp(bound: float) -> float:
    try:
        return math.exp(bound)
    except OverflowError as error:
        raise ValueError(f"log_uniform takes natural logarithms, and e^{bound:g} is too large; log_uniform_values takes values") from error


def _last_multiple(low: float, high: float, step: float) -> float:
    """The largest ``low + n * step`` within ``high``, reckoned in decimals as people write them."""
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    return float(first + (last - first) // width * width)


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


def inside(distribution: BaseDistribution) -> list[Any]:
    """Values of which each must be possible in some draw: every choice, or the middle of a range (its ends are hardly ever drawn)."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    middle = math.sqrt(low * high) if distribution.log else (low + high) / 2
    if distribution.step is not None:
        middle = low + round((middle - low) / distribution.step) * distribution.step
    return [int(middle) if isinstance(distribution, IntDistribution) else middle]
