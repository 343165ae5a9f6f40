"""Whether a trial's sections fit its trainable, its method and each other."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pruners
from pruners.errors import nearest
from pruners.lowrank.methods.rank_method import RankMethod
from pruners.method import Method
from sweeps.errors import Incompatible, SweepError
from sweeps.sweep_file.keys import SweepFile
from sweeps.sweep_file.objectives.metric import METRICS, allows_anything, is_a_share
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.yaml_file import Where
from trainables.errors import TaskError
from trainables.metric_names import (
    DENSITY,
    DIVERGENCE,
    INT8_DIVERGENCE,
    LARGEST_ERROR,
    VAL_LOSS,
    VALIDATION,
    on_validation,
)
from trainables.recipes import RECIPES
from trainables.task.metrics import metrics_of
from trainables.users_code.methods import method_named

SCALE = "scale"
"""The option of methods with error curves: layer to the factor that multiplies its curve."""
_SET_BY = {"tolerance": "tolerance", "scale": SCALE, "rank": "layers", "num_subspaces": "layers"}
"""The option of a method that each form of per_layer sets."""
_BY_KIND = {DENSITY: "mask", LARGEST_ERROR: "decomposition"}
_DOES = {
    "mask": "removes single weights",
    "decomposition": "decomposes layers",
    "channels": "removes channels",
}


def without_absent(trainable: str, tree: Mapping[str, Any], where: Where) -> dict[str, Any]:
    """Return the sections that the trainable has. Raises `SweepError` for a key that it does not use."""
    used = dict(tree)
    for path, why in RECIPES[trainable].unused.items():
        section, _, key = path.partition(".")
        if key and key in tree[section]:
            raise SweepError(f"{where([section, key])}: trainable {trainable} does not use {path}: {why}.")
        if not key:
            for given in used.pop(section):
                raise SweepError(
                    f"{where([section, given])}: trainable {trainable} takes no {section}: {why}."
                )
    return used


def check(file: SweepFile, sections: TrialSections, where: Where) -> None:
    """Check that a trial's sections fit its trainable, its method and each other.

    Raises `Incompatible` where they do not, another `SweepError` for a method that there is not.
    """
    _check_metrics(file, sections, where)
    _check_training(file, sections, where)
    method = sections.compression.method
    try:
        rule = method_named(method)
    except (pruners.PrunerError, TaskError) as error:
        raise SweepError(f"{where(['compression', 'method'])}: compression.method: {error}") from error
    kind = rule.kind
    for path, needed, what in _needs(file, sections):
        if kind not in needed:
            does = " or ".join(_DOES[one] for one in needed)
            raise Incompatible(
                where(path),
                f"{what} needs a method that {does}, and {method} {_DOES[kind]}; {_those(needed)}.",
            )
    _check_time(file, sections, rule, where)
    for form, option in _SET_BY.items():
        if getattr(file.per_layer, form, None) is None or _has(rule, option):
            continue
        having = ", ".join(name for name, one in pruners.methods().items() if _has(one, option))
        raise Incompatible(
            where(["per_layer", form]),
            f"per_layer.{form} needs a method with the option {option}, and {method} has none; "
            f"those that have it are {having}.",
        )


def _check_time(file: SweepFile, sections: TrialSections, method: Method, where: Where) -> None:
    """Check what cannot be had within a budget in time. Raises `Incompatible`."""
    if sections.budget is None or sections.budget.latency_ratio is None:
        return
    if isinstance(method, RankMethod) and not method.timed:
        timed = [name for name, one in pruners.methods().items() if isinstance(one, RankMethod) and one.timed]
        raise Incompatible(
            where(["budget", "latency_ratio"]),
            f"budget.latency_ratio needs a method that chooses for each layer by itself, and {method.name} "
            f"does not; of those that decompose layers {', '.join(timed)} do.",
        )
    if file.per_layer and (file.per_layer.rank or file.per_layer.num_subspaces):
        raise Incompatible(
            where(["per_layer"]),
            "per_layer sets ranks outright, and how long they take is known only where a trial runs; give "
            "tolerance or scale, or another budget than latency_ratio.",
        )


def _check_metrics(file: SweepFile, sections: TrialSections, where: Where) -> None:
    """Check the task's metrics, and that an objective is one of them. Raises `SweepError`."""
    try:
        measured = [on_validation(metric.name) for metric in metrics_of(sections.task)]
    except TaskError as error:
        raise SweepError(f"{where(['task', 'metrics'])}: {error}") from error
    _check_choose(file, measured[0], where)
    reported = {*measured, VAL_LOSS}
    for path, name in _named(file):
        key = ".".join(map(str, path))
        if name == DIVERGENCE and not RECIPES[file.trainable].compresses_trained:
            raise SweepError(
                f"{where(path)}: {key}: {DIVERGENCE} is from the trained dense network, "
                f"and trainable {file.trainable} compresses another."
            )
        if name == INT8_DIVERGENCE and sections.compression.int8 == "none":
            raise Incompatible(
                where(path), f"{key}: {INT8_DIVERGENCE} is of int8 networks, and compression.int8 is none."
            )
        if not name.startswith(VALIDATION) or name in reported:
            continue
        if name in METRICS:
            named = name.removeprefix(VALIDATION)
            raise Incompatible(
                where(path), f"{key}: the task does not measure {name}; add {named} to task.metrics."
            )
        hint = nearest(name, reported)
        raise SweepError(f"{where(path)}: {key}: {name!r} is no metric of a trial{hint}")


def _check_choose(file: SweepFile, primary: str, where: Where) -> None:
    """Check that not every network is within what the best may lose. Raises `SweepError`."""
    within = file.choose.smallest_within if file.choose else None
    quality = next((one.name for one in file.objectives if one.name.startswith(VALIDATION)), primary)
    if within is not None and within >= 1 and is_a_share(quality):
        said = allows_anything(quality, within)
        raise SweepError(f"{where(['choose', 'smallest_within'])}: choose.smallest_within: {said}")


def _named(file: SweepFile) -> Iterator[tuple[list[str | int], str]]:
    """Yield the metrics that objectives and constraints name, each with its place."""
    for index, objective in enumerate(file.objectives):
        yield ["metric", "name"] if file.metric else ["metrics", index, "name"], objective.name
    for index, constraint in enumerate(file.constraints):
        yield ["constraints", index, "metric"], constraint.metric


def _check_training(file: SweepFile, sections: TrialSections, where: Where) -> None:
    training, compression, processes = sections.training, sections.compression, file.resources.processes
    if training.batch_size < processes:
        raise Incompatible(
            where(["training", "batch_size"]),
            f"a batch of {training.batch_size} cannot be spread among resources.processes {processes}: "
            "each needs an example of it.",
        )
    if training.label_smoothing and sections.task.loss != "cross_entropy":
        place = where(["training", "label_smoothing"])
        raise Incompatible(
            place, f"label_smoothing belongs to the loss cross_entropy, not to {sections.task.loss}."
        )
    retrains = file.trainable in ("compress", "gradual", "learning_compression")
    if compression.distillation and retrains and not compression.retrain_epochs:
        place = where(["compression", "distillation"])
        raise Incompatible(place, "distillation is of retraining, and compression.retrain_epochs is 0.")
    if compression.int8 != "none" and not compression.calibration_images:
        place = where(["compression", "int8"])
        raise Incompatible(
            place,
            f"int8 {compression.int8} is calibrated on images, and compression.calibration_images is 0.",
        )
    epochs = max(training.epochs, compression.retrain_epochs if retrains else 0)
    if epochs and training.schedule.warmup > epochs:
        place = where(["training", "schedule", "warmup"])
        raise Incompatible(
            place,
            f"training.schedule.warmup {training.schedule.warmup:g} lasts longer "
            f"than the {epochs} epochs of training.",
        )


def _needs(
    file: SweepFile, sections: TrialSections
) -> Iterator[tuple[list[str | int], tuple[str, ...], str]]:
    """Yield what asks for a method of some kinds: where it stands, the kinds, and how a sentence begins."""
    compression = sections.compression
    if only := RECIPES[file.trainable].kind:
        yield ["compression", "method"], (only,), f"trainable {file.trainable}"
    if compression.control != "none":
        yield ["compression", "control"], ("mask",), f"control {compression.control}"
    if file.per_layer and not file.per_layer.scale:
        yield ["per_layer"], ("decomposition",), "per_layer"
    for key in ("tolerance", "layers"):
        if getattr(compression, key):
            yield ["compression", key], ("decomposition",), f"compression.{key}"
    if sections.budget and sections.budget.flops_ratio is not None:
        yield ["budget", "flops_ratio"], ("decomposition", "channels"), "budget.flops_ratio"
    if sections.budget and sections.budget.latency_ratio is not None:
        yield ["budget", "latency_ratio"], ("decomposition", "channels"), "budget.latency_ratio"
    for path, name in _named(file):
        if name in _BY_KIND:
            yield path, (_BY_KIND[name],), name


def _has(method: Method, option: str) -> bool:
    return any(one.name == option for one in method.all_options)


def _those(kinds: Collection[str]) -> str:
    return "those that do are " + ", ".join(
        name for name, method in pruners.methods().items() if method.kind in kinds
    )
