"""The Optuna study as a ledger of trials: the only truth about what was asked and how it ended.

Its rows, and how several of them are one trial: `sweeps.study.rows.row`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from sweeps.errors import Incompatible
from sweeps.study.database.patience import NONE_NEEDED, Patience
from sweeps.study.rows.death import DEATH, OUTLIVED, Death
from sweeps.study.rows.only_writer import OnlyWriter
from sweeps.study.rows.row import (
    DETAILS,
    ENQUEUED,
    OUTCOME,
    REASON,
    ROOT,
    TRIAL_METRICS,
    root_of,
    rows_by_trial,
)
from sweeps.study.rows.trials import Trials
from sweeps.sweep_file.space import Space

VIOLATIONS = "violations"
"""Of a result read from disk: by which share each constraint is missed."""
BUDGET = "budget"
_STATES = {"stopped_early": TrialState.PRUNED, "infeasible": TrialState.PRUNED, "failed": TrialState.FAIL}
"""Optuna's state of every end but ``complete``."""


def enqueue(study: optuna.Study, configurations: Iterable[Mapping[str, Any]], most: float = math.inf) -> None:
    """Put the configurations to try first into the queue that were not put there before.

    The study is given no more of them once it holds ``most`` trials. Each is one write that holds all of it,
    so that a driver killed between two leaves the rest to its successor.
    """
    held = [
        row.user_attrs[ENQUEUED] for row in study.get_trials(deepcopy=False) if ENQUEUED in row.user_attrs
    ]
    room = most - len(rows_by_trial(study))
    for params in configurations:
        if params in held:
            held.remove(params)
        elif room > 0:
            study.enqueue_trial(dict(params), user_attrs={ENQUEUED: dict(params)})
            room -= 1


class Ledger:
    """Asks and tells on behalf of one driver, which must hold the study's lock.

    ``sampler`` makes the sampler that draws the n-th trial; ``violation`` says by how much parameters miss
    the budget (a share of it; above 0 is infeasible, None where it always holds); ``finished_result`` reads
    what a worker left on disk for a root, if it got that far; ``check`` raises an error once another driver
    has the study; ``patience`` waits for a database that is away.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        sampler: Callable[[int], BaseSampler],
        violation: Callable[[Mapping[str, Any]], float | None],
        finished_result: Callable[[int], Mapping[str, Any] | None],
        check: Callable[[], None] = lambda: None,
        patience: Patience = NONE_NEEDED,
    ):
        self._rows = OnlyWriter(study, patience)
        self.study = optuna.load_study(study_name=study.study_name, storage=self._rows)
        self._space = space
        self._sampler = sampler
        self._violation = violation
        self._finished_result = finished_result
        self._check = check
        self._live: dict[int, Trial] = {}
        self._reported: dict[int, int] = {}
        self.why_infeasible = ""  # the last draw's that was
        # What a dead driver left without an end.
        for root in self._trials.roots("running", "abandoned"):
            self._take_over(root)

    @property
    def _trials(self) -> Trials:
        return self._rows.trials

    def counts(self) -> dict[str, int]:
        """Count the trials of each outcome."""
        return dict(+self._trials.counts)

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """Ask for the next trial and return its root and parameters.

        None where the draw was infeasible, or its values do not go together (recorded as such).
        """
        self._check()
        self.study.sampler = sampler = self._sampler(self._trials.place_of_next)
        with self._rows.showing(getattr(sampler, "shown", None)):
            trial = self._space.ask(self.study)
        root, params = root_of(trial), dict(trial.params)
        try:
            miss = self._violation(params)
        except Incompatible as error:
            trial.set_constraint(BUDGET, 1.0)
            self._end(trial, "infeasible", error.reason)
            return None
        if miss is not None:
            trial.set_constraint(BUDGET, miss)
            if miss > 0:
                self._end(trial, "infeasible", f"{miss:.0%} over its budget")
                return None
        self._rows.keep()
        self._live[root] = trial
        return root, params

    def is_first(self, root: int) -> bool:
        """Tell whether the trial was never handed out before."""
        return len(self._trials.rows(root)) == 1

    def waiting(self) -> bool:
        """Tell whether a row stands ready: a trial enqueued, or one that a dead driver left."""
        return self._trials.waits

    def report(self, root: int, epoch: int, value: float) -> None:
        """Record an intermediate value of the first objective.

        An epoch heard before (its worker was restarted) is passed over.
        """
        if epoch > self._reported.get(root, -1):
            self._check()
            self._live[root].report(value, epoch)
            self._reported[root] = epoch

    def complete(
        self,
        root: int,
        values: Sequence[float],
        metrics: Mapping[str, Any],
        details: Mapping[str, Any],
        violations: Mapping[str, float],
    ) -> None:
        """Record that the trial came to its natural end, with one value an objective.

        ``violations`` says of each constraint by which share of its bound it is missed; 0 or less: kept.
        """
        trial = self._pop(root, metrics, details)
        for name, violation in violations.items():
            trial.set_constraint(name, violation)
        self.study.tell(trial, list(values))

    def stopped_early(self, root: int, metrics: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Record that the scheduler stopped the trial.

        Optuna hears PRUNED with the last value reported.
        """
        self._end(self._pop(root, metrics, details), "stopped_early", None)

    def failed(self, root: int, reason: str, metrics: Mapping[str, Any]) -> None:
        """Record that the trial cannot be finished, for this reason."""
        self._end(self._pop(root, metrics, {}), "failed", reason)

    def died(self, root: int, death: Death) -> int:
        """Put a trial back into the queue whose worker died.

        Returns how many died in this way; 0 where these were more than a trial outlives, and nothing is done.
        """
        self._check()
        before = sum(row.user_attrs.get(DEATH) == death for row in self._trials.rows(root))
        if before >= OUTLIVED[death]:
            return 0
        trial = self._live.pop(root)
        trial.set_user_attr(DEATH, death)
        self.study.tell(trial, state=TrialState.FAIL)
        self.study.add_trial(self._waiting_row(root, self._trials.rows(root)[-1]))
        return before + 1

    def _end(self, trial: Trial, outcome: str, reason: str | None) -> None:
        if outcome == "infeasible":
            self.why_infeasible = reason or ""
        if reason:
            trial.set_user_attr(REASON, reason)
        # The commit point: a driver killed after it leaves a row whose end its successor need only tell.
        trial.set_user_attr(OUTCOME, outcome)
        self.study.tell(trial, state=_STATES[outcome])

    def _pop(self, root: int, metrics: Mapping[str, Any], details: Mapping[str, Any]) -> Trial:
        self._check()
        trial = self._live.pop(root)
        trial.set_user_attr(TRIAL_METRICS, dict(metrics))
        trial.set_user_attr(DETAILS, dict(details))
        return trial

    def _take_over(self, root: int) -> None:
        """End a dead driver's trial as its driver or its worker said, else put it back into the queue.

        Safe to be cut off anywhere.
        """
        rows = self._trials.rows(root)
        last = rows[-1]
        result = self._finished_result(root) if self._is_drawn(last) else None
        for row in rows:
            if row.state == TrialState.RUNNING:
                self.study.tell(
                    row.number, state=_STATES.get(row.user_attrs.get(OUTCOME, ""), TrialState.FAIL)
                )
        if OUTCOME not in last.user_attrs:
            self.study.add_trial(
                self._ended_row(root, last, result) if result else self._waiting_row(root, last)
            )

    def _waiting_row(self, root: int, last: FrozenTrial) -> FrozenTrial:
        drawn = self._is_drawn(last)
        return create_trial(
            state=TrialState.WAITING,
            params=last.params if drawn else {},
            distributions=last.distributions if drawn else {},
            user_attrs={ROOT: root},
            system_attrs=_carried(last),
        )

    def _is_drawn(self, row: FrozenTrial) -> bool:
        """Tell whether the row has all its parameters.

        One whose driver died before is drawn again, whole, as it would have been.
        """
        return self._space.is_whole(row.params)

    def _ended_row(self, root: int, last: FrozenTrial, result: Mapping[str, Any]) -> FrozenTrial:
        failed = result.get(REASON)
        attrs = {ROOT: root, TRIAL_METRICS: result[TRIAL_METRICS], DETAILS: result[DETAILS]}
        return create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            values=None if failed else list(result["values"]),
            constraints={**last.constraints, **({} if failed else result[VIOLATIONS])},
            params=last.params,
            distributions=last.distributions,
            user_attrs=attrs | ({OUTCOME: "failed", REASON: failed} if failed else {}),
            system_attrs=_carried(last),
            intermediate_values=last.intermediate_values,
        )


def _carried(row: FrozenTrial) -> dict[str, Any]:
    """Return what was given to the row or written on it by the sampler.

    Its constraint is set anew when the row is asked again.
    """
    return {name: value for name, value in row.system_attrs.items() if not name.startswith("constraints")}
