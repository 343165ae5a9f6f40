"""The sampler that draws a trial."""

import inspect
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from pruners.errors import nearest
from sweeps.sweep_file.samplers import SAMPLERS, CmaEs, Tpe

_MOST_POINTS = 1_000_000
# Their place in the sequence or the grid follows from the study, so that their seed must stay the study's.
_ONE_SEED = ("qmc", "grid")


def build(
    method: str, options: Mapping[str, Any], space: Mapping[str, BaseDistribution], seed: int, number: int
) -> BaseSampler:
    """Build the sampler that draws trial ``number``.

    A sampler's own generator is lost with its driver, so each trial gets a generator of its own, made from
    the study's seed and the trial's number: what is asked depends on the study alone, however often its
    driver was restarted. Raises ValueError for options that the sampler does not take.
    """
    known = set(inspect.signature(SAMPLERS[method]).parameters) - {
        "self",
        "seed",
        "constraints_func",
        "search_space",
    }
    for name in options:
        if name not in known:
            raise ValueError(f"the sampler {method} has no option {name!r}{nearest(name, known)}".rstrip("."))
    options = dict(options)
    if method == "grid":
        options["search_space"] = {name: grid_values(name, d) for name, d in space.items()}
        if (points := math.prod(map(len, options["search_space"].values()))) > _MOST_POINTS:
            raise ValueError(
                f"the grid would have {points:,} points; at most {_MOST_POINTS:,} are walked through"
            )
    if method == "qmc":
        options.setdefault("warn_asynchronous_seeding", False)
    if method == "cmaes":
        options.setdefault("warn_independent_sampling", False)
    own_seed = seed if method in _ONE_SEED else (seed * 1_000_003 + number) % 2**32
    sampler = SAMPLERS[method](seed=own_seed, **options)
    if isinstance(sampler, CmaEs):
        sampler.place = number
    if isinstance(sampler, Tpe):
        sampler.shown = max(Tpe.shown, options.get("n_startup_trials", 0))
    return sampler


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own words out of the display; what matters of them is said in ours."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


def grid_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """Return the finitely many values of a parameter on a grid.

    Raises ValueError for a range, and for more than a million values.
    """
    if (
        isinstance(distribution, IntDistribution | FloatDistribution)
        and distribution.step is not None
        and not distribution.log
    ):
        count = (distribution.high - distribution.low) / distribution.step + 1
        if count > _MOST_POINTS:
            raise ValueError(
                f"a grid of {name} would have {count:,.0f} values; "
                f"at most {_MOST_POINTS:,} are walked through"
            )
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        low, high, step = (
            Decimal(str(number)) for number in (distribution.low, distribution.high, distribution.step)
        )
        return [float(low + i * step) for i in range(int((high - low) / step) + 1)]
    raise ValueError(f"a grid needs finitely many values, and {name} has a range; give it values or a q")
