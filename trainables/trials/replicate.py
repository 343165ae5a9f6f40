"""One seed of a trial: its dense network, its compressed one, and the metrics of both."""

import math

from trainables.config import CompressionConfig
from trainables.execution.compression.divergence import divergence
from trainables.execution.network import Network
from trainables.execution.run import Run
from trainables.execution.stage_clock import StageClock
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import DIVERGENCE, of_dense, on_validation
from trainables.results import compression_figures, dense_reference
from trainables.results.error_curves import Curves, error_curves
from trainables.stages import Compress, Recipe, Train
from trainables.store.lease import is_held
from trainables.trials.made_int8 import int8_figures, made_int8


class Replicate:
    """A recipe's run for one seed, stopped after every epoch of the recipe's closing `Train`, where it has
    one.

    Nobody waits for a replicate that is not inside one of its methods: a stopped trial may be kept without
    ever being told. ``done`` counts those epochs; ``dense`` holds validation's metrics and loss, params,
    bytes, multiply_adds and latency_ms of the uncompressed network (without a recipe for it the last four),
    ``layers`` what became of each compressed layer, ``curves`` the errors that it was (last) chosen by,
    ``compressed`` what the compression made of the network by then. With ``divergence_images`` the compressed
    network's divergence from the trained one is among them.
    """

    def __init__(
        self,
        setting: TrialSetting,
        dense: Recipe | None,
        recipe: Recipe,
        seed: int,
        divergence_images: int = 0,
    ):
        self.setting, self.seed, self.done = setting, seed, 0
        self._divergence_images = divergence_images
        self.run = Run(setting, recipe, seed)
        self._dense_run, self._is_compared = Run(setting, dense or (), seed), dense is not None
        self._history: list[dict[str, float]] = []
        self._not_retrained: dict[str, float] = {}
        self._clock = StageClock()
        self.dense: dict[str, float] = {}
        self.layers: compression_figures.Layers = {}
        self.curves: Curves = {}
        self.compressed: dict[str, float] = {}
        self._int8: Network | None = None

    def must_wait(self) -> bool:
        """Tell whether another process is just training this replicate's dense network."""
        return any(is_held(self._dense_run.trajectory(count).folder) for count, _ in self._dense_run.trains())

    def start(self) -> None:
        """Do everything before the closing `Train`, or what the store has beyond it."""
        dense = self._dense_run.finish()
        with self._clock.timed("measuring"):
            self.dense = (
                dense_reference.measured(dense, self.setting)
                if self._is_compared
                else dense_reference.costs(dense, self.setting)
            )
        diverged = {}
        if self._divergence_images:
            chosen_from = self._compressed_from(-1)
            diverged, self.curves = self._divergence(), error_curves(*chosen_from, self.seed)
        compressed = self._to_closing_train()
        self.run.pause()
        told = [on_validation(metric.name) for metric in self.setting.metrics]
        self.compressed = {of_dense(name): self.dense[name] for name in told if name in self.dense} | diverged
        self._measure(compressed)

    def reach(self, epoch: int) -> None:
        """Train until ``epoch`` epochs of the closing `Train` are done."""
        trained = None
        while self.done < epoch:
            trained = self._advance()
        self.run.pause()
        closing = self.run.recipe[-1]
        if trained and isinstance(closing, Train) and closing.changing:
            self._measure(trained)

    def _measure(self, compressed: Network) -> None:
        """Measure what no training changes of a network, a training under a changing mask apart."""
        with self._clock.timed("measuring"):
            self.layers = compression_figures.layers(compressed)
            self.compressed |= compression_figures.metrics(compressed, self.dense, self.setting)

    def finish(self) -> Network:
        """Go through what is left of the recipe; return its result, int8 where it was made so."""
        return self._int8 or self.run.finish()

    def make_int8(self, compression: CompressionConfig) -> None:
        """Make the recipe's result int8; ``compressed`` holds its metrics from now on. Raises
        `TrainingError`.
        """
        self._int8 = made_int8(self.run.finish(), self.setting, compression, self.seed)
        self.compressed |= int8_figures(self._int8, self.setting, self.dense, self.at(self.epochs))

    def trained_with(self) -> set[str]:
        """Return what its networks, the dense one included, were trained with."""
        return {*self._dense_run.finish().trained_with, *self.finish().trained_with}

    def trained(self) -> int:
        """Count the steps that the trial trained for this replicate, those of its dense network included."""
        trajectories = {
            run.trajectory(count).key: run.trajectory(count)
            for run in (self._dense_run, self.run)
            for count, _ in run.trains()
        }
        return sum(trajectory.steps_trained(self.setting.trainer) for trajectory in trajectories.values())

    @property
    def clocks(self) -> tuple[StageClock, ...]:
        """Return what timed this replicate's work, as far as this process did it."""
        return self._dense_run.clock, self.run.clock, self._clock

    def close(self) -> None:
        """Let others go on with what this replicate was training."""
        self.run.close()

    @property
    def epochs(self) -> int:
        """Count the epochs of the recipe's closing `Train`; 0 where there is none."""
        closing = self.run.recipe[-1]
        return self.run.epochs_of(closing) if isinstance(closing, Train) else 0

    def steps(self, epoch: int) -> int:
        """Count the optimiser steps of the recipe until epoch ``epoch`` of its closing `Train`."""
        trains = [stage for stage in self.run.recipe if isinstance(stage, Train)]
        if not epoch:
            return sum(stage.stop - stage.start for stage in trains)
        return (
            sum(stage.stop - stage.start for stage in trains[:-1])
            + int(self._history[epoch - 1]["step"])
            - trains[-1].start
        )

    def at(self, epoch: int) -> dict[str, float]:
        """Return training and validation metrics after epoch ``epoch``; 0 stands for the result of a recipe
        that does not end with training.
        """
        found = self._history[epoch - 1] if epoch else self._not_retrained
        return {name: value for name, value in found.items() if name != "step"}

    def lacks(self, epoch: int) -> bool:
        """Tell whether epoch ``epoch`` was trained when not all of the task's metrics were measured."""
        return epoch <= self.done and not self.setting.stored_names.keys() <= self._history[epoch - 1].keys()

    @property
    def _retrains(self) -> bool:
        return isinstance(self.run.recipe[-1], Train)

    def _to_closing_train(self) -> Network:
        if self._retrains:
            while (network := self._advance()) is None:
                pass
            return network
        network = self.run.finish()
        with self._clock.timed("measuring"):
            self._not_retrained = self.setting.evaluate(network.module, self.setting.data.validation, "val")
        return network

    def _compressed_from(self, step: int) -> tuple[Network, Compress]:
        """Return the network that is compressed at a step of the cascade (0: the dense one), and how."""
        steps = [(n, stage) for n, stage in enumerate(self.run.recipe) if isinstance(stage, Compress)]
        count, stage = steps[step]
        return self.run.up_to(count), stage

    def _divergence(self) -> dict[str, float]:
        """Measure the divergence before retraining; one that is not finite tells nothing and is left out."""
        trained, _ = self._compressed_from(0)
        compressed = self.run.up_to(len(self.run.recipe) - self._retrains)
        found = divergence(trained, compressed, self.setting, self.seed, self._divergence_images)
        return {DIVERGENCE: found} if math.isfinite(found) else {}

    def _advance(self) -> Network | None:
        """Train one epoch further; return the network when it belongs to the closing `Train`."""
        epoch = self.run.advance()
        if epoch is None or epoch.stages < len(self.run.recipe):
            return None
        self.done, self._history = epoch.done, epoch.history
        return epoch.network
