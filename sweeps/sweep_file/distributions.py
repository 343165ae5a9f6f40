"""From one parameter of the sweep file to Optuna's distribution."""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from sweeps.sweep_file.keys import Branch, Parameter


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter written as for W&B.

    Without a name, ``values`` is categorical, two integers are ``int_uniform``, other ranges ``uniform``.
    W&B's ``log_uniform`` takes natural logarithms as its bounds, ``log_uniform_values`` the values
    themselves. The ``q_`` forms draw multiples of ``q`` (1 where none is given) above ``min``, the ``q_log``
    forms whole numbers only.

    Raises:
        ValueError: Optuna cannot sample this.
    """
    if parameter.values is not None:
        return CategoricalDistribution(choices(parameter.values))
    low, high = parameter.min, parameter.max
    assert low is not None and high is not None
    integers = isinstance(low, int) and isinstance(high, int)
    kind = parameter.distribution or (
        "int_uniform" if integers else "q_uniform" if parameter.q else "uniform"
    )
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
            raise ValueError(
                "Optuna samples a logarithmic range continuously or in whole numbers (q: 1), "
                f"not in steps of {parameter.q:g}"
            )
        return IntDistribution(max(1, round(low)), round(high), log=True)
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _exp(bound: float) -> float:
    try:
        return math.exp(bound)
    except OverflowError as error:
        raise ValueError(
            f"log_uniform takes natural logarithms, and e^{bound:g} is too large; "
            "log_uniform_values takes values"
        ) from error


def _last_multiple(low: float, high: float, step: float) -> float:
    """Return the largest ``low + n * step`` within ``high``, reckoned in decimals as people write them."""
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    return float(first + (last - first) // width * width)


def choices(values: Sequence[Any]) -> list[Any]:
    """Return a categorical parameter's choices as the study holds them.

    Raises:
        ValueError: a value is no plain data, or two of them read the same.
    """
    held = [choice(value.value if isinstance(value, Branch) else value) for value in values]
    for index, one in enumerate(held):
        if any(type(one) is type(other) and one == other for other in held[:index]):
            raise ValueError(f"values holds {one!r} twice")
    return held


def choice(value: Any) -> Any:
    """Return a value as the study holds it.

    That of a list or a mapping is its JSON text, which Optuna can compare and show.

    Raises:
        ValueError: the value is no plain data.
    """
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list | dict):
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            pass
    raise ValueError(
        f"values are numbers, texts, booleans or null, or lists and mappings of such, not {value!r}"
    )


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Return the values that stand for all when a parameter is checked: every choice, or both ends."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def inside(distribution: BaseDistribution) -> list[Any]:
    """Return the values of which each must be possible in some draw.

    They are every choice, or the middle of a range: its ends are hardly ever drawn.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    middle = math.sqrt(low * high) if distribution.log else (low + high) / 2
    if distribution.step is not None:
        middle = low + round((middle - low) / distribution.step) * distribution.step
    return [int(middle) if isinstance(distribution, IntDistribution) else middle]


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Draw one parameter for a trial that is asked, and return its value."""
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case IntDistribution():
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        case FloatDistribution():
            return trial.suggest_float(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
