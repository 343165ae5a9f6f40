"""One seed of a trial: its dense network, its compressed one, and the metrics of both."""

from weakref import WeakKeyDictionary

from torch import nn

import pruners
from trainables.network import Network
from trainables.run import Run
from trainables.setting import Setting
from trainables.stages import Recipe, Train

_dense: WeakKeyDictionary[nn.Module, dict[str, float]] = WeakKeyDictionary()  # measured once per process, however many trials ask


class Replicate:
    """A recipe's run for one seed, stopped after every epoch of the recipe's closing `Train`, where it has one.

    Nobody waits for a replicate that is not inside one of its methods: a stopped trial may be kept without ever being told.
    ``done`` counts those epochs; ``dense`` holds val/accuracy, val/loss, params, multiply_adds and latency_ms of the uncompressed network,
    ``layers`` what became of each compressed layer, ``compressed`` the metrics that retraining does not change.
    """

    def __init__(self, setting: Setting, dense: Recipe, recipe: Recipe, seed: int):
        self.setting, self.seed, self.done = setting, seed, 0
        self.run = Run(setting, recipe, seed)
        self._dense_recipe = dense
        self._history: list[dict[str, float]] = []
        self._not_retrained: dict[str, float] = {}
        self.dense: dict[str, float] = {}
        self.layers: dict[str, dict[str, float]] = {}
        self.compressed: dict[str, float] = {}

    def start(self) -> None:
        """Everything before the closing `Train`, or what the store has beyond it."""
        dense = Run(self.setting, self._dense_recipe, self.seed).finish()
        self.dense = self._measured(dense)
        compressed = self._to_closing_train()
        self.run.pause()
        artifact, cost = compressed.artifact, pruners.cost(compressed.module, self.setting.example())
        assert isinstance(artifact, pruners.Decomposition)
        shapes = pruners.compressible(dense.module)
        self.layers = {
            name: {
                "rank": layer.rank,
                "num_subspaces": layer.num_subspaces,
                "error": layer.error,
                "params": layer.params,
                "dense_params": shapes[name].params,
            }
            for name, layer in artifact.layers.items()
        }
        self.compressed = {
            "dense/val/accuracy": self.dense["val/accuracy"],
            "compress/params": cost.params,
            "compress/params_kept": cost.params / self.dense["params"],
            "compress/multiply_adds": cost.multiply_adds,
            "compress/flops_kept": cost.multiply_adds / self.dense["multiply_adds"],
            "compress/latency_ms": cost.latency_ms,
            "compress/error": artifact.error,
            **{f"compress/layer/{name}/{key}": layer[key] for name, layer in self.layers.items() for key in ("rank", "num_subspaces")},
        }

    def reach(self, epoch: int) -> None:
        """Retrain until ``epoch`` epochs of it are done."""
        while self.done < epoch:
            self._advance()
        self.run.pause()

    def finish(self) -> Network:
        """The recipe's result."""
        return self.run.finish()

    def close(self) -> None:
        """Let others go on with what this replicate was training."""
        self.run.close()

    def steps(self, epoch: int) -> int:
        """Optimiser steps of the recipe until retraining epoch ``epoch``."""
        trains = [stage for stage in self.run.recipe if isinstance(stage, Train)]
        earlier = trains[:-1] if self._retrains else trains
        return (sum(stage.stop - stage.start for stage in earlier) + epoch) * self.setting.steps_per_epoch

    def at(self, epoch: int) -> dict[str, float]:
        """Training and validation metrics after retraining epoch ``epoch``; 0 stands for the result of a recipe without retraining."""
        return self._history[epoch - 1] if epoch else self._not_retrained

    @property
    def _retrains(self) -> bool:
        return isinstance(self.run.recipe[-1], Train)

    def _to_closing_train(self) -> Network:
        if self._retrains:
            while (network := self._advance()) is None:
                pass
            return network
        network = self.run.finish()
        self._not_retrained = self.setting.evaluate(network.module, self.setting.data.validation, "val")
        return network

    def _advance(self) -> Network | None:
        """One epoch further; the network when it belongs to the closing `Train`."""
        epoch = self.run.advance()
        if epoch is None or epoch.stages < len(self.run.recipe):
            return None
        self.done, self._history = epoch.done, epoch.history
        return epoch.network

    def _measured(self, dense: Network) -> dict[str, float]:
        if dense.module not in _dense:
            metrics = dense.metrics or self.setting.evaluate(dense.module, self.setting.data.validation, "val")
            cost = pruners.cost(dense.module, self.setting.example())
            figures = {name: metrics[name] for name in ("val/accuracy", "val/loss")}
            _dense[dense.module] = {**figures, "params": cost.params, "multiply_adds": cost.multiply_adds, "latency_ms": cost.latency_ms}
        return _dense[dense.module]
