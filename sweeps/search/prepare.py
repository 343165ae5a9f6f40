"""Holds a sweep against its network: the layers there are, what a configuration will cost, and whether the budget can be met at all."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from torch import Tensor, nn

import pruners
import trainables
from pruners import LayerShape, PrunerError
from pruners.errors import nearest
from sweeps.errors import INFEASIBLE, SweepError
from sweeps.search import per_layer, samplers, soundness
from sweeps.search import space as spaces
from sweeps.spec.sweep import Sweep, TrialSections
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE
from trainables import loss
from trainables.config import BudgetConfig, TaskConfig, TrialConfig
from trainables.config import LayerShape as LayerPin


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
    def retrain_epochs(self) -> int:
        """The most retraining epochs that a trial may have."""
        space = self.space.get("compression.retrain_epochs")
        fixed = self.sweep.file.compression.get("retrain_epochs", self.sweep.space.constants.get("compression.retrain_epochs", 0))
        return int(max(spaces.extremes(space))) if space else int(fixed)

    @property
    def first_trial(self) -> dict[str, Any] | None:
        """Parameters of the method's own answer, where the space holds it."""
        return per_layer.first_trial(self.sweep.file.per_layer, self.space) if self.sweep.file.per_layer else None

    def is_reference(self, key: str) -> bool:
        """Whether a trial is there to be compared with: a baseline, or the method's own answer. It always runs to its end."""
        return key.startswith(BASELINE) or (self.first_trial is not None and key == "0")

    def sections(self, params: Mapping[str, Any]) -> TrialSections:
        """A trial's sections with its parameters, those of layers included, put in."""
        shared = {name: value for name, value in params.items() if not per_layer.is_per_layer(name)}
        sections = self.sweep.sections(shared)
        compression = dataclasses.replace(
            sections.compression,
            tolerance={**sections.compression.tolerance, **per_layer.tolerances(params)},
            layers={**sections.compression.layers, **_pins(params, self.shapes)},
        )
        return dataclasses.replace(sections, compression=compression)

    def trial_config(self, key: str, params: Mapping[str, Any], paths: StudyPaths) -> TrialConfig:
        """What a worker is told for one draw of the parameters."""
        return self._config(key, self.sections(params), paths)

    def baseline_config(self, method: str, paths: StudyPaths) -> TrialConfig:
        """What a worker is told for a baseline: the sweep's own settings, with nothing searched."""
        return self._config(BASELINE + method, _baseline_sections(self.sweep, method), paths)

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
            trainable=file.trainable,
            seeds=tuple(range(file.seed, file.seed + file.replicates)),
            device="auto" if file.resources.gpus else "cpu",
            threads=file.resources.cpus,
        )


def _pins(params: Mapping[str, Any], shapes: Mapping[str, LayerShape]) -> dict[str, LayerPin]:
    return {name: LayerPin(**pin) for name, pin in per_layer.layers(params, shapes).items()}


def prepare(sweep: Sweep) -> Prepared:
    """Builds the sweep's network and checks all that can be checked without training.

    Raises `SweepError`: exit code 2 for a wrong network, data, method, option or layer name, 3 for a budget that nothing can meet.
    """
    where = sweep.source.where
    first = {name: spaces.extremes(d)[0] for name, d in sweep.space.distributions.items()}
    sections = sweep.sections(first)
    try:
        network, _ = _seen(sections.task)
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
            raise SweepError(f"{where(['per_layer', 'layers'])}: per_layer.layers: {error}") from error
    prepared = Prepared(sweep, space, shapes, _baselines(sweep))
    soundness.check(sweep.file, where, space, prepared.retrain_epochs)
    _check(prepared, first)
    return prepared


def _baselines(sweep: Sweep) -> tuple[str, ...]:
    """The baselines asked for; the method itself is one where the search cannot express the method's own answer."""
    chosen = list(sweep.file.baselines)
    own = sweep.file.compression.get("method")
    if sweep.file.per_layer and not sweep.file.per_layer.tolerance and own not in chosen:
        chosen.insert(0, str(own))
    for index, name in enumerate(sweep.file.baselines):
        if name not in pruners.methods():
            place = sweep.source.where(["baselines", index])
            raise SweepError(f'{place}: baselines: "{name}" is no method{nearest(name, pruners.methods())}')
    if chosen:
        searched = [name for name in sweep.space.distributions if name.split(".")[0] in ("task", "budget")]
        if searched:
            raise SweepError(
                f"{sweep.source.where(['baselines'])}: a baseline needs one network and one budget, "
                f"and {searched[0]} is searched; leave one out."
            )
    return tuple(chosen)


def _check(prepared: Prepared, first: Mapping[str, Any]) -> None:
    """The method, its options and the budget, held against the network; with a searched budget its most generous end must do."""
    sweep, draws = prepared.sweep, [dict(first)]
    for name, distribution in sweep.space.distributions.items():
        draws += [{**first, name: value} for value in spaces.extremes(distribution)[1:]]
    least: SweepError | None = None
    met = False
    for sections in [sweep.sections(draw) for draw in draws] + [_baseline_sections(sweep, m) for m in prepared.baselines]:
        try:
            loss.resolve(sections.task.loss, sections.training.label_smoothing)
            over = miss(sections)
        except trainables.TaskError as error:
            raise SweepError(f"{sweep.source.where(['task'])}: {error}") from error
        except PrunerError as error:
            raise SweepError(f"{sweep.source.where(['compression'])}: compression: {error}") from error
        met = met or over <= 0
        least = least or (_out_of_reach(sweep, sections, over) if over > 0 else None)
    if least and not met:
        raise least


def _out_of_reach(sweep: Sweep, sections: TrialSections, over: float) -> SweepError:
    kind, asked = _asked(sections.budget)
    least = asked * (1 + over)
    shown = f"{least:.0f}" if kind == "parameters" else f"{least:.4g}"
    return SweepError(
        f"{sweep.source.where(['budget'])}: no choice of layers meets budget.{kind} {asked:g}; the least possible is {shown}.", INFEASIBLE
    )


def miss(sections: TrialSections) -> float:
    """By which share of its budget a configuration is over it at the least; 0 or below where it can be met."""
    network, example = _seen(sections.task)
    compression = sections.compression
    options = dict(compression.options)
    if compression.tolerance:
        options["tolerance"] = compression.tolerance
    if compression.layers:
        options["layers"] = {name: dataclasses.asdict(shape) for name, shape in compression.layers.items()}
    kind, asked = _asked(sections.budget)
    keyword = "budget" if kind == "parameters" else kind
    return pruners.least_budget(network, keyword, method=compression.method, example=example, **options) / asked - 1


def _asked(budget: BudgetConfig) -> tuple[str, float]:
    return next((kind, value) for kind, value in dataclasses.asdict(budget).items() if value is not None)


def _baseline_sections(sweep: Sweep, method: str) -> TrialSections:
    sections = sweep.sections({name: spaces.extremes(d)[0] for name, d in sweep.space.distributions.items()})
    if method == sections.compression.method:
        return sections
    compression = dataclasses.replace(sections.compression, method=method, options={}, tolerance={}, layers={})
    return dataclasses.replace(sections, compression=compression)


def _seen(task: TaskConfig) -> tuple[nn.Module, Tensor]:
    """The task's network and one input, built once for each task."""
    return _build(json.dumps(dataclasses.asdict(task), sort_keys=True))


@lru_cache(maxsize=8)
def _build(task: str) -> tuple[nn.Module, Tensor]:
    config = TaskConfig(**json.loads(task))
    return trainables.build_network(config), trainables.example_input(config)
