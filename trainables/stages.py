"""The stages that recipes are made of: frozen, so that a list of them says exactly what a network went
through.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from trainables.config import BudgetConfig, DistillationConfig, TaskConfig, TrainingConfig


@dataclass(frozen=True)
class Gradual:
    """Prune by ``compress`` again and again while training, less at first (Zhu & Gupta 2017, section 3).

    The mask is drawn ``every`` so many steps after step ``begin``, and for the last time after ``end``.
    """

    compress: "Compress"
    begin: int
    end: int
    every: int


@dataclass(frozen=True)
class DropAndGrow:
    """Move a mask while training: each layer drops weights and grows as many (Evci et al. 2020, section 3).

    It moves at every step below ``stop`` that ``every`` divides; ``alpha`` is the share dropped at first.
    """

    grow: Literal["gradient", "random"]
    alpha: float
    every: int
    stop: int


@dataclass(frozen=True)
class Penalty:
    """Draw a network that is trained to what ``compress`` made of it before (Idelbayev & Carreira-Perpinan
    2020): ``weight`` / 2 times the squared distance of their weights is added to the loss.

    With ``multipliers`` the trainings with a penalty right before this one count too, as the augmented
    Lagrangian has it.
    """

    compress: "Compress"
    weight: float
    multipliers: bool = False


@dataclass(frozen=True)
class Train:
    """Train with a fresh optimiser from step ``start`` to ``stop`` of a schedule ``horizon`` steps long.

    ``order`` numbers the order of the images; with ``last_rate`` the learning rate stays at the schedule's
    last (fine-tuning). ``distillation`` says how much it follows the network that the recipe compressed
    first. ``changing`` says how the mask changes meanwhile, ``penalty`` what the weights are drawn to.
    """

    start: int
    stop: int
    horizon: int
    order: int = 0
    last_rate: bool = False
    distillation: DistillationConfig | None = None
    changing: Gradual | DropAndGrow | None = None
    penalty: Penalty | None = None


@dataclass(frozen=True)
class Compress:
    """Make the network smaller by what ``method`` chooses under the budget.

    A network that is masked already is pruned further. ``control`` replaces the mask by one that knows
    nothing but its layers' densities. ``scoring_per_class`` training images of each class are what a method
    scores on that needs data, ``calibration_images`` without labels what it is fitted to (0: nothing).
    """

    method: str
    budget: BudgetConfig
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: dict[str, float] = field(default_factory=dict)
    layers: dict[str, dict[str, int]] = field(default_factory=dict)
    scoring_per_class: int = 10
    control: Literal["shuffle", "random"] | None = None
    calibration_images: int = 0

    def method_options(self) -> dict[str, Any]:
        """Return the method's options as keyword arguments, those for single layers among them."""
        per_layer = {"tolerance": self.tolerance, "layers": self.layers}
        return {**self.options, **{name: given for name, given in per_layer.items() if given}}


@dataclass(frozen=True)
class ProjectBack:
    """The compressed network becomes one of the dense network's shape that computes the same, to be
    compressed again.
    """


@dataclass(frozen=True)
class Rewind:
    """The kept weights return to what they were ``to`` steps into the recipe's first training; the mask
    stays.
    """

    to: int


@dataclass(frozen=True)
class Reinitialize:
    """The kept weights are drawn anew, the ``draw``-th time for this seed; the mask stays."""

    draw: int = 0


@dataclass(frozen=True)
class RecalibrateBN:
    """Estimate BatchNorm's running statistics again on ``images`` training images."""

    images: int


@dataclass(frozen=True)
class Settle:
    """Go through the recipe's first training until the mask that ``compress`` would draw has settled, and
    draw it there (You et al. 2020).

    Settled: its normalised Hamming distance to each of the masks of the ``window`` epochs before is below
    ``tolerance``.
    """

    compress: Compress
    window: int
    tolerance: float


@dataclass(frozen=True)
class Adopt:
    """The masked network that ``recipe`` gives on another task or with another training, on the present
    task's network.

    Layers that differ in shape, an output layer for other classes say, are the present network's own and stay
    dense.
    """

    task: TaskConfig
    training: TrainingConfig
    recipe: "Recipe"


Stage = Train | Compress | RecalibrateBN | ProjectBack | Rewind | Reinitialize | Settle | Adopt
Recipe = tuple[Stage, ...]
"""What a trial does."""
