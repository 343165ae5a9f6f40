"""The one executor of recipes: an epoch at a time, and nothing that the store already holds."""

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

import pruners
from pruners.network.copying import copied
from trainables.errors import StoreWarning, TrainingError
from trainables.execution import changing_masks, network
from trainables.execution.compression import compressing
from trainables.execution.epoch import epoch_ends, trained_epoch
from trainables.execution.epoch_work import Beside
from trainables.execution.identity import is_in_time, stage_identity, training_identity
from trainables.execution.kept_networks import KeptNetworks
from trainables.execution.network import Network
from trainables.execution.stage_clock import StageClock
from trainables.execution.trial_setting import TrialSetting
from trainables.stages import (
    Adopt,
    Compress,
    Gradual,
    Penalty,
    ProjectBack,
    Recipe,
    Reinitialize,
    Rewind,
    Settle,
    Stage,
    Train,
)
from trainables.store.snapshot import Snapshot, address
from trainables.store.trajectory import Trajectory, removal_explained
from trainables.task.task import build_network
from trainables.training.learning_compression import aims
from trainables.training.optimizer import make
from trainables.training.validation_history import to_store

_kept = KeptNetworks()


@dataclass(frozen=True)
class Epoch:
    """After an epoch: the stages done with the present one, the epochs done of it, its metrics so far and its
    network.
    """

    stages: int
    done: int
    history: list[dict[str, float]]
    network: Network


class Run:
    """One seed's way through a recipe. `advance` until it returns None; then ``network`` is the result."""

    def __init__(self, setting: TrialSetting, recipe: Recipe, seed: int):
        self.setting, self.recipe, self.seed = setting, recipe, seed
        self.network: Network | None = None
        self.clock = StageClock()
        self._trained_now: list[Trajectory] = []
        self._known: dict[int, Network] = {}
        self._aims: tuple[int, dict[str, torch.Tensor]] | None = None
        self._epochs = self._after(len(recipe))

    def advance(self) -> Epoch | None:
        """Train one epoch, or find those in the store that were trained already; None when the recipe is
        done.
        """
        try:
            return None if self.network else next(self._epochs)
        except StopIteration as end:
            self.network = end.value
            return None

    def finish(self) -> Network:
        """Go through what is left of the recipe."""
        while self.advance():
            pass
        assert self.network is not None
        return self.network

    def up_to(self, count: int) -> Network:
        """Go through the first ``count`` stages at one go.

        Their network is kept for the stages after them: nothing is compressed twice.
        """
        if count not in self._known:
            self._known[count] = _result_of(self._after(count))
        return self._known[count]

    def pause(self) -> None:
        """Let others go on with what this run is training; the next `advance` goes on from the further of
        theirs and its own.
        """
        for trajectory in self._trained_now:
            trajectory.release()

    def close(self) -> None:
        """Stop here and let others go on with what this run was training."""
        self._epochs.close()

    def trains(self) -> list[tuple[int, Train]]:
        """Return the recipe's trainings and how many stages the recipe has up to each."""
        return [(count, stage) for count, stage in enumerate(self.recipe, 1) if isinstance(stage, Train)]

    def epochs_of(self, stage: Train) -> int:
        """Count the epochs of a training, the first and last perhaps cut short."""
        return len(self._epoch_ends(stage))

    def _after(self, count: int) -> Generator[Epoch, None, Network]:
        """Go through the first ``count`` stages; return the network after them."""
        if count in self._known:
            return self._known[count]
        told = sorted(self.setting.stored_names.values())  # what its history tells
        key = (
            str(self.setting.store),
            str(self.setting.device),
            address(self._network_identity(count)),
            *told,
        )
        if kept := _kept.get(key):
            return kept
        if count == 0:
            result = Network(build_network(self.setting.task, self.seed).to(self.setting.device))
        else:
            result = yield from self._stage(count, self.recipe[count - 1])
        result.module.eval()
        if result.artifact is None and (
            count == len(self.recipe) or isinstance(self.recipe[count], Compress)
        ):
            _kept.put(key, result)
        return result

    def _stage(self, count: int, stage: Stage) -> Generator[Epoch, None, Network]:
        if isinstance(stage, Train):
            return (yield from self._train(count, stage))
        if isinstance(stage, Settle):
            return (yield from self._settle(stage))
        if isinstance(stage, Adopt):
            source = Run(self.setting.elsewhere(stage.task, stage.training), stage.recipe, self.seed)
            source.clock = self.clock
            return compressing.adopted((yield from source._after(len(stage.recipe))), self.setting, self.seed)
        before = yield from self._after(count - 1)
        if isinstance(stage, Compress):
            with self.clock.timed("compressing"):
                return compressing.compress(before, stage, self.setting, self.seed)
        if isinstance(stage, ProjectBack):
            return compressing.projected_back(before)
        if isinstance(stage, Rewind):
            return compressing.with_weights_of(before, (yield from self._dense_at(stage.to)))
        if isinstance(stage, Reinitialize):
            return compressing.reinitialized(before, stage, self.setting, self.seed)
        with self.clock.timed("compressing"):
            return compressing.recalibrate(before, stage, self.setting, self.seed)

    def _settle(self, stage: Settle) -> Generator[Epoch, None, Network]:
        masks: list[pruners.Mask] = []
        watched = self.recipe[0]
        assert isinstance(watched, Train)
        for step in self._epoch_ends(watched):
            dense = yield from self._dense_at(step)
            # the method's own mask is watched: a control's is settled as soon as it is drawn
            with self.clock.timed("compressing"):
                watched_mask = compressing.compress(
                    dense, replace(stage.compress, control=None), self.setting, self.seed
                )
            masks.append(compressing.mask_of(watched_mask, "settling"))
            if pruners.settled(masks, stage.window, stage.tolerance):
                pruned = compressing.compress(dense, stage.compress, self.setting, self.seed)
                mask = compressing.mask_of(pruned, "settling")
                return replace(pruned, artifact=mask.with_masks(mask.masks, settled_at=step))
        raise TrainingError(
            f"the mask did not settle in {len(masks)} epochs: "
            f"it never stayed within {stage.tolerance} of the {stage.window} before it."
        )

    def _train(self, count: int, stage: Train) -> Generator[Epoch, None, Network]:
        trajectory, epochs = self.trajectory(count), len(self._epoch_ends(stage))
        if finished := trajectory.at(epochs):
            result = self._load(finished)
            yield Epoch(count, epochs, result.history, result)
            return result
        with self._training(trajectory):
            current, optimizer, history = yield from self._begin(trajectory, count, stage, epochs)
            yield Epoch(count, len(history), history, current)
            while len(history) < epochs:
                if (
                    trajectory.hold()
                    and (snapshot := trajectory.latest(epochs))
                    and snapshot.epoch > len(history)
                ):
                    current, optimizer, history = self._resume(snapshot, epochs)
                    yield Epoch(count, len(history), history, current)
                    continue
                current, metrics = self._epoch(trajectory, current, optimizer, count, stage, len(history))
                history = [*history, metrics]
                current, done = self._trained_further(current, history), len(history)
                if done == epochs or done % self.setting.checkpoint_every == 0:
                    goes_on = None if done == epochs and stage.stop == stage.horizon else optimizer
                    told = to_store(history, self.setting.stored_names)
                    trajectory.write(
                        done, told, partial(network.save_snapshot, current, goes_on), current.trained_with
                    )
                yield Epoch(count, done, history, current)
        return current

    def _dense_at(self, step: int) -> Generator[Epoch, None, Network]:
        """Return the dense network ``step`` steps into the recipe's first training; trained again up to there
        when nobody kept it.
        """
        stage = self.recipe[0]
        if not step or not isinstance(stage, Train):
            return (yield from self._after(0))
        trajectory = self.trajectory(1)
        if (kept := trajectory.kept(step)) is None:
            with self._training(trajectory):
                # somebody else may have kept it while this run waited
                if (kept := trajectory.kept(step)) is None:
                    yield from self._train_up_to(step, trajectory, stage)
                    kept = trajectory.kept(step)
        assert kept is not None
        return self._load(kept)

    def _train_up_to(self, step: int, trajectory: Trajectory, stage: Train) -> Generator[Epoch, None, None]:
        """Train the dense network until ``step`` is behind it; it is kept there, and its trajectory goes as
        far as it went.
        """
        before = [end for end in self._epoch_ends(stage) if end <= step]
        current, optimizer, history = yield from self._begin(
            trajectory, 1, stage, len(before) - 1 if step in before else len(before)
        )
        further = trajectory.latest(len(self._epoch_ends(stage)))
        while (self._epoch_ends(stage)[len(history) - 1] if history else 0) < step:
            if trajectory.hold() and trajectory.kept(step):
                return
            current, metrics = self._epoch(
                trajectory, current, optimizer, 1, stage, len(history), also_keep=step
            )
            history = [*history, metrics]
            current, done = self._trained_further(current, history), len(history)
            if further is None or further.epoch < done:
                told = to_store(history, self.setting.stored_names)
                trajectory.write(
                    done, told, partial(network.save_snapshot, current, optimizer), current.trained_with
                )
            yield Epoch(1, done, history, current)

    def _begin(
        self, trajectory: Trajectory, count: int, stage: Train, epochs: int
    ) -> Generator[Epoch, None, tuple[Network, torch.optim.Optimizer, list[dict[str, float]]]]:
        """Return the last snapshot within the first ``epochs`` epochs, or the network before stage ``count``
        with a fresh optimiser.
        """
        if snapshot := trajectory.latest(epochs):
            return self._resume(snapshot, len(self._epoch_ends(stage)))
        before = yield from self._after(count - 1)
        current = changing_masks.begun(
            replace(before, module=copied(before.module)), stage, self.setting, self.seed
        )
        return current, make(current.module, self.setting.training), []

    def _epoch_ends(self, stage: Train) -> list[int]:
        return epoch_ends(stage, self.setting.steps_per_epoch)

    @contextmanager
    def _training(self, trajectory: Trajectory) -> Iterator[None]:
        """Hold ``trajectory`` for the length of the block, `pause` apart."""
        with trajectory.held():
            self._trained_now.append(trajectory)
            try:
                yield
            finally:
                self._trained_now.remove(trajectory)

    def _resume(
        self, snapshot: Snapshot, epochs: int
    ) -> tuple[Network, torch.optim.Optimizer, list[dict[str, float]]]:
        """Load the network, its optimiser and the metrics so far, as ``snapshot`` has them."""
        current = self._load(snapshot)
        optimizer = make(current.module, self.setting.training)
        here = network.trained_by(current.module, self.setting.device)
        if snapshot.epoch < epochs and snapshot.trained_with and snapshot.trained_with[-1] != here:
            warnings.warn(
                f"the training in {snapshot.place.parent} goes on after epoch {snapshot.epoch} with {here}, "
                f"and began with {snapshot.trained_with[-1]}: its last bits are those of neither; "
                "result.json says so under trained_with.",
                StoreWarning,
                stacklevel=2,
            )
        if snapshot.epoch < epochs:  # a finished training may have left no optimiser
            optimizer.load_state_dict(
                torch.load(snapshot.folder / network.OPTIMIZER, map_location="cpu", weights_only=True)
            )
        return current, optimizer, current.history

    def _epoch(
        self,
        trajectory: Trajectory,
        current: Network,
        optimizer: torch.optim.Optimizer,
        count: int,
        stage: Train,
        done: int,
        also_keep: int = 0,
    ) -> tuple[Network, dict[str, float]]:
        """Train one more epoch in place; return the network, whose mask may have changed, and its metrics."""
        setting, ends = self.setting, self._epoch_ends(stage)
        first, last = ends[done - 1] if done else stage.start, ends[done]
        trajectory.log(first // setting.steps_per_epoch, last - first, setting.trainer)
        trained_with = self._trained_further(current, []).trained_with
        keep = {
            step: partial(trajectory.keep, step, trained_with=trained_with)
            for step in (setting.keep | {also_keep} if count == 1 else ())
        }
        beside = Beside(self._teacher(stage), self._drawn_to(count, stage))
        compressed = any(not isinstance(before, Train) for before in self.recipe[: count - 1])
        with self.clock.timed("retraining" if compressed else "training"):
            return trained_epoch(current, optimizer, stage, (first, last), setting, self.seed, keep, beside)

    def _teacher(self, stage: Train) -> Network | None:
        """Return the network that the recipe compressed first, where a training follows it."""
        if stage.distillation is None:
            return None
        first = next(
            count
            for count, one in enumerate(self.recipe)
            if isinstance(one, Compress)
            or (isinstance(one, Train) and (one.penalty or isinstance(one.changing, Gradual)))
        )
        return self.up_to(first)

    def _drawn_to(self, count: int, stage: Train) -> dict[str, torch.Tensor] | None:
        """Return what the training that is stage number ``count`` draws the weights to, where it does.

        It follows from the networks before this training and, with multipliers, those before it.
        """
        if stage.penalty is None:
            return None
        if self._aims is None or self._aims[0] != count:
            numbers = [count]
            while stage.penalty.multipliers and (number := numbers[0] - 1) and self._penalty_of(number):
                numbers.insert(0, number)
            steps = (
                (penalty, _result_of(self._after(number - 1)).module)
                for number in numbers
                if (penalty := self._penalty_of(number))
            )
            project = partial(compressing.projected_weights, setting=self.setting, seed=self.seed)
            self._aims = count, aims(steps, project)
        return self._aims[1]

    def _penalty_of(self, number: int) -> Penalty | None:
        stage = self.recipe[number - 1]
        return stage.penalty if isinstance(stage, Train) else None

    def _load(self, snapshot: Snapshot) -> Network:
        with removal_explained(snapshot.folder):
            loaded = network.load(snapshot.folder, self.setting.task, self.setting.device)
        history = self.setting.read_back(loaded.module, snapshot.history)
        return replace(loaded, history=history, trained_with=snapshot.trained_with)

    def _trained_further(self, current: Network, history: list[dict[str, float]]) -> Network:
        """Return the network after another epoch in this process."""
        here = network.trained_by(current.module, self.setting.device)
        return replace(current, history=history, trained_with=network.in_order(*current.trained_with, here))

    def trajectory(self, count: int) -> Trajectory:
        """Return where the training that is stage number ``count`` is kept; how far it goes is no part of its
        address.
        """
        stage = stage_identity(self.recipe[count - 1], self.setting.processes)
        del stage["stop"]
        before = self._network_identity(count - 1)
        return Trajectory(
            self.setting.store,
            {
                "before": before,
                "seed": self.seed,
                "training": self._training_identity(),
                **stage,
                **self._timed_on([self.recipe[count - 1]]),
            },
        )

    def _timed_on(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """Describe where budgets in time are measured, if there are any."""
        return {"timed_on": self.setting.timed_on} if any(map(is_in_time, stages)) else {}

    def _network_identity(self, count: int) -> dict[str, Any]:
        """Describe all that determines the network after the first ``count`` stages; a checkpoint is the same
        for every seed.
        """
        seed = None if self.setting.task.checkpoint and not count else self.seed
        stages = [stage_identity(stage, self.setting.processes) for stage in self.recipe[:count]]
        trained = any(isinstance(stage, Train | Settle) for stage in self.recipe[:count])
        training = self._training_identity() if trained else None
        identity = {"task": self.setting.task_identity, "seed": seed, "stages": stages, "training": training}
        return identity | self._timed_on(self.recipe[:count])

    def _training_identity(self) -> dict[str, Any]:
        return training_identity(self.setting.training, self.setting.processes)


def _result_of(epochs: Generator[Epoch, None, Network]) -> Network:
    while True:
        try:
            next(epochs)
        except StopIteration as end:
            network: Network = end.value
            return network
