"""One sweep at several budgets: what every way to choose a network reaches, as a picture and two tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

import plotly.graph_objects as go

from sweeps import StudyRecord
from sweeps.report.charts.screening import rank_correlation
from sweeps.report.drawing import chart
from sweeps.report.drawing.wording import NONE, method_of, percent
from sweeps.study.record import TrialRecord
from trainables.metric_names import DIVERGENCE, FLOPS_KEPT, PARAMS_KEPT, on_test

MOST_DROP = 0.005
"""How much accuracy a network may lose in ALDS's Table 1 (Liebenwein et al., NeurIPS 2021)."""
OWN, BEST = "calibrated, own answer", "calibrated, searched"
_BUDGET = re.compile(r"_(0\.\d+)$")


@dataclass(frozen=True)
class Reached:
    """A network at one budget: its primary metric on test and the dense network's, one value a replicate.

    ``dense`` has those of the same seeds.
    """

    trial: TrialRecord
    test: Sequence[float]
    dense: Sequence[float]

    @property
    def mean(self) -> float:
        """Return the mean over replicates."""
        return fmean(self.test)

    @property
    def drop(self) -> Sequence[float]:
        """Return what each replicate has lost against its dense network."""
        return [dense - test for dense, test in zip(self.dense, self.test, strict=True)]


@dataclass(frozen=True)
class Budgets:
    """Studies of one sweep at several budgets, the largest first; ``networks`` by name and budget."""

    name: str
    studies: Mapping[float, StudyRecord]
    networks: Mapping[str, Mapping[float, Reached]]


def by_sweep(records: Iterable[StudyRecord]) -> list[Budgets]:
    """Put together the studies whose names differ in the budget at their end alone (``name_0.15``)."""
    named = [(found.group(), record) for record in records if (found := _BUDGET.search(record.name))]

    def stem(item: tuple[str, StudyRecord]) -> str:
        return item[1].name.removesuffix(item[0])

    return [
        _budgets(name, {float(budget[1:]): record for budget, record in items})
        for name, items in groupby(sorted(named, key=stem), stem)
    ]


def _budgets(name: str, records: Mapping[float, StudyRecord]) -> Budgets:
    studies = dict(sorted(records.items(), reverse=True))
    networks: dict[str, dict[float, Reached]] = {}
    for budget, record in studies.items():
        roles = {method_of(trial): trial for trial in record.baselines} | {OWN: record.own, BEST: record.best}
        for role, trial in roles.items():
            if trial is not None and (reached := _reached(record, trial)):
                networks.setdefault(role, {})[budget] = reached
    return Budgets(name, studies, networks)


def _reached(record: StudyRecord, trial: TrialRecord) -> Reached | None:
    reading = next((r for r in record.test.values() if r["key"] == trial.key), None)
    if reading is None or "dense" not in record.test:
        return None
    name = on_test(record.measured[0].name)
    test, dense = _by_seed(reading, name), _by_seed(record.test["dense"], name)
    return Reached(trial, list(test.values()), [dense[seed] for seed in test])


def _by_seed(reading: Mapping[str, Any], name: str) -> dict[int, float]:
    return {replicate["seed"]: replicate[name] for replicate in reading["replicates"]}


def accuracy_table(budgets: Budgets) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: test accuracy in per cent, mean and standard error over replicates."""
    heads = ["Test accuracy, %", *(f"{percent(budget)} % kept" for budget in budgets.studies)]
    dense = {
        budget: next(found[budget].dense for found in budgets.networks.values() if budget in found)
        for budget in budgets.studies
    }
    rows = [["dense", *(_mean_and_error(values) for values in dense.values())]]
    for name, found in budgets.networks.items():
        cells = [_mean_and_error(found[b].test) if b in found else NONE for b in budgets.studies]
        rows.append([name, *cells])
    return heads, rows


def best_of_each(budgets: Budgets) -> str:
    """Name the network that is best on test at each budget."""
    said = []
    for budget in budgets.studies:
        reached = {name: found[budget] for name, found in budgets.networks.items() if budget in found}
        name = max(reached, key=lambda each: reached[each].mean)
        said.append(f"{percent(budget)} % kept: {name} ({_mean_and_error(reached[name].test)})")
    return f"Best on test: {'; '.join(said)}."


def compression_table(budgets: Budgets) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: the smallest budget at which a mean drop of at most `MOST_DROP` remains.

    CR-P and CR-F are the shares of parameters and multiply-adds removed there, mean and standard deviation.
    """
    points = f"{100 * MOST_DROP:g} points"
    heads = [f"Least budget within {points} of dense", "Kept, %", "Drop, points", "CR-P, %", "CR-F, %"]
    rows = []
    for name, found in budgets.networks.items():
        within = [budget for budget, reached in found.items() if fmean(reached.drop) <= MOST_DROP]
        if not within:
            rows.append([name, NONE, NONE, NONE, NONE])
            continue
        least = min(within)
        reached = found[least]
        removed = [
            [100 * (1 - replicate["metrics"][kept]) for replicate in reached.trial.replicates]
            for kept in (PARAMS_KEPT, FLOPS_KEPT)
        ]
        drop = [100 * lost for lost in reached.drop]
        rows.append([name, percent(least), *(_mean_and_spread(values) for values in (drop, *removed))])
    return heads, rows


def score_table(budgets: Budgets) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: how well the score without labels ranks the screened networks by validation."""
    heads = ["Rank correlation of the score", *(f"{percent(budget)} % kept" for budget in budgets.studies)]
    cells = []
    for record in budgets.studies.values():
        name = record.measured[0].name
        scores = [trial.metrics[DIVERGENCE] for trial in record.screened]
        found = rank_correlation(scores, [trial.metrics[name] for trial in record.screened])
        cells.append(NONE if found is None else f"{found:+.2f} ({len(scores)})")
    return heads, [["Spearman, validation accuracy (networks)", *cells]]


def picture(budgets: Budgets) -> go.Figure:
    """Draw test accuracy over the share of the weights kept; bars are standard errors over replicates.

    The network that is best where it is worst comes first.
    """
    figure = chart.figure("Weights kept, %", "Test accuracy, %", height=560)
    best_first = sorted(budgets.networks.items(), key=lambda item: -min(r.mean for r in item[1].values()))
    for place, (name, found) in enumerate(best_first):
        color = chart.BEST if name == BEST else chart.SERIES[1 + place % (len(chart.SERIES) - 1)]
        figure.add_scatter(
            x=[100 * budget for budget in found],
            y=[100 * reached.mean for reached in found.values()],
            error_y={"array": [100 * _error(r.test) for r in found.values()], "thickness": 1, "width": 3},
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2, "dash": "solid" if place < len(chart.SERIES) - 1 else "dot"},
        )
    dense = [value for found in budgets.networks.values() for r in found.values() for value in r.dense]
    chart.level(figure, 100 * fmean(dense), "dense", chart.DENSE)
    kept = [100 * budget for budget in budgets.studies]
    figure.update_xaxes(type="log", tickvals=kept, ticktext=[f"{share:g}" for share in kept])
    figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})
    return figure


def _error(values: Sequence[float]) -> float:
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _mean_and_error(values: Sequence[float]) -> str:
    return f"{100 * fmean(values):.2f} ± {100 * _error(values):.2f}"


def _mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{spread}"
