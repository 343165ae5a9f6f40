"""Prune, then train."""

from typing import final

from trainables.config import TrialConfig
from trainables.recipes.pruning import pruning
from trainables.recipes.trainable import NO_TEACHER, TRAINS_ANEW, Trainable, sections_of_others
from trainables.stages import Recipe, Train


@final
class PruneAtInit(Trainable):
    """Prune the network as initialised (or as the checkpoint has it), then train what is left."""

    name = "prune_at_init"
    unused = sections_of_others() | TRAINS_ANEW | NO_TEACHER
    trains_dense = False

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages: the pruning, then the whole training, where it has any epochs."""
        steps = config.training.epochs * steps_per_epoch
        return (
            *pruning(config, is_trained=bool(config.task.checkpoint)),
            *((Train(0, steps, steps),) if steps else ()),
        )
