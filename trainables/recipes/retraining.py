"""How a trained network is trained on after it was made smaller, or while it is."""

from trainables.config import TrialConfig
from trainables.stages import Train


def retraining(config: TrialConfig, steps_per_epoch: int) -> Train | None:
    """Return the last ``retrain_epochs`` epochs of the training schedule; None where there are to be none.

    Where they are more than the training has, the whole schedule over their own length.
    """
    epochs = config.compression.retrain_epochs
    if not epochs:
        return None
    horizon = max(config.training.epochs, epochs) * steps_per_epoch
    start = horizon - epochs * steps_per_epoch
    return Train(start, horizon, horizon, distillation=config.compression.distillation)
