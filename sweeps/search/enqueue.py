"""Holds the configurations to try first against the space that they are taken from."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from pruners.errors import nearest
from sweeps.errors import SweepError
from sweeps.sweep_file.distributions import choice
from sweeps.sweep_file.space import Space, setting
from sweeps.sweep_file.sweep import Sweep


def configurations(sweep: Sweep, space: Space) -> tuple[dict[str, Any], ...]:
    """Return the configurations to try first as the study holds them; what one leaves out is drawn.

    Raises:
        SweepError: a name is no parameter of the sweep, or a value is none of the parameter's.
    """
    if sweep.file.enqueue and sweep.file.method == "grid":
        raise SweepError(f"{place(sweep)}: enqueue: a grid visits every point; leave enqueue out.")
    return tuple(_checked(sweep, space, index, entry) for index, entry in enumerate(sweep.file.enqueue))


def place(sweep: Sweep, *path: str | int) -> str:
    """Return file and line of the key ``enqueue``, of one of its entries, or of a name in one."""
    return sweep.source.where(["enqueue", *path])


def _checked(sweep: Sweep, space: Space, index: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    left = dict(entry)
    for name, distribution in space.distributions.items():
        key = name if name in left else setting(name)
        if key in left and space.has(name, params):
            try:
                params[name] = _as_drawn(name, distribution, left.pop(key))
            except ValueError as error:
                raise SweepError(f"{place(sweep, index, key)}: enqueue: {key} {error}.") from error
    if left:
        key = next(iter(left))
        raise SweepError(f"{place(sweep, index, key)}: enqueue: {_why_not(space, key)}")
    return params


def _as_drawn(name: str, distribution: BaseDistribution, value: Any) -> Any:
    """Return the value as the distribution gives it.

    Raises ValueError, the end of a sentence, for one that it cannot give.
    """
    if isinstance(distribution, CategoricalDistribution):
        held = choice(value)
        for one in distribution.choices:
            if one == held and isinstance(one, bool) == isinstance(held, bool):
                return one
        raise ValueError(f"is one of {', '.join(map(str, distribution.choices))}, not {value!r}")
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    whole = isinstance(distribution, IntDistribution)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"is a {'whole ' if whole else ''}number, not {value!r}")
    try:
        create_trial(state=TrialState.WAITING, params={name: value}, distributions={name: distribution})
    except ValueError as error:
        steps = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
        raise ValueError(
            f"is drawn from {distribution.low:g} to {distribution.high:g}{steps}, not {value!r}"
        ) from error
    return value if whole else float(value)


def _why_not(space: Space, key: str) -> str:
    """Return why a name cannot be set: it is held, stands under a value, or there is none of that name."""
    for name, condition in space.conditions.items():
        if key in (name, setting(name)):
            return (
                f"{key} is a parameter only where {setting(condition.parent)} is {condition.choice}; "
                "give that too."
            )
    if key in space.constants:
        return f"{key} is held at {space.constants[key]!r}; leave it out."
    known = dict.fromkeys([*space.distributions, *map(setting, space.distributions)])
    return f'"{key}" is no parameter of this sweep{nearest(key, known)}'
