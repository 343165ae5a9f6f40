"""Studies of one task side by side: whose network is best at which budget, and how sure that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.errors import SweepError
from sweeps.report.drawing.wording import percent, plain, value_of
from sweeps.report.tradeoff.curves import budget_of
from sweeps.study.record import Objective, StudyRecord, TrialRecord
from sweeps.study.selection.comparison import Comparison, compare
from trainables.metric_names import PARAMS_KEPT

_SIZES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""The sizes at which studies without common budgets are compared, as shares of the parameters."""


@dataclass(frozen=True)
class Entry:
    """A study's best network at a budget.

    ``value`` is its mean on validation, ``behind`` its distance from the first: None of the first, and where
    seeds differ.
    """

    record: StudyRecord
    trial: TrialRecord
    value: float
    behind: Comparison | None


@dataclass(frozen=True)
class Contest:
    """What several studies reach at one budget, the best first."""

    budget: str
    entries: tuple[Entry, ...]


def metric_of(records: Sequence[StudyRecord]) -> Objective:
    """Return the metric, on validation, that the studies' networks are compared by: the task's primary one.

    Raises `SweepError` where the studies are not of one task, and names what differs.
    """
    first = records[0]
    for other in records[1:]:
        for key in sorted({*first.sweep["task"], *other.sweep["task"]}):
            ours, theirs = (plain(record.sweep["task"].get(key)) for record in (first, other))
            if ours != theirs:
                raise SweepError(
                    f"These are studies of different tasks: task.{key} is {ours} in {first.directory} "
                    f"and {theirs} in {other.directory}."
                )
    return first.measured[0]


def contests(records: Sequence[StudyRecord]) -> list[Contest]:
    """Compare the best networks that several studies found at each budget, the largest budget first.

    Where their budgets are of one kind (``keep_ratio``, say) and each has one in common with another, these
    are the budgets. Elsewhere they are sizes, and a study enters with its best network that is at most
    so large; sizes at which all enter with the same networks as at a smaller one are left out.

    Networks are chosen by their mean on validation among those that keep every constraint. The first is
    compared with each other one as `compare` does: by replicates of the same seeds, with one seed by the
    examples that each told right, where its study read test for it.
    """
    metric = metric_of(records)
    given = [{budget_of(record, trial) for trial in record.feasible} for record in records]
    found = _by_budget(records, given) if _have_common(given) else _by_size(records, metric)
    return [Contest(name, _ranked(each, metric)) for name, each in found if each]


_Candidates = list[tuple[StudyRecord, Sequence[TrialRecord]]]


def _have_common(given: Sequence[set[tuple[str, Any]]]) -> bool:
    """Tell whether budgets, of each study's trials, are of one kind and each study shares one."""
    given = [of_one for of_one in given if of_one]  # a study without a network says nothing of budgets
    times = Counter(budget for of_one in given for budget in of_one)
    is_one_kind = len({key for key, _ in times}) == 1 and all(amount is not None for _, amount in times)
    return is_one_kind and all(any(times[budget] > 1 for budget in of_one) for of_one in given)


def _by_budget(
    records: Sequence[StudyRecord], given: Sequence[set[tuple[str, Any]]]
) -> list[tuple[str, _Candidates]]:
    budgets = sorted(set().union(*given), key=lambda budget: budget[1], reverse=True)
    return [
        (
            f"{key.rpartition('.')[2]} {plain(amount)}",
            [(r, [t for t in r.feasible if budget_of(r, t) == (key, amount)]) for r in records],
        )
        for key, amount in budgets
    ]


def _by_size(records: Sequence[StudyRecord], metric: Objective) -> list[tuple[str, _Candidates]]:
    found: list[tuple[str, _Candidates]] = []
    for size in _SIZES:
        at_most: _Candidates = []
        for record in records:
            small = [t for t in record.feasible if t.metrics.get(PARAMS_KEPT, 2.0) <= size]
            at_most.append((record, [best] if (best := _best(record, small, metric)) else []))
        if found and [t for _, t in at_most] == [t for _, t in found[-1][1]]:
            found.pop()
        if any(trials for _, trials in at_most):
            found.append((f"at most {percent(size)} % of the parameters", at_most))
    return found


def _ranked(candidates: _Candidates, metric: Objective) -> tuple[Entry, ...]:
    best = [
        (value, record, trial)
        for record, trials in candidates
        if (trial := _best(record, trials, metric)) is not None
        and (value := value_of(record, trial, metric.name)) is not None
    ]
    best.sort(key=lambda one: metric.gain(one[0]), reverse=True)
    known = [record.known_of(trial, metric) for _, record, trial in best]
    behind = [compare(one, known[0], metric.goal) if one and known[0] else None for one in known[1:]]
    return tuple(
        Entry(record, trial, value, comparison)
        for (value, record, trial), comparison in zip(best, [None, *behind], strict=False)
    )


def _best(record: StudyRecord, trials: Sequence[TrialRecord], metric: Objective) -> TrialRecord | None:
    told = {t.key: value for t in trials if (value := value_of(record, t, metric.name)) is not None}
    return max((t for t in trials if t.key in told), key=lambda t: metric.gain(told[t.key]), default=None)


def standing(found: Sequence[Contest]) -> Mapping[str, tuple[int, int]]:
    """Return by study's folder at how many budgets it is ahead, and at how many of these beyond chance.

    Where the first two reach the same, none is ahead.
    """
    told: dict[str, tuple[int, int]] = {}
    for contest in found:
        first, *others = contest.entries
        if others and others[0].value != first.value:
            ahead, sure = told.get(str(first.record.directory), (0, 0))
            beyond = others[0].behind is not None and others[0].behind.is_sure
            told[str(first.record.directory)] = (ahead + 1, sure + beyond)
    return told
