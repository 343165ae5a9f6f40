"""One trial: every replicate's train, compress, retrain in lock-step, and what came of it."""

import math
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pruners
from trainables import network, result
from trainables.config import TrialConfig
from trainables.device import reproducible
from trainables.errors import LeaseLost, StoreError, TaskError, TrainingError
from trainables.factory import describe
from trainables.files import disk_full_explained
from trainables.reading import network_folder
from trainables.recipes import RECIPES
from trainables.recipes.dense import dense
from trainables.replicate import Replicate
from trainables.setting import Setting

Metrics = dict[str, Any]

_SAYS_ALL = (TaskError, TrainingError, StoreError, pruners.PrunerError)


class Trial:
    """A trial as a sequence of `step` calls; nothing heavy happens before the first.

    All its state lies in the store and in ``config.directory``: a `Trial` made anew in another process, after a crash say, goes on
    from the last snapshots to the same bits.
    """

    def __init__(self, config: TrialConfig):
        self.config = config
        self._replicates: list[Replicate] = []
        self._epoch = 0

    def step(self) -> Metrics:
        """One epoch of retraining of every replicate, and the metrics averaged over them; ``final`` says that it was the last.

        The first call also makes the dense networks and compresses them. A trial that fails returns ``failed``, its reason in a
        line, and writes the traceback to error.txt. A finished trial returns its final metrics again. Raises `LeaseLost`, which says
        nothing about the trial: the next call goes on with it.
        """
        if finished := result.read(self.config):
            return result.final_metrics(finished)
        try:
            with reproducible(self.config.threads):
                return self._step()
        except LeaseLost:
            self.close()
            raise
        except Exception as error:
            self.close()
            finished = result.read(self.config)  # another worker may have brought the same trial to its end meanwhile
            return result.final_metrics(finished) if finished else self._failed(error)

    def close(self) -> None:
        """Stop here; what was trained stays in the store and others may go on with it."""
        for replicate in self._replicates:
            replicate.close()
        self._replicates = []

    def _step(self) -> Metrics:
        epochs = self.config.compression.retrain_epochs
        if not self._replicates:
            self._start()
            self._epoch = min(replicate.done for replicate in self._replicates)
        self._epoch = min(self._epoch + 1, epochs)
        for replicate in self._replicates:
            replicate.reach(self._epoch)
        if self._epoch < epochs:
            return {**self._metrics(self._epoch), "final": False}
        return self._end()

    def _start(self) -> None:
        setting, stages = Setting.of(self.config), RECIPES[self.config.trainable](self.config)
        uncompressed = dense(self.config.task, self.config.training.epochs)
        for seed in sorted(self.config.seeds):
            self._replicates.append(Replicate(setting, uncompressed, stages, seed))
            self._replicates[-1].start()

    def _metrics(self, epoch: int) -> Metrics:
        trained = sum(replicate.run.trained() for replicate in self._replicates)
        whole = [{**replicate.at(epoch), **replicate.compressed} for replicate in self._replicates]
        return {**result.averaged(whole), **self._position(epoch), "epochs_trained": trained}

    def _position(self, epoch: int) -> Metrics:
        return {"step": self._replicates[0].steps(epoch), "epoch": epoch}

    def _end(self) -> Metrics:
        epochs = self.config.compression.retrain_epochs
        for replicate in self._replicates:
            _check_finite({**replicate.at(epochs), **replicate.compressed}, replicate.seed)
        with disk_full_explained(Path(self.config.directory)):
            for replicate in self._replicates:
                network.export(replicate.finish(), network_folder(self.config, replicate.seed))
            metrics = {**self._metrics(epochs), "final": True}
            history = [
                {**self._position(epoch), **result.averaged([replicate.at(epoch) for replicate in self._replicates])}
                for epoch in range(1, epochs + 1)
            ]
            result.write(self.config, metrics, self._replicates, history)
        self.close()
        return metrics

    def _failed(self, error: Exception) -> Metrics:
        reason = " ".join(str(error).split()) if isinstance(error, _SAYS_ALL) else describe(error)
        folder = Path(self.config.directory)
        with suppress(OSError):  # where not even this can be written, the reason returned has to do
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
            if not isinstance(error, StoreError):  # a full disk says nothing about the trial: it is to be tried again
                result.write_failed(self.config, reason)
        return {"failed": reason, "final": True} | ({"disk_full": True} if isinstance(error, StoreError) else {})


def _check_finite(metrics: Metrics, seed: int) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingError(f"{name} is {value} at the end of the trial (seed {seed}); no result can be made of it.")


def run_trial(config: TrialConfig) -> Metrics:
    """Step a trial to its end in this process; its final metrics, or ``failed`` with the reason."""
    trial = Trial(config)
    try:
        while True:
            metrics = trial.step()
            if metrics["final"]:
                return metrics
    finally:
        trial.close()
