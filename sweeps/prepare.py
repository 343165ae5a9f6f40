"""Holds a sweep against its network: the layers there are, what a configuration will cost, and whether the budget can be met at all."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from torch import Tensor, nn

import pruners
import trainables
from pruners import LayerShape
from sweeps import per_layer, samplers
from sweeps.errors import INFEASIBLE, USAGE, SweepError
from sweeps.paths import StudyPaths
from sweeps.sweep import Sweep, TrialSections
from trainables.config import BudgetConfig, TaskConfig, TrialConfig


@dataclass(frozen=True)
class Prepared:
    """A sweep whose network has been seen. ``space`` is all that is searched; ``baselines`` the methods run for comparison."""

    sweep: Sweep
    space: Mapping[str, BaseDistribution]
    shapes: Mapping[str, LayerShape]
    baselines: tuple[str, ...]

    @property
    def metric_names(self) -> list[str]:
        """The objectives' metrics, in order."""
        return [m.name for m in self.sweep.file.objectives]

    @property
    def first_metric(self) -> str:
        """The metric that early stopping and intermediate values are about."""
        return self.metric_names[0]

    @property
    def on_a_grid(self) -> bool:
        """Whether the sampler walks through a finite grid."""
        return self.sweep.file.method == "grid"

    @cached_property
    def target(self) -> int:
        """How many trials the study wants: ``run_cap``, or all points of a smaller grid."""
        cap = self.sweep.file.run_cap
        if not self.on_a_grid:
            return cap
        points = 1
        for name, distribution in self.space.items():
            points *= len(samplers.grid_values(name, distribution))
        return min(cap, points)

    @property
    def first_trial(self) -> dict[str, Any] | None:
        """Parameters of the method's own answer, where the space holds it."""
        return per_layer.first_trial(self.sweep.file.per_layer, self.space) if self.sweep.file.per_layer else None

    def sections(self, params: Mapping[str, Any]) -> TrialSections:
        """A trial's sections with its parameters, those of layers included, put in."""
        shared = {name: value for name, value in params.items() if not per_layer.is_per_layer(name)}
        sections = self.sweep.sections(shared)
        compression = dataclasses.replace(
            sections.compression,
            tolerance={**sections.compression.tolerance, **per_layer.tolerances(params)},
            layers={**sections.compression.layers, **per_layer.layers(params, self.shapes)},
        )
        return dataclasses.replace(sections, compression=compression)

    def trial_config(self, key: str, params: Mapping[str, Any], paths: StudyPaths) -> TrialConfig:
        """What a worker is told for one draw of the parameters."""
        return self._config(key, self.sections(params), paths)

    def baseline_config(self, method: str, paths: StudyPaths) -> TrialConfig:
        """What a worker is told for a baseline: the sweep's own settings, with nothing searched."""
        sections = self.sweep.sections({})
        own = method == sections.compression.method
        compression = dataclasses.replace(sections.compression, method=method, options=sections.compression.options if own else {})
        return self._config(f"baseline-{method}", dataclasses.replace(sections, compression=compression), paths)

    def violation(self, params: Mapping[str, Any]) -> float | None:
        """By which share of the budget a draw misses it, from shapes alone; None where the allocator always meets it."""
        searched = any(name.split(".")[0] in ("task", "budget") or name.endswith(per_layer.RANK) for name in params)
        return miss(self.sections(params)) if searched else None

    def _config(self, key: str, sections: TrialSections, paths: StudyPaths) -> TrialConfig:
        file = self.sweep.file
        return TrialConfig(
            key=key,
            task=sections.task,
            training=sections.training,
            compression=sections.compression,
            budget=sections.budget,
            directory=str(paths.trial(key).resolve()),
            store=str(Path(file.storage.store).resolve() if file.storage.store else paths.store.resolve()),
            seeds=tuple(range(file.seed, file.seed + file.replicates)),
            device="auto" if file.resources.gpus else "cpu",
            threads=file.resources.cpus,
        )


def prepare(sweep: Sweep) -> Prepared:
    """Builds the sweep's network and checks all that can be checked without training.

    Raises `SweepError`: exit code 2 for a wrong network, data, method, option or layer name, 3 for a budget that nothing can meet.
    """
    where = sweep.source.where
    first = {name: _first(d) for name, d in sweep.space.distributions.items()}
    try:
        network, example = _network(sweep.sections(first).task)
    except trainables.TaskError as error:
        raise SweepError(f"{where(['task'])}: {error}") from error
    shapes = pruners.compressible(network)
    space = dict(sweep.space.distributions)
    if sweep.file.per_layer:
        if any(name.startswith("task.") for name in space):
            raise SweepError(f"{where(['per_layer'])}: per_layer needs one fixed network; leave task out of the parameters.")
        try:
            space.update(per_layer.distributions(sweep.file.per_layer, shapes))
        except ValueError as error:
            raise SweepError(f"{where(['per_layer', 'layers'])}: per_layer.layers: {error}.") from error
    prepared = Prepared(sweep, space, shapes, _baselines(sweep))
    _check_compression(prepared, network, example)
    return prepared


def miss(sections: TrialSections) -> float:
    """By which share of its budget a configuration is over it at the least; 0 or below where it can be met."""
    raise_
