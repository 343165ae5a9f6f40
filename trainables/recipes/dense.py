"""How the uncompressed network comes about, the beginning of every recipe that prunes a trained one."""

from trainables.config import TaskConfig
from trainables.stages import Recipe, Train


def dense(task: TaskConfig, epochs: int) -> Recipe:
    """How the uncompressed network comes about: trained from its initialisation, or not at all when it is the user's checkpoint."""
    return () if task.checkpoint or not epochs else (Train(0, epochs, epochs),)
