"""What one trial is told, as plain data: it travels as JSON from the sweep file to a worker anywhere."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from trainables import training_step
from trainables.errors import Incompatible, nearest
from trainables.field_types import Boolean, Number, WholeNumber, whole_number

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
ShareUpToOne = Annotated[Number, Field(gt=0, le=1)]
Count = Annotated[WholeNumber, Field(ge=1)]
ShareBelowOne = Annotated[Number, Field(gt=0, lt=1)]
Epochs = Annotated[WholeNumber, Field(ge=0, le=1_000_000)]
Levels = Annotated[WholeNumber, Field(ge=1, le=1_000)]
Weights = Annotated[int, Field(ge=1, le=2**53), BeforeValidator(whole_number)]
Int8 = Literal["none", "static", "dynamic"]
TrainingStep = Annotated[str, AfterValidator(training_step.check)]


@dataclass(frozen=True, config=_STRICT)
class MetricConfig:
    """A metric by built-in name or as the user's ``package.module:function``; without a goal the built-in's
    own, else maximize.
    """

    name: str
    goal: Literal["maximize", "minimize"] | None = None


def _as_metric(given: Any) -> Any:
    return MetricConfig(given) if isinstance(given, str) else given


@dataclass(frozen=True, config=_STRICT)
class TaskConfig:
    """A network, its data, its loss and what tells how good it is.

    ``network`` and ``data`` are a built-in name or the user's ``package.module:factory``; a network may also
    be ``torchvision:NAME``. ``checkpoint`` is a trained state dict (.safetensors, or .pt holding tensors
    only). The first of ``metrics`` is the primary one; without any they follow from the loss.
    """

    network: str
    data: str
    network_options: dict[str, Any] = Field(default_factory=dict)
    data_options: dict[str, Any] = Field(default_factory=dict)
    loss: str = "cross_entropy"
    checkpoint: str | None = None
    metrics: tuple[Annotated[MetricConfig, BeforeValidator(_as_metric)], ...] = ()


@dataclass(frozen=True, config=_STRICT)
class ScheduleConfig:
    """Learning rate over epochs: a linear warm-up of ``warmup`` epochs, then the named curve.

    ``multistep`` multiplies by ``gamma`` at each of ``milestones`` (epochs) or, with ``every``, every so many
    epochs.
    """

    name: Literal["constant", "multistep", "cosine", "linear", "poly"] = "constant"
    milestones: tuple[Positive, ...] = ()
    every: Positive | None = None
    gamma: ShareUpToOne = 0.1
    warmup: NotNegative = 0.0

    @model_validator(mode="after")
    def _steps_belong_to_multistep(self) -> "ScheduleConfig":
        if self.name == "multistep" and bool(self.milestones) == (self.every is not None):
            raise Incompatible("a multistep schedule takes either milestones or every")
        if self.name != "multistep" and (self.milestones or self.every is not None):
            raise Incompatible(f"milestones and every belong to a multistep schedule, not to {self.name}")
        return self


OPTIMIZERS = ("sgd", "adam", "adamw")


def _is_an_optimizer(name: str) -> str:
    if name not in OPTIMIZERS and "." not in name and ":" not in name:
        hint = nearest(name, (*OPTIMIZERS, "torch.optim.RMSprop"))
        raise ValueError(f"there is no optimizer {name!r}; {hint}")
    return name


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How a network is trained; retraining follows the tail of the same schedule.

    ``optimizer`` is a built-in name, torch's own as ``torch.optim.NAME`` or the user's
    ``package.module:Class``; ``optimizer_options`` are keyword arguments of its class. Gradients are scaled
    down to an L2 norm of ``clip_norm``. With ``bf16`` the network computes under autocast in bfloat16 while
    it is trained; its weights, the loss and every evaluation stay float32.
    """

    epochs: Epochs = 10
    batch_size: Count = 128
    optimizer: Annotated[str, AfterValidator(_is_an_optimizer)] = "sgd"
    lr: Positive = 0.1
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    nesterov: Boolean = False
    weight_decay: NotNegative = 0.0
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    augment: tuple[Literal["flip", "crop", "shift"], ...] = ()
    optimizer_options: dict[str, Any] = Field(default_factory=dict)
    clip_norm: Positive | None = None
    precision: Literal["float32", "bf16"] = "float32"

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "TrainingConfig":
        if self.optimizer == "sgd" and self.nesterov and not self.momentum:
            raise Incompatible("nesterov needs a momentum above 0")
        return self


BUDGETS = ("keep_ratio", "parameters", "flops_ratio", "latency_ratio")
"""The kinds of budget, by their keys."""


@dataclass(frozen=True, config=_STRICT)
class BudgetConfig:
    """How small or fast the network must become; exactly one of the four.

    ``keep_ratio`` and ``flops_ratio`` are shares of the compressible weights and of their multiply-adds;
    ``parameters`` counts compressible weights; ``latency_ratio`` is the share of the dense network's time, by
    a table of its layers' times on the device of the trial.
    """

    keep_ratio: ShareUpToOne | None = None
    parameters: Weights | None = None
    flops_ratio: ShareUpToOne | None = None
    latency_ratio: ShareUpToOne | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "BudgetConfig":
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise Incompatible(
                f"give exactly one of {', '.join(BUDGETS[:-1])} and {BUDGETS[-1]}, "
                f"not {' and '.join(given) or 'none'}"
            )
        return self

    @property
    def kind(self) -> str:
        """Name the one that is given, as the sweep file does."""
        return next(name for name in BUDGETS if getattr(self, name) is not None)

    def keywords(self) -> dict[str, float]:
        """Return the budget as the one keyword argument that `pruners.compress` and `pruners.least_budget`
        take it by.
        """
        return {"budget" if self.kind == "parameters" else self.kind: getattr(self, self.kind)}


@dataclass(frozen=True, config=_STRICT)
class LayerPin:
    """One layer's choice when the search sets rank and subspaces itself."""

    rank: Count
    num_subspaces: Count


@dataclass(frozen=True, config=_STRICT)
class DistillationConfig:
    """Retraining that follows the dense network too: ``weight`` of the loss is the distance to its outputs.

    ``temperature`` divides the class scores of both (Hinton et al. 2015, arXiv 1503.02531, section 2).
    """

    weight: ShareUpToOne = 0.9
    temperature: Positive = 4.0


@dataclass(frozen=True, config=_STRICT)
class CompressionConfig:
    """Which method compresses, with its options, and what follows.

    ``recalibrate_bn`` is the number of training images that BatchNorm statistics are estimated on again (0:
    leave them). It is compressed and retrained ``cascade`` times, down to the budget in equal ratios.
    ``tolerance`` bends the allocator per layer (1: the method's own answer); ``layers`` sets layers outright.
    ``control`` puts a network without the method's merit in its place: ``shuffle`` and ``random`` keep the
    layers' densities only, ``reinit`` the mask only. ``scoring_per_class`` training images of each class are
    what a method scores on that needs data; ``calibration_images`` training images, without their labels, are
    what one is fitted to that makes use of such (0: none). ``distillation`` is what retraining takes from the
    dense network, beside the labels. ``int8`` makes the trial's network int8 at the end, calibrated on the
    calibration images: the ranges of activations are theirs (``static``) or each batch's own (``dynamic``).
    Networks are timed with ``latency_batch`` inputs at once.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    recalibrate_bn: Annotated[WholeNumber, Field(ge=0)] = 512
    retrain_epochs: Epochs = 0
    cascade: Levels = 1
    tolerance: dict[str, Positive] = Field(default_factory=dict)
    layers: dict[str, LayerPin] = Field(default_factory=dict)
    control: Literal["none", "shuffle", "random", "reinit"] = "none"
    scoring_per_class: Count = 10
    calibration_images: Annotated[WholeNumber, Field(ge=0)] = 512
    distillation: DistillationConfig | None = None
    int8: Int8 = "none"
    latency_batch: Count = 1


@dataclass(frozen=True, config=_STRICT)
class TransferConfig:
    """Where a ticket is taken to: another task, another training, or both; what is left out stays the
    ticket's own.
    """

    task: TaskConfig | None = None
    training: TrainingConfig | None = None

    @model_validator(mode="after")
    def _goes_somewhere(self) -> "TransferConfig":
        if self.task is None and self.training is None:
            raise ValueError("transfer needs a task, a training or both")
        return self


@dataclass(frozen=True, config=_STRICT)
class LotteryConfig:
    """Iterative pruning with rewinding (Frankle & Carbin 2019; Frankle et al. 2020; Renda et al. 2020).

    Each of ``levels`` removes ``rate`` of the weights that are left, ``layer_rate`` of those of the layers or
    kinds of layer (conv, linear, output) that it names. Then ``rewind``: the weights go back to what they
    were at ``rewind_to`` and are trained on from there; ``learning_rate``: the weights stay and the schedule
    alone goes back; ``fine_tune``: they are trained as long at the last learning rate. ``one_shot`` prunes
    the dense network anew for each level. ``controls`` are trained beside each level's ticket: its mask on
    new weights (``reinit``), a random mask of the same layer densities on its weights (``random``).
    ``transfer`` trains each ticket elsewhere too (Morcos et al. 2019); ``stability`` trains each in a second
    order of the images and measures the error between the two.
    """

    levels: Levels
    rate: ShareBelowOne = 0.2
    layer_rate: dict[str, ShareBelowOne] = Field(default_factory=dict)
    rewind_to: TrainingStep = "0it"
    mode: Literal["rewind", "learning_rate", "fine_tune"] = "rewind"
    shots: Literal["iterative", "one_shot"] = "iterative"
    controls: tuple[Literal["reinit", "random"], ...] = ()
    transfer: TransferConfig | None = None
    stability: Boolean = False


@dataclass(frozen=True, config=_STRICT)
class GradualConfig:
    """Pruning while training, ever more from ``begin`` to ``end`` (Zhu & Gupta 2017, arXiv 1710.01878).

    All three count from where that training begins. ``every`` so many steps the mask is drawn again, for the
    last time at ``end``, where the budget is met.
    """

    end: TrainingStep
    begin: TrainingStep = "0it"
    every: TrainingStep = "100it"


@dataclass(frozen=True, config=_STRICT)
class DynamicSparseConfig:
    """A mask that moves while what it keeps is trained: RigL (Evci et al. 2020, arXiv 1911.11134) or SET.

    ``every`` so many steps, until ``stop`` of the training, each layer drops a share of its weights,
    ``alpha`` at first, and grows as many: those of the largest ``gradient`` (RigL) or ``random`` ones (SET,
    Mocanu et al. 2018, arXiv 1707.04780).
    """

    grow: Literal["gradient", "random"] = "gradient"
    alpha: ShareUpToOne = 0.3
    every: TrainingStep = "100it"
    stop: ShareUpToOne = 0.75


@dataclass(frozen=True, config=_STRICT)
class LearningCompressionConfig:
    """Training and compressing in turn (Idelbayev & Carreira-Perpinan, CVPR 2020).

    Each of ``steps`` trains for ``epochs``, drawn to what compressing the network before it gives, and is
    then compressed again. The penalty is ``first_penalty`` in the first and ``growth`` times larger from
    step to step. ``multipliers`` are those of the augmented Lagrangian.
    """

    steps: Levels = 10
    epochs: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 1
    first_penalty: Positive = 0.001
    growth: Annotated[Number, Field(ge=1)] = 3.0
    multipliers: Boolean = False


MEASURING = "measuring.json"
"""The file in a trial's folder that says how many results are there, while others are computed."""


@dataclass(frozen=True, config=_STRICT)
class TrialConfig:
    """Everything a worker needs for one trial.

    ``trainable`` names its recipe, ``key`` the trial on disk; ``directory`` (its results) and ``store``
    (trajectories) lie on the storage path that every node sees. ``seeds`` holds one seed per replicate.
    ``checkpoint_every`` counts epochs. The dense network is kept at ``keep_at``, so that this and other
    trials can rewind to it. Without ``dense_reference`` a recipe that starts from scratch trains no dense
    network to be compared with. ``num_workers`` processes read data that are not in memory (0: as the data
    say). Every training is spread among ``processes``, each with a share of every batch.
    ``divergence_images`` training images tell how far the outputs of a trained network are from its own once
    it is compressed.
    """

    key: str
    task: TaskConfig
    training: TrainingConfig
    compression: CompressionConfig
    budget: BudgetConfig | None
    directory: str
    store: str
    trainable: str = "compress"
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    device: str = "auto"
    threads: Count = 1
    checkpoint_every: Count = 1
    lottery: LotteryConfig | None = None
    gradual: GradualConfig | None = None
    dynamic_sparse: DynamicSparseConfig = Field(default_factory=DynamicSparseConfig)
    learning_compression: LearningCompressionConfig = Field(default_factory=LearningCompressionConfig)
    keep_at: tuple[TrainingStep, ...] = ()
    dense_reference: bool = True
    num_workers: Annotated[int, Field(ge=0)] = 0
    processes: Count = 1
    divergence_images: Count = 512


trial_config: TypeAdapter[TrialConfig] = TypeAdapter(TrialConfig)
"""Reads and writes a `TrialConfig` as JSON-able data (``validate_python``, ``dump_python(...,
mode="json")``).
"""
