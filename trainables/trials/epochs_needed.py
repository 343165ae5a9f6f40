"""How much training trials need, when none of it is done twice."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from trainables.config import TrialConfig
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import RECIPES
from trainables.recipes.dense import dense
from trainables.trials.lottery_tracks import tracks_by_level


@dataclass(frozen=True)
class EpochsNeeded:
    """Epochs that trials need: ``shared`` when no training is done twice, ``alone`` when each trial shares
    nothing with the others.
    """

    shared: float
    alone: float


def epochs_needed(configs: Iterable[TrialConfig]) -> EpochsNeeded:
    """Count the epochs that ``configs`` need from an empty store; an Early-Bird's watched training counts
    whole. Raises `TaskError`.
    """
    together: dict[str, Fraction] = {}
    alone = Fraction(0)
    for config in configs:
        own: dict[str, Fraction] = {}
        for run in _runs(config):
            for address, epochs in trainings(run).items():
                own[address] = max(epochs, own.get(address, epochs))
        alone += sum(own.values())
        together |= {address: max(epochs, together.get(address, epochs)) for address, epochs in own.items()}
    return EpochsNeeded(float(sum(together.values())), float(alone))


def trainings(run: Run) -> dict[str, Fraction]:
    """Count the epochs of every training of a run's recipe, by its address in the store."""
    per_epoch = run.setting.steps_per_epoch
    return {
        run.trajectory(count).key: Fraction(stage.stop - stage.start, per_epoch)
        for count, stage in run.trains()
    }


def _runs(config: TrialConfig) -> list[Run]:
    """Return the runs of everything that a trial trains, its dense networks included."""
    setting = TrialSetting.of(config)
    if RECIPES[config.trainable].in_levels:
        pairs = [pair for level in tracks_by_level(config, setting) for pair in level.values()]
    else:
        pairs = [(setting, RECIPES[config.trainable].stages(config, setting.steps_per_epoch))]
        if config.dense_reference:
            pairs.append((setting, dense(config, setting.steps_per_epoch)))
    return [Run(where, recipe, seed) for where, recipe in pairs for seed in config.seeds]
