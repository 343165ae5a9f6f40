"""Trainables by name: each says which recipe a trial's configuration means. To add one: a file here, and a line in `RECIPES`."""

from collections.abc import Callable

from trainables.config import TrialConfig
from trainables.recipes.compress import compress
from trainables.stages import Recipe

RECIPES: dict[str, Callable[[TrialConfig], Recipe]] = {
    "compress": compress,
}
