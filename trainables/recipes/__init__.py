"""Trainables by name. To add one: a file here with a subclass of `Trainable`, and its line below."""

from trainables.recipes.compress import TrainCompressRetrain
from trainables.recipes.dynamic_sparse import DynamicSparse
from trainables.recipes.early_bird import EarlyBird
from trainables.recipes.gradual import GradualPruning
from trainables.recipes.learning_compression import LearningCompression
from trainables.recipes.lottery import Lottery
from trainables.recipes.prune_at_init import PruneAtInit
from trainables.recipes.trainable import Trainable

RECIPES: dict[str, Trainable] = {
    trainable.name: trainable
    for trainable in (
        TrainCompressRetrain(),
        PruneAtInit(),
        EarlyBird(),
        Lottery(),
        GradualPruning(),
        DynamicSparse(),
        LearningCompression(),
    )
}
"""All trainables, by the name that a sweep file calls them."""
