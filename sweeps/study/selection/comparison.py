"""By how much one network of a study is better than another, and how sure that is."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trainables.metric_names import Goal, on_test
from trainables.results.mcnemar import mcnemar
from trainables.results.verdict import verdict
from trainables.task.metrics.packed import unpacked

SURE = 0.05
"""The probability of chance below which a difference counts as one."""


@dataclass(frozen=True)
class Network:
    """What is known of a network's replicates: the metric of each seed, and which examples it told right."""

    values: Mapping[int, float]
    right: Mapping[int, dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """One network's metric less another's.

    ``error`` is the difference's standard error, ``p`` the probability of one as large by chance (None where
    nothing tells it), ``over`` what it was told from, as in 3 seeds or 360 examples.
    """

    difference: float
    error: float | None = None
    p: float | None = None
    over: str = "one seed"

    @property
    def chance(self) -> str:
        """Return ``p`` in words; nothing where it is not known."""
        if self.p is None:
            return ""
        return "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"

    @property
    def is_tie(self) -> bool:
        """Tell whether the difference lies within its standard error."""
        return self.error is not None and abs(self.difference) <= self.error

    @property
    def is_sure(self) -> bool:
        """Tell whether chance alone gives such a difference less than once in twenty times."""
        return self.p is not None and self.p < SURE


def network_on(
    split: Literal["val", "test"], metric: str, replicates: Any, reading: Mapping[str, Any]
) -> Network:
    """Return what is known of a network on a split.

    ``metric`` is its name on validation, ``replicates`` the trial's as in its result, ``reading`` what was
    read of it when the study ended.
    """
    read = reading.get("replicates", ())
    bits = {one["seed"]: one["right"][split] for one in read if one.get("right", {}).get(split)}
    if split == "test":
        return Network({one["seed"]: one[on_test(metric)] for one in read}, bits)
    return Network({one["seed"]: one["metrics"][metric] for one in replicates}, bits)


def compare(one: Network, other: Network, goal: Goal) -> Comparison | None:
    """Compare two networks of the same seeds; None where they are not.

    Over several seeds by Student's paired t-test, of one seed by McNemar's test over the examples.
    """
    seeds = sorted(one.values)
    if not seeds or seeds != sorted(other.values):
        return None
    differences = [one.values[seed] - other.values[seed] for seed in seeds]
    mean = statistics.fmean(differences)
    if len(seeds) > 1:
        told = verdict([one.values[s] for s in seeds], [other.values[s] for s in seeds], goal)
        error = statistics.stdev(differences) / math.sqrt(len(seeds))
        return Comparison(mean, error, told.get("p"), f"{len(seeds)} seeds")
    [seed] = seeds
    ours, theirs = one.right.get(seed), other.right.get(seed)
    if ours is None or theirs is None or ours["examples"] != theirs["examples"]:
        return Comparison(mean)
    test = mcnemar(unpacked(ours), unpacked(theirs))
    return Comparison(mean, test["error"], test["p"], f"{test['examples']} examples")


def standard_error(network: Network) -> float | None:
    """Return the standard error of a network's accuracy: over its seeds, of one seed over its examples."""
    values = list(network.values.values())
    if len(values) > 1:
        return statistics.stdev(values) / math.sqrt(len(values))
    if not values or not network.right:
        return None
    [packed] = network.right.values()
    return math.sqrt(values[0] * (1 - values[0]) / packed["examples"])
