"""Hand out trials and record how they end, the same way whether Ray or this very process runs them."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sweeps.errors import FAILED, INFEASIBLE, TOO_MANY_FAILED, SweepError
from sweeps.running import retries
from sweeps.search.prepare import Prepared
from sweeps.study.ledger import VIOLATIONS, Ledger
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE
from sweeps.study.rows.death import OUTLIVED, Death
from sweeps.study.rows.row import DETAILS, REASON, TRIAL_METRICS
from trainables.config import TrialConfig
from trainables.metric_names import OF_A_LAYER
from trainables.places.folders import remove_tree
from trainables.results.result import read_result

_PATIENCE = 1000
"""Draws in a row that may miss the budget before the search is called hopeless."""
CONSTRAINT = "constraint/"
"""Observers hear by which share a trial misses each constraint under this and the constraint's name."""


@dataclass(frozen=True)
class TrialToRun:
    """A trial to run: its key in the study, its searched parameters, the worker's configuration."""

    key: str
    params: Mapping[str, Any]
    config: TrialConfig


class Observer(Protocol):
    """What hears of every trial: the tracker and the progress display."""

    def started(self, trial: TrialToRun) -> None:
        """Hear that a trial begins, or goes on after a restart."""

    def reported(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Hear of an epoch of a trial's closing training, or of a level."""

    def ended(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        """Hear that a trial is over: complete, stopped_early or failed."""


class Conductor:
    """One driver's view of a study under way, which is to have ``target`` trials."""

    def __init__(
        self,
        prepared: Prepared,
        ledger: Ledger,
        paths: StudyPaths,
        target: int,
        observers: Sequence[Observer],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._prepared = prepared
        self._ledger = ledger
        self._paths = paths
        self.target = target
        self._observers = observers
        self._clock = clock
        limit = prepared.sweep.file.seconds
        self._ends = math.inf if limit is None else clock() + limit
        self._started: dict[str, float] = {}
        self._deaths: dict[tuple[str, Death], int] = {}
        self._not_before = 0.0
        self._failures: list[str] | None = []
        self._baselines = [
            key for b in prepared.baselines if not paths.result(key := BASELINE + b.name).exists()
        ]

    def next(self) -> TrialToRun | None:
        """Return the next trial, or None while there is none to hand out.

        There is none while all are under way or it pauses, and once this driver's work `is_over`.
        """
        if self.pause or self.time_is_up:
            return None
        if self._baselines:
            return self._begin(self._baselines.pop(0), {})
        for _ in range(_PATIENCE):
            if self._taken() >= self.target or self.time_is_up:
                return None
            asked = self._ledger.ask()
            if asked:
                root, params = asked
                if self._ledger.is_first(root) and self._paths.result(root).exists():
                    # of another trial, which a journal that lost its end knows no more
                    remove_tree(self._paths.trial(root))
                return self._begin(str(root), params)
        raise SweepError(
            f"{_PATIENCE} draws in a row could not be, "
            f"the last for this reason: {self._ledger.why_infeasible.rstrip('.')}. "
            "Narrow the search or raise the budget.",
            INFEASIBLE,
        )

    @property
    def study(self) -> str:
        """Return the study's folder as every node is to see it, or its URL."""
        root = self._paths.root
        return str(root.absolute() if isinstance(root, Path) else root)

    @property
    def pause(self) -> float:
        """Return the seconds until the next trial is handed out, after a worker's death; else 0."""
        return max(0.0, self._not_before - self._clock())

    @property
    def done(self) -> bool:
        """Tell whether as many trials have ended as the study wants."""
        counts = self._ledger.counts()
        return not self._started and not self._baselines and self._ended(counts) >= self.target

    @property
    def time_is_up(self) -> bool:
        """Tell whether the time limit has passed since this driver began.

        No trial is handed out any more then; those under way end.
        """
        return self._clock() >= self._ends

    @property
    def is_over(self) -> bool:
        """Tell whether this driver has nothing more to do.

        That is once the study is done, or time is up and nothing is under way.
        """
        return self.done or (self.time_is_up and not self._started)

    def report(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Pass on a trial's metrics after an epoch, or a level, that was not its last."""
        self._note(key, metrics)
        for observer in self._observers:
            observer.reported(key, metrics)

    def end(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Record a trial's last metrics and how it ended.

        It came to its natural end (``final``), failed (``failed``), or a scheduler stopped it.

        Raises `SweepError` where results cannot be written any more.
        """
        reason = metrics.get("failed")
        if metrics.get("stops_study"):
            raise SweepError(str(reason), FAILED)
        if not metrics.get("final"):
            self._note(key, metrics)
            return self._close(key, "stopped_early", metrics, None)
        reason = reason or _not_a_number(self._prepared, metrics)
        self._close(key, "failed" if reason else "complete", metrics, reason)

    def died(self, key: str, death: Death = "crashed") -> None:
        """Put a trial back whose worker died, or give it up.

        After a `pause` the trial is handed out again and goes on from the store, unless that happened too
        often.
        """
        if key.startswith(BASELINE):
            deaths = self._deaths[key, death] = self._deaths.get((key, death), 0) + 1
            deaths = deaths if deaths <= OUTLIVED[death] else 0
            if deaths:
                self._baselines.insert(0, key)
        else:
            deaths = self._ledger.died(int(key), death)
        if deaths:
            del self._started[key]
            self._not_before = self._clock() + retries.pause(deaths, death)
        else:
            self._close(key, "failed", {}, retries.reason(death))

    def _note(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Report an intermediate value to Optuna, which takes none where there are several objectives."""
        if (
            not key.startswith(BASELINE)
            and len(self._prepared.metric_names) == 1
            and self._prepared.first_metric in metrics
        ):
            self._ledger.report(int(key), int(metrics["epoch"]), float(metrics[self._prepared.first_metric]))

    def _begin(self, key: str, params: Mapping[str, Any]) -> TrialToRun:
        trial = TrialToRun(key, params, self._prepared.trial_config(key, params, self._paths))
        self._started[key] = self._clock()
        for observer in self._observers:
            observer.started(trial)
        return trial

    def _close(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        seconds = self._clock() - self._started.pop(key)
        if not key.startswith(BASELINE):
            self._tell(int(key), outcome, plain(metrics), reason, seconds)
        held = violations(self._prepared, metrics) if outcome == "complete" else {}
        told = {**metrics, **{f"{CONSTRAINT}{name}": violation for name, violation in held.items()}}
        for observer in self._observers:
            observer.ended(key, outcome, told, reason)
        if not key.startswith(BASELINE):
            self._stop_where_all_fail(reason if outcome == "failed" else None)

    def _stop_where_all_fail(self, reason: str | None) -> None:
        """Raise `SweepError` where this driver's first trials have all failed alike: the next would too.

        Counted anew by each driver, so that a study goes on once the cause is mended.
        """
        if reason is None or self._failures is None:
            self._failures = None
            return
        self._failures.append(reason)
        most = self._prepared.sweep.file.stop_after_failures
        if len(self._failures) >= most:
            alike, self._failures = len({re.sub(r"\d+", "", one) for one in self._failures}) == 1, None
            if alike:
                raise SweepError(
                    f"the first {most} trials all failed with the same reason: {reason.rstrip('.')}. "
                    "Mend it and go on with the study, or raise stop_after_failures.",
                    TOO_MANY_FAILED,
                )

    def _tell(
        self, root: int, outcome: str, metrics: Mapping[str, Any], reason: str | None, seconds: float
    ) -> None:
        if reason:
            self._ledger.failed(root, reason, metrics)
        elif outcome == "complete":
            values = [metrics[n] for n in self._prepared.metric_names]
            held = violations(self._prepared, metrics)
            self._ledger.complete(root, values, metrics, {"seconds": seconds}, held)
        else:
            self._ledger.stopped_early(root, metrics, {"seconds": seconds})

    def _taken(self) -> int:
        counts = self._ledger.counts()
        return self._ended(counts) + counts.get("running", 0)

    def _ended(self, counts: Mapping[str, int]) -> int:
        # On a grid an infeasible point is a point done; elsewhere it is a draw that cost nothing.
        kinds = ["complete", "stopped_early", "failed"] + (["infeasible"] if self._prepared.on_a_grid else [])
        return sum(counts.get(kind, 0) for kind in kinds)


def _not_a_number(prepared: Prepared, metrics: Mapping[str, Any]) -> str | None:
    """Say which metric of an objective or a constraint is missing or not finite; None where all are fine."""
    needed = [*prepared.metric_names, *(limit.metric for limit in prepared.limits)]
    missing = next((n for n in needed if not math.isfinite(metrics.get(n, math.nan))), None)
    return None if missing is None else f"{missing} is {metrics.get(missing, 'missing')}"


def violations(prepared: Prepared, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return by which share of its bound each constraint is missed; 0 or less: it is kept."""
    return {limit.name: limit.violation(metrics) for limit in prepared.limits}


def plain(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics that are the trial's own, without the per-layer ones.

    Ray adds a dozen; result.json holds those of the layers.
    """
    own = {n: v for n, v in metrics.items() if "/" in n or n in ("step", "epoch", "epochs_trained")}
    return {
        n: v
        for n, v in own.items()
        if isinstance(v, bool | int | float | str) and not n.startswith(OF_A_LAYER)
    }


def finished_result(paths: StudyPaths, prepared: Prepared, root: int) -> dict[str, Any] | None:
    """Load what a worker wrote at the end of a trial, in the ledger's words.

    Its driver died before it heard of it. None where the worker did not get that far.
    """
    result = read_result(paths.result(root))
    if result is None:
        return None
    metrics, reason = plain(result.metrics), result.failed
    if not reason and not all(n in metrics for n in prepared.metric_names):
        return None
    reason = reason or _not_a_number(prepared, metrics)
    values = None if reason else [metrics[n] for n in prepared.metric_names]
    held = {} if reason else violations(prepared, metrics)
    return {"values": values, TRIAL_METRICS: metrics, DETAILS: {}, REASON: reason, VIOLATIONS: held}
