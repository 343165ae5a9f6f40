"""Train, compress, retrain, perhaps several times."""

from dataclasses import replace
from typing import final

from trainables.config import TrialConfig
from trainables.recipes.cascade import cascade_budgets, goes_on_from_its_mask
from trainables.recipes.dense import dense
from trainables.recipes.pruning import pruning
from trainables.recipes.retraining import retraining
from trainables.recipes.trainable import Reported, Trainable
from trainables.stages import ProjectBack, RecalibrateBN, Recipe, Stage


@final
class TrainCompressRetrain(Trainable):
    """Train, compress, recalibrate BatchNorm, retrain (Liebenwein et al. 2021, section 3)."""

    name = "compress"
    reports = Reported("retraining epochs", "compression.retrain_epochs")
    compresses_trained = True

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages; those that do nothing are left out.

        A cascade compresses and retrains several times, each time from the network projected back to the
        dense one's shape (section 3, step 4), or, of single weights, from where the mask is.
        """
        recalibrate = config.compression.recalibrate_bn
        after: list[Stage] = []
        if recalibrate:
            after.append(RecalibrateBN(recalibrate))
        if train := retraining(config, steps_per_epoch):
            after.append(train)
        between = () if goes_on_from_its_mask(config.compression.method) else (ProjectBack(),)
        first, *others = (
            (*pruning(replace(config, budget=budget)), *after) for budget in cascade_budgets(config)
        )
        stages = [*dense(config, steps_per_epoch), *first]
        for step in others:
            stages += (*between, *step)
        return tuple(stages)
