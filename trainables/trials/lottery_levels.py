"""A lottery: level after level, each level's ticket beside its controls, every seed of all of them."""

from collections.abc import Mapping
from typing import Any

from trainables.config import TrialConfig
from trainables.execution import network
from trainables.execution.network import Network
from trainables.execution.process_group.group import ProcessGroup
from trainables.execution.run import Run
from trainables.execution.stage_clock import StageClock, seconds_of
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import DENSITY, PARAMS_KEPT, TRAINING, VAL_LOSS, of_dense, on_validation
from trainables.places.place import place_of
from trainables.recipes.lottery import SECOND_ORDER, TICKET, TRANSFER
from trainables.results import compression_figures, dense_reference, stability
from trainables.results.result import TrialResult, averaged, in_epochs, write_result
from trainables.results.trial_paths import network_folder
from trainables.results.verdict import verdict
from trainables.stages import Train
from trainables.store.disk import disk_full_explained
from trainables.store.trajectory import Trajectory
from trainables.trials.epochs_needed import epochs_needed
from trainables.trials.lottery_tracks import tracks_by_level
from trainables.trials.trial_steps import Metrics, TrialSteps

Entry = dict[str, Any]
"""A part of a level as result.json keeps it."""


class LotterySteps(TrialSteps):
    """One level a step, the dense network (level 0) first."""

    def __init__(self, config: TrialConfig, group: ProcessGroup | None = None):
        self.config, self.setting = config, TrialSetting.of(config, group)
        self._tracks = tracks_by_level(config, self.setting)
        self._running: Run | None = None
        self._levels: list[Entry] = []
        self._trajectories: dict[str, tuple[Trajectory, int]] = {}
        self._dense: Metrics = {}
        self._trained_with: set[str] = set()
        self._clock = StageClock()

    def advance(self) -> Metrics:
        """Prune to the next level and train every track of it for every seed."""
        level = len(self._levels)
        replicates, tickets = [], []
        for seed in sorted(self.config.seeds):
            figures, ticket = self._level(level, seed)
            replicates.append({"seed": seed, "tracks": figures})
            tickets.append(ticket)
        if not level:
            self._dense = averaged([dense_reference.measured(ticket, self.setting) for ticket in tickets])
        with self._clock.timed("measuring"):
            compressed = [
                compression_figures.metrics(ticket, self._dense, self.setting) for ticket in tickets
            ]
        self._levels.append(
            self._described(level, replicates, compressed, compression_figures.layers(tickets[0]))
        )
        metrics = {**self._metrics(level, compressed), "final": level == len(self._tracks) - 1}
        if metrics["final"]:
            self._end(metrics, tickets, compressed)
            return metrics
        return {**metrics, TRAINING: self._levels[level]["history"]}

    def close(self) -> None:
        """Let others go on with what the present track was training."""
        if self._running:
            self._running.close()

    def _level(self, level: int, seed: int) -> tuple[dict[str, Metrics], Network]:
        """Train every track for one seed; return their figures and the ticket's network."""
        figures, networks = {}, {}
        for name, (setting, recipe) in self._tracks[level].items():
            run = self._running = Run(setting, recipe, seed)
            run.clock = self._clock
            networks[name] = run.finish()
            self._trained_with.update(networks[name].trained_with)
            figures[name] = _figures(run, networks[name])
            for count, _ in run.trains():
                trajectory = run.trajectory(count)
                self._trajectories[trajectory.key] = trajectory, setting.steps_per_epoch
        if SECOND_ORDER in networks:
            pair = networks[TICKET].module, networks[SECOND_ORDER].module
            with self._clock.timed("measuring"):
                figures[SECOND_ORDER]["stability"] = stability.between(
                    *pair, self.setting, self.setting.data.validation
                )
        return figures, networks[TICKET]

    def _described(
        self,
        level: int,
        replicates: list[Entry],
        compressed: list[Metrics],
        layers: compression_figures.Layers,
    ) -> Entry:
        """Describe a level as result.json keeps it."""
        names = replicates[0]["tracks"]
        means = {name: averaged([_numbers(one["tracks"][name]) for one in replicates]) for name in names}
        described = {
            "level": level,
            "step": self._steps(level),
            "density": compressed[0].get(DENSITY, 1.0),
            "params_kept": compressed[0][PARAMS_KEPT],
            "layers": layers,
            "tracks": means,
            "verdict": {name: self._verdict(name, replicates) for name in names if level},
            "history": [
                averaged(epochs)
                for epochs in zip(*(one["tracks"][TICKET]["history"] for one in replicates), strict=True)
            ],
            "replicates": [
                {"seed": one["seed"], "tracks": {n: _numbers(t) for n, t in one["tracks"].items()}}
                for one in replicates
            ],
        }
        if SECOND_ORDER in names:
            described["stability"] = [one["tracks"][SECOND_ORDER]["stability"] for one in replicates]
        return described

    def _verdict(self, track: str, replicates: list[Entry]) -> Entry:
        """Judge a track against the dense networks of the same seeds, for a transferred ticket those of its
        target.
        """
        other = TRANSFER if track == TRANSFER else TICKET
        setting = self._tracks[0][other][0]
        return verdict(
            [one["tracks"][track][setting.primary] for one in replicates],
            [one["tracks"][other][setting.primary] for one in self._levels[0]["replicates"]],
            setting.metrics[0].goal,
        )

    def _metrics(self, level: int, compressed: list[Metrics]) -> Metrics:
        tracks = self._levels[level]["tracks"]
        ticket = tracks[TICKET]
        told = [on_validation(metric.name) for metric in self.setting.metrics]
        others = {
            f"{n}/{name}": track[name]
            for n, track in tracks.items()
            if n != TICKET
            for name in told
            if name in track
        }
        dense = self._levels[0]["tracks"][TICKET]
        return {
            **{name: value for name, value in ticket.items() if name != "step"},
            **others,
            **averaged(compressed),
            **{of_dense(name): dense[name] for name in told},
            "primary": self.setting.primary,
            "level": level,
            "epoch": level,
            "step": self._steps(level),
            "epochs_trained": self._epochs_trained(),
        }

    def _steps(self, level: int) -> int:
        """Count the optimiser steps of the tickets from the dense network to this level."""
        closing = [
            recipe[-1]
            for _, recipe in (level_tracks[TICKET] for level_tracks in self._tracks[: level + 1])
            if recipe
        ]
        return sum(stage.stop - stage.start for stage in closing if isinstance(stage, Train))

    def _epochs_trained(self) -> float:
        return sum(
            in_epochs(t.steps_trained(self.setting.trainer), per_epoch)
            for t, per_epoch in self._trajectories.values()
        )

    def _end(self, metrics: Metrics, tickets: list[Network], compressed: list[Metrics]) -> None:
        with disk_full_explained(place_of(self.config.directory)):
            for seed, ticket in zip(sorted(self.config.seeds), tickets, strict=True):
                network.export(ticket, network_folder(self.config, seed))
            last = self._levels[-1]
            replicates = [
                {"seed": one["seed"], "metrics": {**one["tracks"][TICKET], **figures}}
                for one, figures in zip(last["replicates"], compressed, strict=True)
            ]
            found = TrialResult(
                self.config.key,
                metrics,
                replicates,
                layers=last["layers"],
                dense=self._dense,
                history=last["history"],
                levels=self._levels,
                stage_seconds=seconds_of([self._clock]),
                epochs_alone=epochs_needed([self.config]).alone,
                trained_with=sorted(self._trained_with),
            )
            write_result(self.config, found)


def _figures(run: Run, trained: Network) -> Metrics:
    """Return the metrics at the end and at the early-stopping iteration, where the validation loss was least
    (Frankle & Carbin 2019, section 2).
    """
    history = trained.history
    if not history:  # the user's own trained network
        return {**run.setting.evaluate(trained.module, run.setting.data.validation, "val"), "history": []}
    early = min(history, key=lambda epoch: epoch[VAL_LOSS])
    told = ("step", VAL_LOSS, *(on_validation(metric.name) for metric in run.setting.metrics))
    early_stop = {f"early_stop/{name}": early[name] for name in told if name in early}
    return {**history[-1], **early_stop, "history": history}


def _numbers(track: Mapping[str, Any]) -> Metrics:
    return {name: value for name, value in track.items() if isinstance(value, int | float)}
