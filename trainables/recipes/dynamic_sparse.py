"""Train a sparse network whose mask moves."""

from fractions import Fraction
from typing import final

from trainables import training_step
from trainables.config import TrialConfig
from trainables.errors import Refused, TaskError
from trainables.recipes.pruning import pruning
from trainables.recipes.trainable import NO_TEACHER, TRAINS_ANEW, Trainable, sections_of_others
from trainables.stages import DropAndGrow, Recipe, Train


@final
class DynamicSparse(Trainable):
    """Dynamic sparse training: never dense, the mask moves while what it keeps is trained.

    RigL (Evci et al., ICML 2020, arXiv 1911.11134) and SET (Mocanu et al., Nature Communications 2018, arXiv
    1707.04780) differ in what is grown. Both begin with the mask of method ``random``.
    """

    name = "dynamic_sparse"
    unused = sections_of_others("dynamic_sparse") | TRAINS_ANEW | NO_TEACHER
    kind = "mask"
    trains_dense = False

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages: the first mask, then the whole training.

        Raises `TaskError` where nothing is trained, and where the mask would never move.
        """
        section, steps = config.dynamic_sparse, config.training.epochs * steps_per_epoch
        if not steps:
            raise TaskError("trainable dynamic_sparse moves its mask while it trains; give training.epochs.")
        every = training_step.steps(section.every, steps_per_epoch)
        if not every:
            raise Refused(
                ("dynamic_sparse", "every"),
                f"dynamic_sparse.every {section.every} is no step; give 1it or more.",
            )
        stop = int(Fraction(str(section.stop)) * steps)
        if every >= stop:
            raise Refused(
                ("dynamic_sparse", "every"),
                f"dynamic_sparse.every {section.every}: no mask would move after the first step, as moving "
                f"stops after {stop} of the training's {steps} steps (dynamic_sparse.stop).",
            )
        changing = DropAndGrow(section.grow, section.alpha, every, stop)
        return (
            *pruning(config, is_trained=bool(config.task.checkpoint)),
            Train(0, steps, steps, changing=changing),
        )
