"""Trainables by name: each says which recipe a trial's configuration means. To add one: a file here, and a line in `RECIPES`."""

from collections.abc import Callable

from trainables.config import TrialConfig
from trainables.recipes.compress import compress
from trainables.recipes.early_bird import early_bird
from trainables.recipes.prune_at_init import prune_at_init
from trainables.stages import Recipe

RECIPES: dict[str, Callable[[TrialConfig, int], Recipe]] = {
    "compress": compress,
    "prune_at_init": prune_at_init,
    "early_bird": early_bird,
}
"""Each takes the configuration and the optimiser steps in an epoch."""

TRAINABLES = (*RECIPES, "lottery")
"""All trainables; a lottery is no single recipe but a tree of them, see `trainables.recipes.lottery`."""
