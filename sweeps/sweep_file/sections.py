"""The sections of a sweep file that a trial is made of."""

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from trainables.config import (
    BudgetConfig,
    CompressionConfig,
    DynamicSparseConfig,
    GradualConfig,
    LearningCompressionConfig,
    LotteryConfig,
    TaskConfig,
    TrainingConfig,
)

SECTIONS = (
    "task",
    "training",
    "compression",
    "budget",
    "lottery",
    "gradual",
    "dynamic_sparse",
    "learning_compression",
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrialSections:
    """One trial's settings.

    A lottery has its own section and no budget, every other trainable a budget; the last three are each of
    the trainable of that name.
    """

    task: TaskConfig
    compression: CompressionConfig
    budget: BudgetConfig | None = None
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    lottery: LotteryConfig | None = None
    gradual: GradualConfig | None = None
    dynamic_sparse: DynamicSparseConfig = Field(default_factory=DynamicSparseConfig)
    learning_compression: LearningCompressionConfig = Field(default_factory=LearningCompressionConfig)
