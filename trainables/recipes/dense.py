"""How the uncompressed network comes about, the beginning of every recipe that prunes a trained one."""

from trainables.config import TrialConfig
from trainables.stages import Recipe, Train


def dense(config: TrialConfig, steps_per_epoch: int) -> Recipe:
    """Return how the uncompressed network comes about.

    Trained from its initialisation, or not at all when it is the user's checkpoint.
    """
    steps = config.training.epochs * steps_per_epoch
    return () if config.task.checkpoint or not steps else (Train(0, steps, steps),)
