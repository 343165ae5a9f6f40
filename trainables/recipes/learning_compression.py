"""Train, then train and compress in turn until both agree, compress, retrain."""

import math
from dataclasses import replace
from typing import final

import pruners
from trainables.config import TrialConfig
from trainables.errors import Refused
from trainables.recipes.dense import dense
from trainables.recipes.pruning import pruning
from trainables.recipes.retraining import retraining
from trainables.recipes.trainable import Reported, Trainable, sections_of_others
from trainables.stages import Compress, Penalty, RecalibrateBN, Recipe, Stage, Train
from trainables.users_code.methods import method_named


@final
class LearningCompression(Trainable):
    """Alternate training with a penalty and compressing (Idelbayev and Carreira-Perpinan, CVPR 2020).

    With the method l_rank this is the whole of L-Rank: the rank of each layer is learned.
    """

    name = "learning_compression"
    reports = Reported("retraining epochs", "compression.retrain_epochs")
    unused = sections_of_others("learning_compression") | {
        "compression.cascade": "its steps approach the budget itself, in one network",
    }
    kind = "decomposition"

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages: the trainings of all steps together run the last epochs of the schedule again.

        Or the whole schedule over their own length, where they are longer than the training. What follows is
        as after any compression.
        """
        section = config.learning_compression
        length = section.epochs * steps_per_epoch
        horizon = max(config.training.epochs * steps_per_epoch, section.steps * length)
        first = horizon - section.steps * length
        compress, *control = pruning(config)
        assert isinstance(compress, Compress)
        drawn_to = _without_a_refit(compress)
        learned = [
            Train(
                first + step * length,
                first + (step + 1) * length,
                horizon,
                penalty=Penalty(drawn_to, weight, section.multipliers),
            )
            for step, weight in enumerate(_penalties(config))
        ]
        after: list[Stage] = []
        if recalibrate := config.compression.recalibrate_bn:
            after.append(RecalibrateBN(recalibrate))
        if train := retraining(config, steps_per_epoch):
            after.append(train)
        return (*dense(config, steps_per_epoch), *learned, compress, *control, *after)


def _penalties(config: TrialConfig) -> list[float]:
    """Return the penalty of every step. Raises `Refused` where it grows beyond all numbers."""
    section = config.learning_compression
    try:
        penalties = [section.first_penalty * section.growth**step for step in range(section.steps)]
    except OverflowError:
        penalties = [math.inf]
    if not math.isfinite(penalties[-1]):
        raise Refused(
            ("learning_compression", "growth"),
            f"learning_compression.growth: in {section.steps} steps by {section.growth:g} the penalty grows "
            "beyond all numbers.",
        )
    return penalties


def _without_a_refit(compress: Compress) -> Compress:
    """Return how the network is compressed between two trainings: its weights are to be the nearest ones."""
    of_refits = {option.name for option in pruners.REFIT_OPTIONS}
    method = method_named(compress.method)
    options = {name: given for name, given in compress.options.items() if name not in of_refits}
    if any(option.name == "refit" for option in method.all_options):
        options["refit"] = "none"
    images = compress.calibration_images if "data" in method.needs else 0
    return replace(compress, options=options, calibration_images=images)
