"""Lottery tickets: prune, rewind, train, level after level."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, final

from trainables import training_step
from trainables.config import BudgetConfig, LotteryConfig, TrialConfig
from trainables.errors import Incompatible, TaskError
from trainables.recipes.dense import dense
from trainables.recipes.pruning import calibration_images
from trainables.recipes.trainable import TRAINS_ANEW, Reported, Trainable, sections_of_others
from trainables.stages import Adopt, Compress, Recipe, Reinitialize, Rewind, Train

TICKET, SECOND_ORDER, TRANSFER = "ticket", "second_order", "transfer"


@final
class Lottery(Trainable):
    """Lottery tickets, a tree of recipes rather than one: at every level a ticket, its controls and where it
    is taken to.
    """

    name = "lottery"
    reports = Reported("levels", "lottery.levels")
    unused = (
        sections_of_others("lottery")
        | TRAINS_ANEW
        | {
            "compression.cascade": "its levels are the steps",
            "compression.control": "the controls of its tickets stand in lottery.controls",
            "compression.int8": "its tickets stay float",
            "budget": "its levels say how much is kept",
        }
    )
    kind = "mask"
    in_levels = True

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the recipe of the last level's ticket; `recipes_by_level` has all of them."""
        return recipes_by_level(config, steps_per_epoch)[-1][TICKET]

    def keep_at(self, config: TrialConfig, searched: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """Return the places that tickets are rewound to."""
        return tuple(searched.get("lottery.rewind_to", (section(config).rewind_to,)))


def recipes_by_level(config: TrialConfig, steps_per_epoch: int) -> list[dict[str, Recipe]]:
    """Return the recipes of every level by track, the dense network (level 0) first.

    ``ticket`` is iterative magnitude pruning with rewinding (Frankle & Carbin 2019, section 1), or what the
    section's ``mode`` makes of it. Its controls ``reinit`` and ``random`` train over the whole schedule and
    from the rewind point. A recipe goes through all levels before its own, whose trainings the store has.
    Raises `TaskError` for a rewind point beyond the training and for a level that would keep no weight.
    """
    lottery = section(config)
    whole = config.training.epochs * steps_per_epoch
    rewind_to = training_step.steps(lottery.rewind_to, steps_per_epoch)
    if rewind_to >= whole:
        raise TaskError(f"lottery.rewind_to {lottery.rewind_to} lies beyond the training's {whole} steps.")
    start, distillation = dense(config, steps_per_epoch), config.compression.distillation
    found: list[dict[str, Recipe]] = [_with_second_order(lottery, {TICKET: start})]
    before = start
    for level in range(1, lottery.levels + 1):
        compress = _compress(config, level)
        ticket = (*before, compress, *_retraining(config, rewind_to, whole))
        tracks: dict[str, Recipe] = {TICKET: ticket}
        if "reinit" in lottery.controls:
            anew = Train(0, whole, whole, distillation=distillation)
            tracks["reinit"] = (*before, compress, Reinitialize(level), anew)
        if "random" in lottery.controls:
            tracks["random"] = (
                *before,
                replace(compress, control="random"),
                Rewind(rewind_to),
                Train(rewind_to, whole, whole, distillation=distillation),
            )
        tracks = _with_second_order(lottery, tracks)
        found.append(tracks)
        before = ticket if lottery.shots == "iterative" else start
    return found


def transferred(
    config: TrialConfig, level: dict[str, Recipe], target: TrialConfig, target_steps_per_epoch: int
) -> Recipe:
    """Return the recipe of a level's ticket that is trained on another task or with another training.

    Its weights are those at the beginning of its own training.
    """
    steps = target.training.epochs * target_steps_per_epoch
    return (Adopt(config.task, config.training, level[TICKET][:-1]), Train(0, steps, steps))


def dense_elsewhere(target: TrialConfig, target_steps_per_epoch: int) -> Recipe:
    """Return the recipe of the dense network that transferred tickets are measured against.

    It is trained as they are, from a checkpoint too.
    """
    steps = target.training.epochs * target_steps_per_epoch
    return (Train(0, steps, steps),)


def section(config: TrialConfig) -> LotteryConfig:
    """Return the lottery section. Raises `TaskError` without one."""
    if config.lottery is None:
        raise TaskError("trainable lottery needs a lottery section, with its levels at least.")
    return config.lottery


def _compress(config: TrialConfig, level: int) -> Compress:
    lottery, compression = section(config), config.compression
    options: dict[str, Any] = dict(compression.options)
    if lottery.layer_rate:
        options["layer_keep_ratio"] = {name: _kept(rate, level) for name, rate in lottery.layer_rate.items()}
    kept = _kept(lottery.rate, level)
    if not kept:
        raise Incompatible(f"lottery.levels: level {level} at lottery.rate {lottery.rate:g} keeps no weight.")
    return Compress(
        compression.method,
        BudgetConfig(keep_ratio=kept),
        options,
        scoring_per_class=compression.scoring_per_class,
        calibration_images=calibration_images(compression),
    )


def _kept(rate: float, level: int) -> float:
    """Return the share kept after so many levels, of the decimal number that the user wrote."""
    return float((1 - Fraction(str(rate))) ** level)


def _retraining(config: TrialConfig, rewind_to: int, whole: int) -> Recipe:
    mode = section(config).mode
    train = Train(rewind_to, whole, whole, distillation=config.compression.distillation)
    if mode == "rewind":
        return (Rewind(rewind_to), train)
    return (replace(train, last_rate=mode == "fine_tune"),)


def _with_second_order(lottery: LotteryConfig, tracks: dict[str, Recipe]) -> dict[str, Recipe]:
    if lottery.stability and tracks[TICKET]:
        *earlier, last = tracks[TICKET]
        assert isinstance(last, Train)
        tracks[SECOND_ORDER] = (*earlier, replace(last, order=1))
    return tracks
