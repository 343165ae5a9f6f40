"""The one executor of recipes: an epoch at a time, and nothing that the store already holds."""

import copy
import io
import math
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trainables import compressing, loss, network
from trainables.errors import TrainingError
from trainables.network import Network
from trainables.optimizer import make
from trainables.setting import Setting
from trainables.stages import Compress, Recipe, Stage, Train, identity
from trainables.store import Snapshot, Trajectory, address
from trainables.task import build_network
from trainables.training import train_epoch

_OPTIMIZER = "optimizer.pt"
_KEEP = 16
_kept: OrderedDict[tuple[str, ...], Network] = OrderedDict()  # dense networks, with the spectra that pruners keeps for each


@dataclass(frozen=True)
class Epoch:
    """After an epoch: the stages done with the present one, the epochs done of it, its metrics so far and its network."""

    stages: int
    done: int
    history: list[dict[str, float]]
    network: Network


class Run:
    """One seed's way through a recipe. `advance` until it returns None; then ``network`` is the result."""

    def __init__(self, setting: Setting, recipe: Recipe, seed: int):
        self.setting, self.recipe, self.seed = setting, recipe, seed
        self.network: Network | None = None
        self._trained_now: list[Trajectory] = []
        self._epochs = self._after(len(recipe))

    def advance(self) -> Epoch | None:
        """Train one epoch, or find those in the store that were trained already; None when the recipe is done."""
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

    def pause(self) -> None:
        """Let others go on with what this run is training; the next `advance` goes on from the further of theirs and its own."""
        for trajectory in self._trained_now:
            trajectory.release()

    def close(self) -> None:
        """Stop here and let others go on with what this run was training."""
        self._epochs.close()

    def trained(self) -> int:
        """How many epochs the setting's trainer trained for this recipe, over all its attempts."""
        trains = [count for count, stage in enumerate(self.recipe, 1) if isinstance(stage, Train)]
        return sum(self._trajectory(count).trained_by(self.setting.trainer) for count in trains)

    def _after(self, count: int) -> Generator[Epoch, None, Network]:
        """The network after the first ``count`` stages."""
        key = (str(self.setting.store), str(self.setting.device), address(self._identity(count)))
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
        if count == 0:
            result = Network(build_network(self.setting.task, self.seed).to(self.setting.device))
        else:
            result = yield from self._stage(count, self.recipe[count - 1])
        result.module.eval()
        if result.artifact is None and (count == len(self.recipe) or isinstance(self.recipe[count], Compress)):
            _kept[key] = result
            while len(_kept) > _KEEP:
                _kept.popitem(last=False)
        return result

    def _stage(self, count: int, stage: Stage) -> Generator[Epoch, None, Network]:
        if isinstance(stage, Train):
            return (yield from self._train(count, stage))
        before = yield from self._after(count - 1)
        if isinstance(stage, Compress):
            return compressing.compress(before, stage, self.setting, self.seed)
        return compressing.recalibrate(before, stage, self.setting, self.seed)

    def _train(self, count: int, stage: Train) -> Generator[Epoch, None, Network]:
        trajectory, epochs = self._trajectory(count), stage.stop - stage.start
        if finished := trajectory.at(epochs):
            result = self._load(finished)
            yield Epoch(count, epochs, finished.history, result)
            return result
        with self._training(trajectory):
            if snapshot := trajectory.latest(epochs):
                current, optimizer, history = self._resume(snapshot, epochs)
            else:
                current, history = copy.deepcopy((yield from self._after(count - 1))), []
                optimizer = make(current.module, self.setting.training)
            yield Epoch(count, len(history), history, current)
            while len(history) < epochs:
                if trajectory.hold() and (snapshot := trajectory.latest(epochs)) and snapshot.epoch > len(history):
                    current, optimizer, history = self._resume(snapshot, epochs)
                    yield Epoch(count, len(history), history, current)
                    continue
                trajectory.record(stage.start + len(history), self.setting.trainer)
                history = [*history, self._epoch(current, optimizer, stage, len(history))]
                current, done = replace(current, metrics=history[-1]), len(history)
                if done == epochs or done % self.setting.checkpoint_every == 0:
                    goes_on = None if done == epochs and stage.stop == stage.horizon else optimizer
                    trajectory.write(done, history, partial(_save, current, goes_on))
                yield Epoch(count, done, history, current)
        return current

    @contextmanager
    def _training(self, trajectory: Trajectory) -> Iterator[None]:
        """Hold ``trajectory`` for the length of the block, `pause` apart."""
        with trajectory.held():
            self._trained_now.append(trajectory)
            try:
                yield
            finally:
                self._trained_now.remove(trajectory)

    def _resume(self, snapshot: Snapshot, epochs: int) -> tuple[Network, torch.optim.Optimizer, list[dict[str, float]]]:
        """The network, its optimiser and the metrics so far, as ``snapshot`` has them."""
        current = self._load(snapshot)
        optimizer = make(current.module, self.setting.training)
        if snapshot.epoch < epochs:  # a finished training may have left no optimiser
            optimizer.load_state_dict(torch.load(snapshot.folder / _OPTIMIZER, map_location="cpu", weights_only=True))
        return current, optimizer, snapshot.history

    def _epoch(self, current: Network, optimizer: torch.optim.Optimizer, stage: Train, done: int) -> dict[str, float]:
        """Train one more epoch in place; its training loss and validation metrics."""
        setting, epoch = self.setting, stage.start + done
        criterion = loss.resolve(setting.task.loss, setting.training.label_smoothing)
        train_loss = train_epoch(
            current.module, optimizer, setting.data.train, criterion, setting.training, self.seed, epoch, stage.horizon, setting.device
        )
        metrics = {"train/loss": train_loss, **setting.evaluate(current.module, setting.data.validation, "val")}
        if not math.isfinite(metrics["val/loss"]):
            raise TrainingError(f"the validation loss became {metrics['val/loss']} after epoch {epoch}; a smaller learning rate may help.")
        return metrics

    def _load(self, snapshot: Snapshot) -> Network:
        return network.load(snapshot.folder, self.setting.task, self.setting.device, snapshot.history[-1])

    def _trajectory(self, count: int) -> Trajectory:
        """Where the training that is stage number ``count`` is kept; how far it goes is no part of its address."""
        stage, before = identity(self.recipe[count - 1]), self._identity(count - 1)
        del stage["stop"]
        return Trajectory(self.setting.store, {"before": before, "seed": self.seed, "training": asdict(self.setting.training), **stage})

    def _identity(self, count: int) -> dict[str, Any]:
        """All that determines the network after the first ``count`` stages; a checkpoint is the same for every seed."""
        seed = None if self.setting.task.checkpoint and not count else self.seed
        stages = [identity(stage) for stage in self.recipe[:count]]
        training = asdict(self.setting.training) if any(isinstance(stage, Train) for stage in self.recipe[:count]) else None
        return {"task": self.setting.identity, "seed": seed, "stages": stages, "training": training}


def _save(current: Network, optimizer: torch.optim.Optimizer | None, folder: Path) -> None:
    """The files of a snapshot; without ``optimizer`` training cannot go on from it."""
    network.save(current, folder)
    if optimizer is not None:
        content = io.BytesIO()  # torch's own writing to a file hides why it failed
        torch.save(optimizer.state_dict(), content)
        (folder / _OPTIMIZER).write_bytes(content.getbuffer())
