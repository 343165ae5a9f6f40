"""Everything that a lottery trains at each level, with where it is trained."""

import dataclasses

from trainables.config import TrialConfig
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import lottery
from trainables.stages import Recipe

Tracks = dict[str, tuple[TrialSetting, Recipe]]
"""TrialSetting and recipe of each track of a level, the ticket first; that of a transferred ticket is its
target's.
"""


def tracks_by_level(config: TrialConfig, setting: TrialSetting) -> list[Tracks]:
    """Return the tracks of every level, the dense network's (level 0) first. Raises `TaskError`."""
    levels = lottery.recipes_by_level(config, setting.steps_per_epoch)
    found: list[Tracks] = [{name: (setting, recipe) for name, recipe in level.items()} for level in levels]
    transfer = lottery.section(config).transfer
    if transfer:
        target = dataclasses.replace(
            config, task=transfer.task or config.task, training=transfer.training or config.training
        )
        elsewhere = setting.elsewhere(target.task, target.training)
        steps = elsewhere.steps_per_epoch
        for number, level in enumerate(levels):
            recipe = (
                lottery.transferred(config, level, target, steps)
                if number
                else lottery.dense_elsewhere(target, steps)
            )
            found[number][lottery.TRANSFER] = elsewhere, recipe
    return found
