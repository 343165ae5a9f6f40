"""One trial, from its configuration to its result, whatever happens on the way."""

import traceback
from contextlib import suppress

import pruners
from trainables.config import TrialConfig
from trainables.errors import StoreError, TaskError, TrainingError, TryAgain
from trainables.execution.process_group.group import ProcessGroup
from trainables.execution.process_group.on_this_machine import LocalGroup
from trainables.places.place import write_whole
from trainables.recipes import RECIPES
from trainables.results.result import result_of, write_failed
from trainables.results.trial_paths import TrialPaths
from trainables.training.device import reproducible
from trainables.trials.lottery_levels import LotterySteps
from trainables.trials.single_recipe import RecipeSteps
from trainables.trials.trial_steps import Metrics, TrialSteps
from trainables.users_code.factory import describe

_SAYS_ALL = (TaskError, TrainingError, StoreError, pruners.PrunerError)


class Trial:
    """A trial as a sequence of `step` calls; nothing heavy happens before the first.

    All its state lies in the store and in ``config.directory``: a `Trial` made anew in another process, after
    a crash say, goes on from the last snapshots to the same bits.

    One of several processes trains in ``group``, whose processes are left to whoever gave it; without one in
    processes of this machine, which end with the trial.
    """

    def __init__(self, config: TrialConfig, group: ProcessGroup | None = None):
        self.config = config
        self._own_group = LocalGroup(config.processes) if config.processes > 1 and not group else None
        self._group = group or self._own_group
        self._steps: TrialSteps | None = None

    def step(self) -> Metrics:
        """Take one step of the trial; return its metrics averaged over the replicates.

        ``final`` says that it was the last. A step is an epoch of the recipe's closing training, for a
        lottery ticket a level. The first also does what comes before. A trial that fails returns ``failed``,
        its reason in a line, and writes the traceback to error.txt. A finished trial returns its final
        metrics again. Raises `TryAgain`, which says nothing about the trial: the next call goes on with it.
        """
        try:
            if finished := result_of(self.config):
                return finished.final_metrics()
            with reproducible(self.config.threads):
                return self._step()
        except TryAgain:
            self.close()
            raise
        except StoreError as error:
            self.close()
            return self._failed(error)
        except Exception as error:
            self.close()
            # another worker may have brought the same trial to its end meanwhile
            finished = result_of(self.config)
            return finished.final_metrics() if finished else self._failed(error)

    def close(self) -> None:
        """Stop here; what was trained stays in the store and others may go on with it."""
        if self._steps:
            self._steps.close()
        if self._own_group:
            self._own_group.close()
        self._steps = None

    def _step(self) -> Metrics:
        if self._steps is None:
            self._steps = (
                LotterySteps(self.config, self._group)
                if RECIPES[self.config.trainable].in_levels
                else RecipeSteps(self.config, self._group)
            )
        metrics = self._steps.advance()
        if metrics["final"]:
            self.close()
        return metrics

    def _failed(self, error: Exception) -> Metrics:
        reason = " ".join(str(error).split()) if isinstance(error, _SAYS_ALL) else describe(error)
        paths = TrialPaths.of(self.config)
        if isinstance(error, StoreError):
            # a full disk, or a store that is away, says nothing about the trial: it is to be tried again
            return {"failed": reason, "final": True, "stops_study": True}
        # where not even this can be written, the reason returned has to do
        with suppress(OSError, StoreError):
            paths.directory.mkdir(parents=True, exist_ok=True)
            write_whole(paths.traceback, "".join(traceback.format_exception(error)).encode())
            write_failed(self.config, reason)
        return {"failed": reason, "final": True}


def run_trial(config: TrialConfig) -> Metrics:
    """Step a trial to its end in this process; return its final metrics, or ``failed`` with the reason."""
    trial = Trial(config)
    try:
        while True:
            metrics = trial.step()
            if metrics["final"]:
                return metrics
    finally:
        trial.close()
