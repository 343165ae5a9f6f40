"""A trial with one recipe: every replicate in lock-step, and what came of it."""

import math
from typing import Any

from trainables.config import TrialConfig
from trainables.errors import TrainingError
from trainables.execution import network
from trainables.execution.process_group.group import ProcessGroup
from trainables.execution.stage_clock import seconds_of
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import EARLIER
from trainables.places.place import place_of
from trainables.recipes import RECIPES
from trainables.recipes.dense import dense
from trainables.results.result import TrialResult, averaged, in_epochs, write_result
from trainables.results.trial_paths import network_folder
from trainables.store.disk import disk_full_explained
from trainables.trials.epochs_needed import epochs_needed
from trainables.trials.replicate import Replicate
from trainables.trials.trial_steps import Metrics, TrialSteps


class RecipeSteps(TrialSteps):
    """The trial's recipe, an epoch of its closing training a step."""

    def __init__(self, config: TrialConfig, group: ProcessGroup | None = None):
        self.config, self._epoch = config, 0
        setting = TrialSetting.of(config, group)
        stages = RECIPES[config.trainable].stages(config, setting.steps_per_epoch)
        uncompressed = dense(config, setting.steps_per_epoch) if config.dense_reference else None
        diverges = config.divergence_images if RECIPES[config.trainable].compresses_trained else 0
        self._replicates = [
            Replicate(setting, uncompressed, stages, seed, diverges) for seed in sorted(config.seeds)
        ]
        self._steps_per_epoch, self._started = setting.steps_per_epoch, False
        self._validation = setting.validation_size

    def advance(self) -> Metrics:
        """Train every replicate for one more epoch; the first step also does all that comes before.

        It also tells the epochs ``earlier`` that the store had.
        """
        begun = self._started
        if not self._started:
            self._start()
            self._started, self._epoch = True, min(replicate.done for replicate in self._replicates)
        epochs = self._replicates[0].epochs
        self._epoch = min(self._epoch + 1, epochs)
        while self._epoch < epochs and any(replicate.lacks(self._epoch) for replicate in self._replicates):
            self._epoch += 1
        for replicate in self._replicates:
            replicate.reach(self._epoch)
        if self._epoch < epochs:
            told = {} if begun else {EARLIER: self._history(self._epoch - 1)}
            return {**self._metrics(self._epoch), **told, "final": False}
        return self._end(epochs)

    def _start(self) -> None:
        """Start the replicates, first those whose dense networks nobody else is training.

        Trials that begin together begin with different ones, so that none waits for what another trains
        while there is something else to train.
        """
        first = int(self.config.key) % len(self._replicates) if self.config.key.isdigit() else 0
        waiting = self._replicates[first:] + self._replicates[:first]
        while waiting:
            replicate = next((one for one in waiting if not one.must_wait()), waiting[0])
            replicate.start()
            waiting.remove(replicate)

    def close(self) -> None:
        """Let others go on with what the replicates were training."""
        for replicate in self._replicates:
            replicate.close()

    def _metrics(self, epoch: int) -> Metrics:
        trained = sum(replicate.trained() for replicate in self._replicates)
        whole = [{**replicate.at(epoch), **replicate.compressed} for replicate in self._replicates]
        return {
            **averaged(whole),
            **self._progress(epoch),
            "epochs_trained": in_epochs(trained, self._steps_per_epoch),
        }

    def _history(self, epochs: int) -> list[Metrics]:
        return [
            {**self._progress(epoch), **averaged([replicate.at(epoch) for replicate in self._replicates])}
            for epoch in range(1, epochs + 1)
        ]

    def _progress(self, epoch: int) -> Metrics:
        return {"step": self._replicates[0].steps(epoch), "epoch": epoch}

    def _end(self, epochs: int) -> Metrics:
        if self.config.compression.int8 != "none":
            for replicate in self._replicates:
                replicate.make_int8(self.config.compression)
        ended: list[dict[str, Any]] = [
            {"seed": r.seed, "metrics": {**r.at(epochs), **r.compressed}} for r in self._replicates
        ]
        for one in ended:
            _check_finite(one["metrics"], one["seed"])
        with disk_full_explained(place_of(self.config.directory)):
            for replicate in self._replicates:
                network.export(replicate.finish(), network_folder(self.config, replicate.seed))
            metrics = {**self._metrics(epochs), "final": True}
            found = TrialResult(
                self.config.key,
                metrics,
                ended,
                layers=self._replicates[0].layers,
                curves=self._replicates[0].curves,
                dense=averaged([replicate.dense for replicate in self._replicates]),
                history=self._history(epochs),
                validation=self._validation,
                stage_seconds=seconds_of(clock for r in self._replicates for clock in r.clocks),
                epochs_alone=epochs_needed([self.config]).alone,
                trained_with=sorted(
                    set().union(*(replicate.trained_with() for replicate in self._replicates))
                ),
            )
            write_result(self.config, found)
        return metrics


def _check_finite(metrics: dict[str, Any], seed: int) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} at the end of the trial (seed {seed}); no result can be made of it."
            )
