"""Screen a sweep: score trials without training, so that only the best of many are trained."""

import itertools
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import optuna

from sweeps.errors import FAILED, INFEASIBLE, TOO_MANY_FAILED, Incompatible, SweepError
from sweeps.running import opening, retries
from sweeps.search.prepare import Prepared
from sweeps.study import storage
from sweeps.study.driver.held import HeldStorage
from sweeps.study.ledger import Ledger, enqueue
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import rows_by_trial
from sweeps.study.screening import finalists, name_of_screening
from sweeps.sweep_file.keys import Screen
from trainables import LeaseLost, StoreError, TrialConfig
from trainables.metric_names import DIVERGENCE
from trainables.users_code.factory import describe

Score = Callable[[TrialConfig], dict[str, Any]]
"""Scores one trial where trials run, as `trainables.screened` does."""
Told = Callable[[int, float | None], None]
"""Hears how many are scored, and the best score."""
_MEASURED = "measured"
"""The value of the options error and allocation with which methods measure curves."""
_PATIENCE = 1000
"""Draws in a row that may be infeasible before the search is called hopeless."""


class Screening:
    """One driver's screening, in a study of its own beside the sweep's.

    Its rows are the ledger's: a driver that takes over goes on where the last one stood, and asks the same
    where the sampler draws by the study alone.
    """

    def __init__(self, prepared: Prepared, screen: Screen, paths: StudyPaths, held: HeldStorage):
        self._prepared, self._paths, self._wanted = prepared, paths, screen.trials
        self._ledger = held.patience.insist(lambda: _open_ledger(prepared, paths, held))

    @property
    def is_complete(self) -> bool:
        """Tell whether as many trials are scored as the sweep wants, and those that wait."""
        return self._ended >= self._wanted and not self._ledger.waiting()

    def run(self, score: Score, time_is_up: Callable[[], bool], told: Told) -> None:
        """Score trials one after the other until the screening is complete or time is up.

        Raises `SweepError` where the first ones all fail, nothing is feasible, or the disk is full.
        """
        told(self._ended, self._best)
        while not self.is_complete and not time_is_up():
            root, params = self._next()
            # What it trains before is the first trial's: both are compressed from the same dense network.
            config = self._prepared.trial_config("0", params, self._paths)
            try:
                found = _scored(score, config)
            except StoreError as error:
                raise SweepError(str(error), FAILED) from error
            except Exception as error:
                self._failed(root, " ".join(str(error).split()) or describe(error))
            else:
                self._record(root, found)
            told(self._ended, self._best)

    def measuring(self) -> TrialConfig | None:
        """Return a trial whose method measures an error curve of each layer, None where none does.

        Several workers may run it side by side: they share the curves through the store.
        """
        for draw in self._prepared.sweep.draws_for_all():
            with suppress(Incompatible):
                config = self._prepared.trial_config("0", draw, self._paths)
                options = config.compression.options
                if _MEASURED in (options.get("error"), options.get("allocation")):
                    return config
        return None

    def pass_on(self, study: optuna.Study) -> int:
        """Enqueue in the sweep's own study whoever is to be trained and was not passed on before.

        Returns how many the study is to have: as many as the sweep wants, or as there are networks.
        """
        target = self._prepared.target
        enqueue(study, finalists(self._ledger.study, own=self._prepared.first_trial is not None), target)
        return min(target, len(rows_by_trial(study)))

    def _next(self) -> tuple[int, dict[str, Any]]:
        for _ in range(_PATIENCE):
            if asked := self._ledger.ask():
                return asked
        raise SweepError(
            f"{_PATIENCE} draws in a row could not be, the last for this reason: "
            f"{self._ledger.why_infeasible.rstrip('.')}. Narrow the search or raise the budget.",
            INFEASIBLE,
        )

    def _record(self, root: int, found: dict[str, Any]) -> None:
        value = found[DIVERGENCE]
        if math.isfinite(value):
            self._ledger.complete(root, [value], found, {}, {})
        else:
            self._failed(root, "its outputs are not finite")

    def _failed(self, root: int, reason: str) -> None:
        self._ledger.failed(root, reason, {})
        counts = self._ledger.counts()
        most = min(self._prepared.sweep.file.stop_after_failures, self._wanted)
        if counts.get("failed", 0) >= most and not counts.get("complete"):
            raise SweepError(
                f"the first {most} screened trials all failed, the last with this reason: "
                f"{reason.rstrip('.')}.",
                TOO_MANY_FAILED,
            )

    @property
    def _ended(self) -> int:
        counts = self._ledger.counts()
        return counts.get("complete", 0) + counts.get("failed", 0)

    @property
    def _best(self) -> float | None:
        complete = self._ledger.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        return min((trial.values[0] for trial in complete), default=None)


def _open_ledger(prepared: Prepared, paths: StudyPaths, held: HeldStorage) -> Ledger:
    """Open the screening's study and put into its queue what is scored first; again, it changes nothing."""
    study = storage.create(paths, name_of_screening(prepared.sweep.file.name), held.storage, ["minimize"])
    opening.enqueue_first(study, prepared)
    return opening.ledger(study, prepared, held, lambda _: None)


def _scored(score: Score, config: TrialConfig) -> dict[str, Any]:
    for deaths in itertools.count(1):
        try:
            return score(config)
        except LeaseLost:
            time.sleep(retries.pause(deaths, "crashed"))
    raise AssertionError
