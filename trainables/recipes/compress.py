"""Train, compress, retrain."""

from dataclasses import asdict

from trainables.config import TrialConfig
from trainables.recipes.dense import dense
from trainables.stages import Compress, RecalibrateBN, Recipe, Stage, Train


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
