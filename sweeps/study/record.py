"""What a study directory says, read back: the one source of status, report, export and the closing table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import optuna
from optuna.study._multi_objective import _get_pareto_front_trials_by_trials as front_of_rows
from optuna.trial import TrialState

from sweeps.study.rows.row import root_of
from sweeps.study.selection.choice import Choice, choice_of
from sweeps.study.selection.comparison import Comparison, Network, compare, network_on, standard_error
from sweeps.study.selection.limits import Limit, limits_of
from sweeps.sweep_file.objectives.choose import Choose
from sweeps.sweep_file.objectives.constraint import Constraint
from trainables.config import TaskConfig
from trainables.metric_names import on_validation
from trainables.places.place import Place
from trainables.task.metrics import metrics_of

TARGET = "target"
"""How many trials the study is to have; in study.json."""
TIME_IS_UP = "time_is_up"
"""Whether the study's last run ended at the sweep's time limit; in study.json."""
BASELINE = "baseline-"
"""A baseline's key is this and its name."""

Outcome = Literal["complete", "stopped_early", "failed", "infeasible", "running", "waiting"]


@dataclass(frozen=True)
class Objective:
    """One metric that the study optimises."""

    name: str
    goal: Literal["maximize", "minimize"]

    def gain(self, value: float) -> float:
        """Return the value, negative where less is better: what is to be as large as possible."""
        return value if self.goal == "maximize" else -value


@dataclass(frozen=True)
class TrialRecord:
    """One trial, however many rows its retries left in Optuna.

    ``key`` is the trial number, or ``baseline-<name>`` for a baseline; ``values`` follow the study's
    objectives. ``layers`` maps a layer's name to rank, num_subspaces and error, density or channels, with
    params and dense_params; ``curves`` to the pairs of share kept and error that it was chosen from.
    ``intermediate`` maps epochs of the closing training (a lottery's levels) to the first objective,
    ``history`` holds all metrics of each such epoch. ``levels`` is what a lottery found at each level, the
    dense network first, as result.json has it. ``seconds`` is the wall time of its last attempt.
    ``validation`` counts that split's ``examples`` and ``classes``, where each example has one class.
    ``deaths`` counts its workers' by kind: crashed, out_of_memory, preempted, unreachable. ``stage_seconds``
    and ``epochs_alone`` are as `TrialResult` has them.
    """

    key: str
    outcome: Outcome
    params: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    replicates: Sequence[Mapping[str, Any]] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    levels: Sequence[Mapping[str, Any]] = ()
    reason: str | None = None
    seconds: float | None = None
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    validation: Mapping[str, int] = field(default_factory=dict)
    deaths: Mapping[str, int] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    epochs_alone: float | None = None


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands.

    ``dense`` holds the dense network's metrics (``val/<metric>``, ``params``, ``multiply_adds``, ...), empty
    until a trial that measured it has ended; a study that trains no dense network knows its ``params`` and
    ``multiply_adds`` only. ``own`` is the method's own answer (the tolerance form's first trial, or the
    method's baseline). ``test`` maps ``dense``, ``own``, ``best`` and every baseline's key to ``{"key",
    "test/<metric>", "test/<metric>_std", "replicates", "read_at"}``, each read once. ``sweep`` is the
    resolved sweep file as plain data; ``provenance`` the content of study.json. ``screened`` are the trials
    that were scored without training, their value that score, their metrics those before any retraining, in
    order of their numbers there.
    """

    directory: Place
    name: str
    objectives: tuple[Objective, ...]
    target: int
    trials: tuple[TrialRecord, ...]
    baselines: tuple[TrialRecord, ...]
    dense: Mapping[str, float]
    own: TrialRecord | None
    test: Mapping[str, Mapping[str, Any]]
    sweep: Mapping[str, Any]
    provenance: Mapping[str, Any]
    study: optuna.Study
    screened: tuple[TrialRecord, ...] = ()

    @property
    def time_is_up(self) -> bool:
        """Tell whether the last run ended at the sweep's time limit, so that the study can go on."""
        return bool(self.provenance.get(TIME_IS_UP))

    def count(self, outcome: Outcome) -> int:
        """Count the trials that ended (or stand) this way."""
        return sum(t.outcome == outcome for t in self.trials)

    @cached_property
    def measured(self) -> tuple[Objective, ...]:
        """Return what the task's networks are measured by on validation, the primary metric first."""
        given = self.sweep.get("task") or {}
        task = TaskConfig(
            given.get("network", ""),
            given.get("data", ""),
            loss=given.get("loss", ""),
            metrics=given.get("metrics", ()),
        )
        return tuple(Objective(on_validation(metric.name), metric.goal) for metric in metrics_of(task))

    @property
    def deaths(self) -> Mapping[str, int]:
        """Count the deaths of all trials' workers by their kind."""
        return dict(sum((Counter(trial.deaths) for trial in self.trials), Counter()))

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """Return the trials with values, in order of their numbers."""
        return tuple(t for t in self.trials if t.outcome == "complete")

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Return the constraints that the sweep asks for."""
        asked = [Constraint(**constraint) for constraint in self.sweep.get("constraints", ())]
        return limits_of(asked, {metric.name: metric.goal for metric in self.measured})

    def missed(self, trial: TrialRecord) -> dict[Limit, float]:
        """Return the constraints that a trial (or a baseline) misses, each with by how much."""
        excess = {limit: limit.excess(trial.metrics) for limit in self.limits}
        return {limit: over for limit, over in excess.items() if over > 0}

    def misses(self, trial: TrialRecord) -> str:
        """Say which constraints a trial misses and by how much; nothing where it keeps all."""
        return " and ".join(limit.missed_by(excess) for limit, excess in self.missed(trial).items())

    @cached_property
    def feasible(self) -> tuple[TrialRecord, ...]:
        """Return the complete trials that keep every constraint."""
        return tuple(t for t in self.complete if not self.missed(t))

    @cached_property
    def nearest(self) -> TrialRecord | None:
        """Return the trial nearest to what is asked, where no complete one keeps every constraint.

        It misses the bounds by the least in sum, each by its share.
        """
        if self.feasible:
            return None
        return min(
            self.complete,
            key=lambda t: sum(max(0.0, limit.violation(t.metrics)) for limit in self.limits),
            default=None,
        )

    def compared(self, key: str, split: Literal["val", "test"]) -> Comparison | None:
        """Compare a network (``dense`` or a trial's key) with the method's own answer by the primary metric.

        None where there is no such answer, or the split was not read for both.
        """
        if self.own is None or key == self.own.key:
            return None
        one, own = (self._network(each, split) for each in (key, self.own.key))
        return compare(one, own, self.measured[0].goal)

    def between(self, one: TrialRecord, other: TrialRecord, metric: Objective) -> Comparison | None:
        """Compare two trials by a metric on validation; None where not all of their replicates tell it."""
        first, second = self.known_of(one, metric), self.known_of(other, metric)
        return compare(first, second, metric.goal) if first and second else None

    def known_of(self, trial: TrialRecord, metric: Objective) -> Network | None:
        """Return what is known of a trial by a metric on validation; None where a replicate does not tell it.

        By the task's primary metric that is also which examples it told right, where test was read for it.
        """
        if not all(metric.name in each["metrics"] for each in trial.replicates):
            return None
        readings = self.test.values() if metric == self.measured[0] else ()
        reading = next((r for r in readings if r["key"] == trial.key), {})
        return network_on("val", metric.name, trial.replicates, reading)

    def standard_error(self, trial: TrialRecord) -> float | None:
        """Return the standard error of a trial's primary metric on validation, where it is known."""
        return standard_error(self._network(trial.key, "val"))

    def _network(self, key: str, split: Literal["val", "test"]) -> Network:
        reading = next((r for r in self.test.values() if r["key"] == key), {})
        trial = next((t for t in (*self.trials, *self.baselines) if t.key == key), None)
        return network_on(split, self.measured[0].name, trial.replicates if trial else (), reading)

    @cached_property
    def choice(self) -> Choice:
        """Return how the best is chosen."""
        asked = self.sweep.get("choose")
        return choice_of(Choose(**asked) if asked else None, self.objectives, self.measured[0])

    @cached_property
    def front(self) -> tuple[TrialRecord, ...]:
        """Return the complete trials that no other beats in every objective, as Optuna sorts them.

        With one objective these are the best and its equals. Those that miss a constraint are left out.
        """
        if len(self.objectives) == 1:
            gains = [self.objectives[0].gain((t.values or (math.nan,))[0]) for t in self.feasible]
            most = max(gains, default=math.nan)
            return tuple(t for t, gain in zip(self.feasible, gains, strict=True) if gain == most)
        # Study.best_trials is this behind a deep copy of every trial, which takes seconds of thousands
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = front_of_rows(complete, self.study.directions, consider_constraint=True)
        found = {str(root_of(row)) for row in best}
        return tuple(t for t in self.complete if t.key in found)

    @cached_property
    def best(self) -> TrialRecord | None:
        """Return the best by the sweep's `choice` of those that keep every constraint."""
        index = self.choice.best([self.figures(trial) for trial in self.feasible])
        return None if index is None else self.feasible[index]

    def figures(self, trial: TrialRecord) -> dict[str, float]:
        """Return a complete trial's metrics, its objectives' values among them."""
        names = [objective.name for objective in self.objectives]
        return {**trial.metrics, **dict(zip(names, trial.values or (), strict=True))}
