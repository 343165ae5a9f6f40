"""Train, compress, retrain."""

from typing import final

from trainables.config import TrialConfig
from trainables.recipes.dense import dense
from trainables.recipes.pruning import pruning
from trainables.recipes.trainable import Reported, Trainable
from trainables.stages import RecalibrateBN, Recipe, Stage, Train


@final
class TrainCompressRetrain(Trainable):
    """Train, compress, recalibrate BatchNorm, retrain (Liebenwein et al. 2021, section 3)."""

    name = "compress"
    reports = Reported("retraining epochs", "compression.retrain_epochs")
    compresses_trained = True

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages; those that do nothing are left out.

        Retraining runs the last ``retrain_epochs`` epochs of the training schedule again; when it is longer
        than training, the whole schedule over its own length.
        """
        compression, epochs = config.compression, config.training.epochs
        stages: list[Stage] = [*dense(config, steps_per_epoch), *pruning(config)]
        if compression.recalibrate_bn:
            stages.append(RecalibrateBN(compression.recalibrate_bn))
        if compression.retrain_epochs:
            horizon = max(epochs, compression.retrain_epochs) * steps_per_epoch
            start = horizon - compression.retrain_epochs * steps_per_epoch
            stages.append(Train(start, horizon, horizon, distillation=compression.distillation))
        return tuple(stages)
