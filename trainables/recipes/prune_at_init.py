"""Prune, then train."""

from trainables.config import TrialConfig
from trainables.recipes.pruning import pruning
from trainables.stages import Recipe, Train


def prune_at_init(config: TrialConfig, steps_per_epoch: int) -> Recipe:
    """Prune the network as it is initialised (or as the checkpoint has it), then train what is left from the schedule's start."""
    steps = config.training.epochs * steps_per_epoch
    return (*pruning(config), *((Train(0, steps, steps),) if steps else ()))
