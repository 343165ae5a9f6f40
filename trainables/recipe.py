"""What a trial does, as a list of stages."""

from dataclasses import asdict

from trainables.config import TaskConfig, TrialConfig
from trainables.stages import Compress, RecalibrateBN, Stage, Train

Recipe = tuple[Stage, ...]


def dense(task: TaskConfig, epochs: int) -> Recipe:
    """How the uncompressed network comes about: trained from its initialisation, or not at all when it is the user's checkpoint."""
    return () if task.checkpoint or not epochs else (Train(0, epochs, epochs),)


def compress(config: TrialConfig) -> Recipe:
    """Train, compress, recalibrate BatchNorm, retrain (Liebenwein et al. 2021, section 3).

    Retraining runs the last ``retrain_epochs`` epochs of the training schedule again; when it is longer than training, the whole
    schedule over its own length.
    """
    compression, epochs = config.compression, config.training.epochs
    budget = {name: value for name, value in asdict(config.budget).items() if value is not None}
    layers = {name: asdict(shape) for name, shape in compression.layers.items()}
    stages: list[Stage] = [
        *dense(config.task, epochs),
        Compress(compression.method, budget, compression.options, compression.tolerance, layers),
    ]
    if compression.recalibrate_bn:
        stages.append(RecalibrateBN(compression.recalibrate_bn))
    if compression.retrain_epochs:
        horizon = max(epochs, compression.retrain_epochs)
        stages.append(Train(horizon - compression.retrain_epochs, horizon, horizon))
    return tuple(stages)
