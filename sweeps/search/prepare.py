"""A sweep held against its network: the layers, what a trial costs, whether the budget can be met."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from torch import nn

import pruners
from pruners import LayerShape
from sweeps.errors import INFEASIBLE, Incompatible, SweepError
from sweeps.search import baselines, enqueue, feasibility, per_layer, samplers, search_settings
from sweeps.search.baselines import HOW_MUCH
from sweeps.search.feasibility import network_and_input
from sweeps.search.search_settings import Reports, reports_of
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE
from sweeps.study.selection.limits import Limit, limits_of
from sweeps.sweep_file import compatible_draws
from sweeps.sweep_file.compatibility import SCALE
from sweeps.sweep_file.keys import Baseline, PerLayer
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.space import Space, setting
from sweeps.sweep_file.sweep import METHOD, Sweep
from trainables.config import LayerPin, TrialConfig
from trainables.metric_names import on_validation
from trainables.places.place import Place, place_of
from trainables.recipes import RECIPES
from trainables.task.metrics import metrics_of
from trainables.users_code.methods import method_named

_COUNTED = ("training.epochs", "training.batch_size")
"""What of a training other settings are held against."""


@dataclass(frozen=True)
class Prepared:
    """A sweep whose network has been seen.

    ``space`` is all that is searched; ``baselines`` the methods run for comparison; ``first_draw`` a draw
    that goes together, per_layer's parameters apart; ``enqueued`` the configurations to try first, as the
    study holds them.
    """

    sweep: Sweep
    space: Space
    shapes: Mapping[str, LayerShape]
    baselines: tuple[Baseline, ...]
    first_draw: Mapping[str, Any]
    enqueued: tuple[dict[str, Any], ...]

    @property
    def metric_names(self) -> list[str]:
        """Return the names of the objectives' metrics, in order."""
        return [m.name for m in self.sweep.file.objectives]

    @property
    def first_metric(self) -> str:
        """Return the metric that early stopping and intermediate values are about."""
        return self.metric_names[0]

    @property
    def on_a_grid(self) -> bool:
        """Tell whether the sampler walks through a finite grid."""
        return self.sweep.file.method == "grid"

    @cached_property
    def sampler(self) -> Callable[[int], BaseSampler]:
        """Return what makes the sampler that draws the n-th trial."""
        file, options = self.sweep.file, dict(self.sweep.file.sampler_options)
        if self.space.conditions and options.get("multivariate"):
            # Else TPE leaves what stands under a value out of its joint distributions.
            options.setdefault("group", True)
        return partial(samplers.build, file.method, options, self.space.distributions, file.seed)

    @cached_property
    def target(self) -> int:
        """Return how many trials the study wants: ``run_cap``, or all points of a smaller grid."""
        cap = self.sweep.file.run_cap
        if not self.on_a_grid:
            return cap
        points = 1
        for name, distribution in self.space.distributions.items():
            points *= len(samplers.grid_values(name, distribution))
        return min(cap, points)

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Return the constraints that a network must keep to be taken."""
        task = self.sweep.sections(self.first_draw).task
        goals = {on_validation(metric.name): metric.goal for metric in metrics_of(task)}
        return limits_of(self.sweep.file.constraints, goals)

    @cached_property
    def reports(self) -> Reports:
        """Return what a trial reports and how often."""
        return reports_of(self.sweep)

    @property
    def first_trial(self) -> dict[str, Any] | None:
        """Return the parameters of the method's own answer, where the space holds it."""
        return (
            per_layer.first_trial(self.sweep.file.per_layer, self.space.distributions)
            if self.sweep.file.per_layer
            else None
        )

    def is_reference(self, key: str) -> bool:
        """Tell whether a trial is there to be compared with: a baseline, or the method's own answer.

        It always runs to its end.
        """
        return key.startswith(BASELINE) or (self.first_trial is not None and key == "0")

    def sections(self, params: Mapping[str, Any]) -> TrialSections:
        """Return a trial's sections with its parameters, those of layers included, put in."""
        shared = {name: value for name, value in params.items() if not per_layer.is_per_layer(name)}
        sections = self.sweep.sections(shared)
        given, options = sections.compression, sections.compression.options
        if scales := per_layer.scales(params):
            options = {**options, SCALE: {**options.get(SCALE, {}), **scales}}
        compression = dataclasses.replace(
            given,
            options=options,
            tolerance={**given.tolerance, **per_layer.tolerances(params)},
            layers={**given.layers, **_pins(params, self.shapes)},
        )
        return dataclasses.replace(sections, compression=compression)

    def trial_config(self, key: str, params: Mapping[str, Any], paths: StudyPaths) -> TrialConfig:
        """Return the configuration of a trial, or of a baseline by its key: what a worker is told.

        A trial has one draw of the parameters; of a baseline nothing is searched.
        """
        if not key.startswith(BASELINE):
            return self._config(key, self.sections(params), paths)
        [baseline] = [b for b in self.baselines if BASELINE + b.name == key]
        return self._config(key, self.baseline_sections(baseline), paths)

    def baseline_sections(self, baseline: Baseline) -> TrialSections:
        """Return a baseline's sections: the sweep's own, with its method and options."""
        return baselines.baseline_sections(self.sweep, baseline, self.first_draw)

    @property
    def own_baseline(self) -> str | None:
        """Return the key of the baseline that is the sweep's method with the sweep's options, if any is."""
        method = self.sweep.sections(self.first_draw).compression.method
        return next((BASELINE + b.name for b in self.baselines if b.method == method and not b.options), None)

    def violation(self, params: Mapping[str, Any]) -> float | None:
        """Return by which share of its budget a draw misses it, from shapes alone.

        None where the allocator always meets it. Raises `Incompatible` for values that do not go together.
        """
        sections = self.sections(params)
        names = {
            setting(name) for name in (*params, *(self.space.constants.keys() & self.space.conditions.keys()))
        }
        if all(
            (name.startswith("training.") and name not in _COUNTED) or name.endswith(per_layer.ON_BUDGET)
            for name in names
        ):
            return None
        gap = feasibility.check_one(self.sweep, sections)
        searched = any(
            name.split(".")[0] in ("task", *HOW_MUCH) or name.endswith(per_layer.RANK) for name in names
        )
        return gap.over if searched else None

    def store(self, paths: StudyPaths) -> Place:
        """Return the store of trajectories: the folder that the sweep names, or the study's own."""
        return place_of(self.sweep.file.storage.store or paths.store).resolve()

    def _config(self, key: str, sections: TrialSections, paths: StudyPaths) -> TrialConfig:
        file = self.sweep.file
        config = TrialConfig(
            key=key,
            task=sections.task,
            training=sections.training,
            compression=sections.compression,
            budget=sections.budget,
            directory=str(paths.trial(key).resolve()),
            store=str(self.store(paths)),
            trainable=file.trainable,
            seeds=tuple(range(file.seed, file.seed + file.replicates)),
            device="auto" if file.resources.gpus else "cpu",
            threads=file.resources.cpus,
            num_workers=file.resources.num_workers,
            processes=file.resources.processes,
            lottery=sections.lottery,
            gradual=sections.gradual,
            dynamic_sparse=sections.dynamic_sparse,
            learning_compression=sections.learning_compression,
            dense_reference=self.has_one_dense_network,
        )
        if file.screen:
            config = dataclasses.replace(config, divergence_images=file.screen.images)
        # where any trial may rewind to: whichever trains the dense network keeps it there for all
        searched = {key: self.sweep.values_of(key) for key in map(setting, self.sweep.space.distributions)}
        return dataclasses.replace(config, keep_at=RECIPES[file.trainable].keep_at(config, searched))

    @property
    def has_one_dense_network(self) -> bool:
        """Tell whether the trials share a dense network, or their recipe needs one.

        Where not, every trial would train one of its own for the comparison alone.
        """
        searched = any(name.startswith(("task.", "training.")) for name in self.space.distributions)
        return RECIPES[self.sweep.file.trainable].trains_dense or not searched


def _pins(params: Mapping[str, Any], shapes: Mapping[str, LayerShape]) -> dict[str, LayerPin]:
    return {name: LayerPin(**pin) for name, pin in per_layer.layers(params, shapes).items()}


def prepare(sweep: Sweep) -> Prepared:
    """Build the sweep's network and check all that can be checked without training.

    Raises `SweepError`: exit code 2 for a wrong network, data, method, option or layer name, 3 for a budget
    that nothing can meet.
    """
    where = sweep.source.where
    agree = partial(_agrees, sweep)
    first = compatible_draws.first_draw(sweep.space, agree)
    compatible_draws.check_choices(sweep.space, first, agree)
    network, _ = network_and_input(sweep.sections(first).task)
    shapes = pruners.compressible(network)
    space = sweep.space
    if sweep.file.per_layer:
        if any(name.startswith("task.") for name in space.distributions):
            raise SweepError(
                f"{where(['per_layer'])}: per_layer needs one fixed network; "
                "leave task out of the parameters."
            )
        try:
            space = space.with_more(_of_layers(sweep, sweep.file.per_layer, network, shapes))
        except ValueError as error:
            raise SweepError(f"{where(['per_layer', 'layers'])}: per_layer.layers: {error}") from error
    asked = baselines.baselines_of(sweep, first)
    prepared = Prepared(sweep, space, shapes, asked, first, enqueue.configurations(sweep, space))
    _check_dense(prepared)
    search_settings.check(sweep.file, where, prepared.sampler, space, prepared.reports)
    if sweep.file.per_layer and sweep.file.per_layer.scale:
        _check_scaled(prepared)
    _check_enqueued(prepared)
    compared = [baselines.checked_sections(sweep, baseline, first) for baseline in prepared.baselines]
    feasibility.check(sweep, [*sweep.for_all, *compared])
    return prepared


def _of_layers(
    sweep: Sweep, given: PerLayer, network: nn.Module, shapes: Mapping[str, LayerShape]
) -> dict[str, BaseDistribution]:
    """Return the distributions of the layers' parameters. Raises ValueError for a pattern of no layer."""
    if given.scale is None:
        return per_layer.distributions(given, shapes)
    kinds = {method_named(method).kind for method in sweep.values_of(METHOD)}
    layers = pruners.prunable(network) if "mask" in kinds else shapes
    return per_layer.scale_distributions(given, given.scale, layers, sweep.file.method)


def _agrees(sweep: Sweep, draw: Mapping[str, Any]) -> None:
    feasibility.check_one(sweep, sweep.sections(draw))


def _check_scaled(prepared: Prepared) -> None:
    """Check each choice with the layers' scales: a method may take them with some of its options only."""
    sweep, ones = prepared.sweep, prepared.first_trial or {}

    def agree(draw: Mapping[str, Any]) -> None:
        feasibility.check_one(sweep, prepared.sections({**draw, **ones}))

    compatible_draws.check_choices(sweep.space, compatible_draws.first_draw(sweep.space, agree), agree)


def _check_dense(prepared: Prepared) -> None:
    """Check that there is a dense network wherever trials are compared with it."""
    file, where = prepared.sweep.file, prepared.sweep.source.where
    compared: list[list[str | int]] = [
        ["constraints", index] for index, one in enumerate(file.constraints) if one.within is not None
    ]
    if file.choose and file.choose.smallest_within is not None:
        compared.append(["choose"])
    if compared and not prepared.has_one_dense_network:
        raise SweepError(
            f"{where(compared[0])}: {compared[0][0]}: a trial is compared with its dense network, which "
            f"trainable {file.trainable} does not train where the network or its training is searched."
        )


def _check_enqueued(prepared: Prepared) -> None:
    """Check that the configurations to try first have room, and that those that are whole can be."""
    sweep, wanted = prepared.sweep, len(prepared.enqueued)
    own = 1 if prepared.first_trial else 0
    if wanted and wanted + own > prepared.target:
        with_own = ", with the method's own answer before them," if own else ""
        place = enqueue.place(sweep)
        raise SweepError(
            f"{place}: enqueue holds {wanted} configurations{with_own} and run_cap is {prepared.target}."
        )
    for index, params in enumerate(prepared.enqueued):
        if not prepared.space.is_whole(params):
            continue
        place = enqueue.place(sweep, index)
        try:
            over = prepared.violation(params)
        except Incompatible as error:
            raise SweepError(f"{place}: enqueue: {error.reason}") from error
        if over is not None and over > 0:
            raise SweepError(
                f"{place}: enqueue: this configuration is {over:.0%} over its budget.", INFEASIBLE
            )
