"""Does TPE search as well when it is shown a part of a long study? The best found with all of it and a part.

Each problem is searched from several seeds, once with every finished trial shown to the sampler and once with
the best and the latest that `Tpe.shown` says. Printed are mean and spread of what was found (less is better)
over the seeds, the difference with its standard error over the same seeds, and the seconds of drawing. The
problems: a shifted bowl, Rosenbrock's valley, one with a choice that decides which of its terms count, 50
tolerances of layers whose errors add up with noise (what `per_layer` searches), and ZDT1 with two objectives,
by the hypervolume that is missed.

Run: python -m bench.tpe_history [--trials 1000] [--seeds 5]
"""

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from sweeps.study.ledger import Ledger
from sweeps.sweep_file.samplers import Tpe
from sweeps.sweep_file.space import Space

EVERYTHING = 10**9
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is searched, what a draw costs (an objective each), and how good a front of several is."""

    distributions: Mapping[str, BaseDistribution]
    cost: Callable[[Values, random.Random], Sequence[float]]
    objectives: int = 1


def _floats(count: int, low: float, high: float, log: bool = False) -> dict[str, BaseDistribution]:
    return {f"x{i}": FloatDistribution(low, high, log=log) for i in range(count)}


def bowl(values: Values, dice: random.Random) -> Sequence[float]:
    return [sum((1 + i) * (values[f"x{i}"] - math.sin(i)) ** 2 for i in range(20))]


def valley(values: Values, dice: random.Random) -> Sequence[float]:
    x = [values[f"x{i}"] for i in range(5)]
    return [sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x))]


def chosen(values: Values, dice: random.Random) -> Sequence[float]:
    start = {"first": 0, "second": 5}[values["choice"]]
    return [0.5 * start / 5 + sum(abs(values[f"x{i}"] - 0.3 * i) for i in range(start, start + 5))]


def layers(values: Values, dice: random.Random) -> Sequence[float]:
    logs = [math.log10(values[f"x{i}"]) for i in range(50)]
    error = sum((log - 0.6 * math.cos(3 * i)) ** 2 * (1 + i % 5) for i, log in enumerate(logs))
    return [error / 50 + 0.5 * abs(statistics.mean(logs)) + dice.gauss(0, 0.01)]


def zdt1(values: Values, dice: random.Random) -> Sequence[float]:
    first = values["x0"]
    rest = 1 + 9 * statistics.mean(values[f"x{i}"] for i in range(1, 10))
    return [first, rest * (1 - math.sqrt(first / rest))]


PROBLEMS = {
    "bowl, 20": Problem(_floats(20, -3, 3), bowl),
    "valley, 5": Problem(_floats(5, -2, 2), valley),
    "choice, 11": Problem(
        {**_floats(10, 0, 3), "choice": CategoricalDistribution(["first", "second"])}, chosen
    ),
    "layers, 50": Problem(_floats(50, 0.1, 10, log=True), layers),
    "ZDT1, 10": Problem(_floats(10, 0, 1), zdt1, 2),
}


def found(problem: Problem, shown: int, trials: int, seed: int) -> tuple[float, float]:
    """Search once; returns how good what was found is (less is better), and the seconds of drawing."""

    def sampler(number: int) -> Tpe:
        made = Tpe(seed=(seed * 1_000_003 + number) % 2**32)
        made.shown = shown
        return made

    study = optuna.create_study(directions=["minimize"] * problem.objectives)
    ledger = Ledger(study, Space(dict(problem.distributions)), sampler, lambda _: None, lambda _: None)
    dice, drawing = random.Random(seed), 0.0
    for _ in range(trials):
        start = time.perf_counter()
        root, values = ledger.ask() or (0, {})
        drawing += time.perf_counter() - start
        ledger.complete(root, problem.cost(values, dice), {}, {}, {})
    costs = [row.values for row in ledger.study.get_trials(deepcopy=False)]
    return (min(cost[0] for cost in costs) if problem.objectives == 1 else missed(costs)), drawing


def missed(costs: Sequence[Sequence[float]]) -> float:
    """The area that is not dominated below the corner (1, 6): ZDT1's best front leaves a third."""
    covered, lowest = 0.0, 6.0
    for first, second in sorted(map(tuple, costs)):
        if second < lowest:
            covered += (1 - first) * (lowest - second)
            lowest = second
    return 6 - covered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{asked.trials} trials, {asked.seeds} seeds, all shown against {Tpe.shown}")
    print(f"{'':<12}{'all':>18}{'a part':>18}{'difference':>20}{'s all':>8}{'s part':>8}")
    for name, problem in PROBLEMS.items():
        runs = [
            [found(problem, shown, asked.trials, seed) for shown in (EVERYTHING, Tpe.shown)]
            for seed in range(asked.seeds)
        ]
        everything, part = ([run[which][0] for run in runs] for which in (0, 1))
        apart = [one - other for one, other in zip(part, everything, strict=True)]
        error = statistics.stdev(apart) / math.sqrt(len(apart))
        seconds = [statistics.mean(run[which][1] for run in runs) for which in (0, 1)]
        print(
            f"{name:<12}"
            + "".join(f"{statistics.mean(v):10.4f} ±{statistics.stdev(v):6.4f}" for v in (everything, part))
            + f"{statistics.mean(apart):+12.4f} ±{error:6.4f}{seconds[0]:8.1f}{seconds[1]:8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
