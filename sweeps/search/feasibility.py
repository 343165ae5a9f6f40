"""Whether a trial's network can become as small as its settings say, from shapes alone."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache

from torch import nn

import pruners
import trainables
from pruners import InfeasibleBudget, PrunerError
from pruners.errors import nearest
from pruners.feasible import check_mask_feasible
from pruners.network.inputs import Inputs
from sweeps.errors import INFEASIBLE, Incompatible, SweepError
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.sweep import Sweep
from trainables.config import TaskConfig, TrainingConfig, TrialConfig
from trainables.errors import Refused
from trainables.recipes import RECIPES
from trainables.stages import Compress, Gradual, Recipe, Settle, Stage, Train
from trainables.task import loss
from trainables.task.metrics import metrics_of
from trainables.task.task import sources
from trainables.training.loop import steps_per_epoch
from trainables.users_code.factory import describe, is_reference
from trainables.users_code.methods import method_named

_KINDS = ("conv", "linear", "output")
_BY_AN_OPTION = (TypeError, ValueError, OverflowError, AttributeError)
"""What an option's value brings about that a method did not look at."""


@dataclass(frozen=True)
class BudgetGap:
    """How far the smallest network that a trial makes is from its budget.

    ``over`` is a share of ``asked``, 0 or below where the budget is met.
    """

    kind: str
    asked: float
    over: float


def check(sweep: Sweep, trials: Iterable[TrialSections]) -> None:
    """Check trials that stand for all others against the budget.

    One that can be met is enough, and values that do not go together say nothing.

    Raises `SweepError`: exit code 2 for what is wrong, 3 for a budget that none of them can meet.
    """
    least: SweepError | None = None
    met = False
    for sections in trials:
        try:
            gap = check_one(sweep, sections)
        except Incompatible:
            continue
        met = met or gap.over <= 0
        least = least or (_out_of_reach(sweep, gap) if gap.over > 0 else None)
    if least and not met:
        raise least


def check_one(sweep: Sweep, sections: TrialSections) -> BudgetGap:
    """Check task, method and options of a trial against each other and the network; return its budget gap.

    Raises `Incompatible`, which is wrong as a whole where no other trial does better.
    """
    _check_tasks(sweep, sections)
    _check_names(sweep, sections)
    try:
        return budget_gap(sweep.file.trainable, sections)
    except Refused as error:
        raise Incompatible(sweep.where(error.key), str(error)) from error
    except trainables.TaskError as error:
        place = ["lottery", "rewind_to"] if sections.lottery else ["trainable"]
        raise Incompatible(sweep.where(place), str(error)) from error
    except PrunerError as error:
        raise Incompatible(sweep.where(_blamed(sections, str(error))), f"compression: {error}") from error
    except Exception as error:
        method = sections.compression.method
        if is_reference(method):
            said = f"compression.method: {method} raised {describe(error)}."
            raise Incompatible(sweep.where(["compression", "method"]), said) from error
        if not isinstance(error, _BY_AN_OPTION):
            raise
        said = f"compression: {method} cannot use its options: {describe(error)}."
        raise Incompatible(sweep.where(_blamed(sections, str(error))), said) from error


def _blamed(sections: TrialSections, message: str) -> list[str]:
    """Return the key that a method's own message is about: the option that it names first, or the section."""
    found = {
        name: match.start()
        for name in sections.compression.options
        if (match := re.search(rf"\b{re.escape(name)}\b", message))
    }
    return ["compression", *(["options", min(found, key=found.__getitem__)] if found else [])]


def budget_gap(trainable: str, sections: TrialSections) -> BudgetGap:
    """Return how far the smallest network of a trial is from its budget, from shapes alone.

    Of a cascade every step must be possible. Raises `trainables.TaskError` for settings from which no recipe
    can be made, `PrunerError` for a wrong method, option or layer.
    """
    recipe = stages_of(trial_of(trainable, sections))
    stage = smallest(recipe)
    if stage.budget.parameters is not None and _removes_single_weights(stage.method):
        # where layers have shares of their own, a step's count may be more than the others have
        for step in compressions(recipe):
            _over(step, sections.task)
    ((_, asked),) = stage.budget.keywords().items()
    return BudgetGap(stage.budget.kind, asked, _over(stage, sections.task))


def network_and_input(task: TaskConfig) -> tuple[nn.Module, Inputs]:
    """Return the task's network and one input, built once for each task and state of the user's code."""
    built = _build(*_state(task))
    if isinstance(built, trainables.TaskError):
        raise built
    return built


def _state(task: TaskConfig) -> tuple[str, tuple[str, ...]]:
    """Return what tells a task apart from others, and from itself before its user's code was changed."""
    return json.dumps(asdict(task), sort_keys=True), tuple(sources(task, ("network", "data")).values())


@lru_cache(maxsize=8)
def _build(task: str, _: tuple[str, ...]) -> tuple[nn.Module, Inputs] | trainables.TaskError:
    """Build a task's network and one input; an error is kept too, as a task is looked at again and again."""
    config = TaskConfig(**json.loads(task))
    try:
        return trainables.build_network(config), trainables.example_input(config)
    except trainables.TaskError as error:
        return error


def trial_of(trainable: str, sections: TrialSections) -> TrialConfig:
    """Return the configuration of a trial that is looked at and never run: it has no place on disk."""
    fields = {name: getattr(sections, name) for name in sections.__dataclass_fields__}
    return TrialConfig(key="", directory="", store="", trainable=trainable, device="cpu", **fields)


def stages_of(config: TrialConfig) -> Recipe:
    """Return the trial's recipe, of levels that of the last, which keeps the least."""
    per_epoch = steps_per_epoch(len(trainables.load_data(config.task).train), config.training.batch_size)
    return RECIPES[config.trainable].stages(config, per_epoch)


def smallest(recipe: Recipe) -> Compress:
    """Return the last compression of a recipe, which leaves the least."""
    return compressions(recipe)[-1]


def compressions(recipe: Recipe) -> list[Compress]:
    """Return the compressions of a recipe, of a cascade those of its steps."""
    return [compress for stage in recipe if (compress := _compression(stage))]


def _compression(stage: Stage) -> Compress | None:
    """Return how a stage compresses, if it does."""
    if isinstance(stage, Train):
        return stage.changing.compress if isinstance(stage.changing, Gradual) else None
    return stage if isinstance(stage, Compress) else stage.compress if isinstance(stage, Settle) else None


def _over(stage: Compress, task: TaskConfig) -> float:
    network, example = network_and_input(task)
    options = stage.method_options()
    ((keyword, asked),) = stage.budget.keywords().items()
    if stage.budget.latency_ratio is not None:
        return 0.0  # how long layers take is known where the trial runs
    if not _removes_single_weights(stage.method):
        method = method_named(stage.method)
        shapes: nn.Module | pruners.NetworkChannels = network
        if method.kind == "channels":
            shapes = _channels(*_state(task), tuple(method.with_defaults(options)["exclude"]))
        least = pruners.least_budget(shapes, keyword, method=stage.method, example=example, **options)
        return least / asked - 1
    try:
        check_mask_feasible(network, stage.method, **options | {keyword: asked})
    except InfeasibleBudget as error:
        return error.least / asked - 1
    return 0.0


@lru_cache(maxsize=8)
def _channels(task: str, state: tuple[str, ...], exclude: tuple[str, ...]) -> pruners.NetworkChannels:
    """Find the channel groups of a task's network once for all trials that look at it."""
    built = _build(task, state)
    assert not isinstance(built, trainables.TaskError)  # it has been looked at before
    return pruners.NetworkChannels(*built, exclude)


def _removes_single_weights(method: str) -> bool:
    return method_named(method).kind == "mask"


def _check_tasks(sweep: Sweep, sections: TrialSections) -> None:
    """Check the loss, the network on its data, and where a lottery takes its tickets."""
    try:
        _resolve(sections.task, sections.training)
    except trainables.TaskError as error:
        raise Incompatible(sweep.where(["task", "loss"]), str(error)) from error
    try:
        network_and_input(sections.task)
    except trainables.TaskError as error:
        raise Incompatible(sweep.where(["task"]), str(error)) from error
    target = sections.lottery.transfer if sections.lottery else None
    if target:
        task, training = target.task or sections.task, target.training or sections.training
        try:
            network_and_input(task)
            _resolve(task, training)
        except trainables.TaskError as error:
            raise Incompatible(sweep.where(["lottery", "transfer"]), f"lottery.transfer: {error}") from error


def _resolve(task: TaskConfig, training: TrainingConfig) -> None:
    loss.resolve(task.loss, training.label_smoothing)
    for metric in metrics_of(task):
        metric.counter(ignored=-100)


def _check_names(sweep: Sweep, sections: TrialSections) -> None:
    """Check what a method would refuse in words that are not the sweep file's."""
    lottery, budget, layers = (
        sections.lottery,
        sections.budget,
        pruners.prunable(network_and_input(sections.task)[0]),
    )
    if budget and budget.parameters and _removes_single_weights(sections.compression.method):
        weights = sum(layer.params for layer in layers.values())
        if budget.parameters > weights:
            place = sweep.where(["budget", "parameters"])
            raise Incompatible(
                place,
                f"budget.parameters {budget.parameters} is more than "
                f"the network's {weights} prunable weights.",
            )
    if not lottery:
        return
    if sections.task.checkpoint and int(lottery.rewind_to[:-2]):
        place = sweep.where(["lottery", "rewind_to"])
        raise Incompatible(
            place,
            f"lottery.rewind_to {lottery.rewind_to}: a checkpoint is trained already "
            "and can be rewound to 0it only.",
        )
    for name in lottery.layer_rate:
        place = sweep.where(["lottery", "layer_rate", name])
        if name not in layers and name not in {layer.kind for layer in layers.values()}:
            raise Incompatible(
                place,
                f"lottery.layer_rate: the network has no prunable layer {name!r}"
                f"{nearest(name, [*layers, *_KINDS])}",
            )
        if "layer_keep_ratio" in sections.compression.options:
            raise Incompatible(
                place,
                "lottery.layer_rate and the option layer_keep_ratio both say what single layers keep; "
                "give one.",
            )


def _out_of_reach(sweep: Sweep, gap: BudgetGap) -> SweepError:
    key = "lottery" if RECIPES[sweep.file.trainable].in_levels else "budget"
    return SweepError(f"{sweep.where([key])}: {unmet(sweep, gap)}", INFEASIBLE)


def unmet(sweep: Sweep, gap: BudgetGap) -> str:
    """Say that a budget cannot be met, and what is the least that can."""
    least = gap.asked * (1 + gap.over)
    shown = f"{least:.0f}" if gap.kind == "parameters" else f"{least:.4g}"
    if RECIPES[sweep.file.trainable].in_levels:
        asked = f"the last level's {gap.kind} {gap.asked:.4g}"
    else:
        asked = f"budget.{gap.kind} {gap.asked:g}"
    return f"no choice of layers meets {asked}; the least possible is {shown}."
