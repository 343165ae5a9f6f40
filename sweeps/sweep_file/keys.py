"""The sweep file's keys: those of a W&B sweep, and what compressing a network needs beside them."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pruners.errors import nearest
from sweeps.sweep_file.known_names import STRICT, one_of
from sweeps.sweep_file.objectives.choose import Choose
from sweeps.sweep_file.objectives.constraint import Constraint, contradiction
from sweeps.sweep_file.objectives.metric import Metric
from sweeps.sweep_file.samplers import SAMPLERS
from trainables.field_types import Number, WholeNumber, number
from trainables.places.place import place_of
from trainables.recipes import RECIPES

Count = Annotated[WholeNumber, Field(ge=1)]


def _within_what_is_drawn(value: float) -> float:
    if abs(value) > (2**53 if isinstance(value, int) else 1e300):
        raise ValueError("is beyond what can be drawn: 2**53 for whole numbers, 1e300 for others")
    return value


Bound = Annotated[int | float, AfterValidator(_within_what_is_drawn), BeforeValidator(number)]

_UNITS = (86400, 3600, 60, 1)
"""Seconds of a day, an hour, a minute, a second."""

DISTRIBUTIONS = (
    "constant", "categorical", "int_uniform", "uniform", "q_uniform",
    "log_uniform", "log_uniform_values", "q_log_uniform", "q_log_uniform_values",
)  # fmt: skip
"""W&B's distributions that Optuna can sample."""


def _is_a_folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} names a folder and may hold letters, digits, dots, dashes and underscores only"
        )
    return name


def _is_a_project(name: str) -> str:
    if not 0 < len(name) <= 128 or set(name) & set("/\\#?%:"):
        raise ValueError(f"{name!r}: W&B takes names of 1 to 128 characters without any of / \\ # ? % :")
    return name


class Keys(BaseModel):
    """A mapping of the sweep file in which an unknown key is an error."""

    model_config = STRICT


class Branch(Keys):
    """One of a parameter's values, with the parameters that belong to a draw only if it has this value."""

    value: Any
    parameters: dict[str, "Parameter"] = {}


_BRANCH, _PLAIN = "choice[with-parameters]", "choice[as-is]"


def _form_of_a_choice(value: Any) -> str:
    return _BRANCH if isinstance(value, Branch) or (isinstance(value, dict) and "value" in value) else _PLAIN


Choice = Annotated[
    Annotated[Branch, Tag(_BRANCH)] | Annotated[Any, Tag(_PLAIN)], Discriminator(_form_of_a_choice)
]
"""One of ``values``; a mapping with the key ``value`` is a branch."""


class Parameter(Keys):
    """A searched parameter in one of W&B's forms: value, values, min and max, or nested parameters."""

    value: Any = None
    values: list[Choice] | None = None
    min: Bound | None = None
    max: Bound | None = None
    q: Number | None = Field(default=None, gt=0)
    distribution: Annotated[str, one_of(DISTRIBUTIONS, "distribution that Optuna can sample")] | None = None
    parameters: dict[str, Self] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [
            form
            for form, present in (
                ("value", "value" in self.model_fields_set),
                ("values", self.values is not None),
                ("min and max", self.min is not None or self.max is not None),
                ("parameters", self.parameters is not None),
            )
            if present
        ]
        if len(given) != 1:
            raise ValueError(
                "give value, or values, or min and max, or parameters; here is "
                + (" and ".join(given) or "none of them")
            )
        if self.values is not None and not self.values:
            raise ValueError("values is empty")
        if given == ["min and max"]:
            self._check_range()
        return self

    def _check_range(self) -> None:
        if self.min is None or self.max is None:
            raise ValueError("min and max belong together")
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.distribution in ("log_uniform_values", "q_log_uniform_values") and self.min <= 0:
            raise ValueError(f"{self.distribution} needs a min above 0, not {self.min:g}")
        if self.distribution in ("constant", "categorical"):
            raise ValueError(f"a {self.distribution} distribution takes value or values, not min and max")


class Range(Keys):
    """From ``min`` to ``max``."""

    min: Number = Field(gt=0)
    max: Number = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class RankRange(Keys):
    """Ranks searched in every layer; ``max`` is cut to what still saves something there."""

    min: Count = 1
    max: Count | None = None


class SubspaceChoice(Keys):
    """Subspace counts searched; those that do not divide a layer's input channels are left out there."""

    values: Annotated[list[Count], Field(min_length=1)] | None = None


class Scale(Keys):
    """Factors around 1, ``spread`` being the standard deviation of their natural logarithms."""

    spread: Annotated[Number, Field(gt=0, le=5)] = 0.3


class PerLayer(Keys):
    """One group of parameters for each compressible layer.

    Either ``tolerance`` (the allocator's error may be that much larger in this layer), or ``scale`` (a factor
    of the layer's error curve), both of which leave every trial within the budget and have the method's own
    answer first; or ``rank`` and ``num_subspaces`` themselves. ``layers`` holds name patterns as in a shell.
    """

    tolerance: Range | None = None
    scale: Scale | None = None
    rank: RankRange | None = None
    num_subspaces: SubspaceChoice | None = None
    layers: Annotated[list[str], Field(min_length=1)] = ["*"]

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        shapes = self.rank is not None or self.num_subspaces is not None
        if [shapes, self.tolerance is not None, self.scale is not None].count(True) != 1:
            raise ValueError("per_layer takes either tolerance, or scale, or rank and num_subspaces")
        if self.tolerance and not self.tolerance.min <= 1 <= self.tolerance.max:
            raise ValueError("the range of tolerance must hold 1, the method's own answer")
        return self


class Screen(Keys):
    """Scores ``trials`` trials without training before any is run; ``run_cap`` of them are then trained.

    The score is the divergence of the compressed network's outputs from the dense one's on ``images``
    training images, without a label. The best are trained, the method's own answer and what is enqueued among
    them.
    """

    trials: Count
    images: Count = 512


class EarlyTerminate(Keys):
    """Stops trials early: ``hyperband`` or ``asha`` (Ray's asynchronous successive halving), or ``median``.

    ``min_iter`` and ``max_iter`` count what a trial reports: epochs of its closing training, a lottery's
    levels. ``eta`` is the reduction factor, for the median rule the least number of trials that it compares
    with (which has no ``max_iter``).
    """

    type: Annotated[str, one_of(("asha", "hyperband", "median"), "way to stop early")]
    min_iter: Count = 1
    max_iter: Count | None = None
    eta: Annotated[WholeNumber, Field(ge=2)] = 3


class Baseline(Keys):
    """A method run once, untuned, for comparison; ``name``, its method's unless given, is what it is called.

    A method's name alone stands for one without options of its own. A method of the user's own,
    ``package.module:Class``, gives the class's name.
    """

    method: str
    name: Annotated[str, AfterValidator(_is_a_folder_name)] = ""
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        given = {"method": given} if isinstance(given, str) else given
        if not isinstance(given, dict) or not isinstance(given.get("method"), str) or "name" in given:
            return given
        if given.get("options"):
            raise ValueError("a baseline with options needs a name of its own")
        return {**given, "name": given["method"].rpartition(":")[2]}


class Resources(Keys):
    """What one trial holds: CPUs (also its threads), a share of GPUs, bytes of memory, a type of accelerator.

    Each of its ``processes``, among which its trainings are spread, holds as much. ``concurrent`` trials run
    at once. ``num_workers`` processes read data that are not in memory.
    """

    cpus: Annotated[Count, Field(le=10_000)] = 1
    gpus: Number = Field(default=0.0, ge=0)
    memory: Annotated[ByteSize, Field(gt=0)] | None = None
    accelerator: str | None = None
    processes: Annotated[Count, Field(le=1_000)] = 1
    concurrent: Count | None = None
    num_workers: Annotated[WholeNumber, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _a_gpu_each(self) -> Self:
        if self.processes > 1 and self.gpus not in (0, 1):
            raise ValueError(
                f"each of several processes computes on one GPU or none, and gpus is {self.gpus:g}"
            )
        return self


class Storage(Keys):
    """Where the study lives (an Optuna storage URL; default: a journal in its directory), and the store."""

    study: str | None = None
    store: str | None = None

    @field_validator("store")
    @classmethod
    def _a_place(cls, value: str | None) -> str | None:
        if value is not None:
            place_of(value)
        return value


class Wandb(Keys):
    """What Weights & Biases is told beside a run for each trial.

    ``mode``: online, offline or disabled; without it online where a key is configured. ``network``: the best
    network, as an artifact. ``sweep``: the study as a W&B sweep, for W&B's own sweep page.
    """

    mode: Literal["online", "offline", "disabled"] | None = None
    network: bool = False
    sweep: bool = False


class Retention(Keys):
    """What stays on disk when the study is complete.

    ``networks``: those of every trial, or of the best (with several objectives, of the front).
    ``trajectories``: the store is kept, or what the study trained is removed from it once the study is
    complete, or whatever was not written to for so many days.
    """

    networks: Literal["all", "best"] = "all"
    trajectories: Literal["forever", "study"] | float = "forever"

    @field_validator("trajectories", mode="before")
    @classmethod
    def _a_time(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value not in ("forever", "study") and not (is_number and 0 < value < math.inf):
            raise ValueError(f"forever, study, or a number of days above 0, not {value!r}")
        return value


def _seconds(time: Any) -> float:
    """Return the seconds of a number, or of a time as in ``1d2h30m5s``; 0 for anything else."""
    if isinstance(time, int | float) and not isinstance(time, bool):
        return float(time)
    parts = re.fullmatch(r"(?:([\d.]+)d)? ?(?:([\d.]+)h)? ?(?:([\d.]+)m)? ?(?:([\d.]+)s)?", str(time).strip())
    try:
        return (
            sum(float(n) * each for n, each in zip(parts.groups(), _UNITS, strict=True) if n)
            if parts
            else 0.0
        )
    except ValueError:  # 1.2.3
        return 0.0


class SweepFile(Keys):
    """A sweep file's top level. ``method`` names the sampler, as at W&B.

    The sections of a trial (``task`` to ``learning_compression``) are plain here: what a parameter sets may
    be absent, and their values need go together only in a draw. `sweeps.sweep_file.sections.TrialSections` is
    their form with a draw put in.
    """

    name: Annotated[str, AfterValidator(_is_a_folder_name)]
    description: str | None = None
    project: Annotated[str, AfterValidator(_is_a_project)] = "tombola"
    entity: str | None = None
    trainable: Annotated[str, one_of(tuple(RECIPES), "trainable")] = "compress"
    method: Annotated[str, one_of(SAMPLERS, "sampler")] = "tpe"
    sampler_options: dict[str, Any] = {}
    metric: Metric | None = None
    metrics: Annotated[list[Metric], Field(min_length=1)] | None = None
    constraints: list[Constraint] = []
    choose: Choose | None = None
    parameters: dict[str, Parameter] = {}
    per_layer: PerLayer | None = None
    screen: Screen | None = None
    early_terminate: EarlyTerminate | None = None
    enqueue: list[dict[str, Any]] = []
    run_cap: Count
    stop_after_failures: Count = 5
    time_limit: str | None = None
    task: dict[str, Any]
    training: dict[str, Any] = {}
    compression: dict[str, Any]
    budget: dict[str, Any] = {}
    lottery: dict[str, Any] = {}
    gradual: dict[str, Any] = {}
    dynamic_sparse: dict[str, Any] = {}
    learning_compression: dict[str, Any] = {}
    baselines: list[Baseline] = []
    replicates: Annotated[Count, Field(le=10_000)] = 1
    seed: Annotated[WholeNumber, Field(ge=0)] = 0
    resources: Resources = Resources()
    storage: Storage = Storage()
    retention: Retention = Retention()
    wandb: Wandb = Wandb()

    @field_validator("time_limit", mode="before")
    @classmethod
    def _a_duration(cls, value: Any) -> Any:
        if value is not None and not 0 < _seconds(value) < math.inf:
            raise ValueError(f"a time as in 45m, 2h or 1h30m, or a number of seconds above 0, not {value!r}")
        return value if value is None or isinstance(value, str) else f"{Decimal(str(value)):f}s"

    @property
    def seconds(self) -> float | None:
        """Return how long one driver hands out trials, in seconds; None: until ``run_cap`` is reached."""
        return None if self.time_limit is None else _seconds(self.time_limit)

    @model_validator(mode="after")
    def _objectives(self) -> Self:
        if (self.metric is None) == (self.metrics is None):
            raise ValueError("give either metric (one objective) or metrics (several)")
        names = [m.name for m in self.objectives]
        if len(set(names)) < len(names):
            raise ValueError("metrics names the same metric twice")
        if len(names) > 1 and self.early_terminate:
            raise ValueError(
                "early_terminate compares trials by one metric; with several objectives leave it out"
            )
        if len(names) > 1 and self.method == "cmaes":
            raise ValueError(
                "the cmaes sampler knows one objective; "
                "with several use tpe, nsga2, nsga3, gp, random, qmc or grid"
            )
        return self

    @field_validator("constraints")
    @classmethod
    def _can_all_be_kept(cls, constraints: list[Constraint]) -> list[Constraint]:
        if wrong := contradiction(constraints):
            raise ValueError(wrong)
        return constraints

    @model_validator(mode="after")
    def _sampler_knows_constraints(self) -> Self:
        if self.constraints and self.method == "cmaes":
            raise ValueError(
                "the cmaes sampler knows no constraints; with constraints use tpe, gp, nsga2 or nsga3"
            )
        return self

    @model_validator(mode="after")
    def _screening_is_alone(self) -> Self:
        if self.screen and self.resources.processes > 1:
            raise ValueError(
                "screen trains the dense networks in one process; "
                "leave out either screen or resources.processes"
            )
        return self

    @field_validator("choose")
    @classmethod
    def _an_objective(cls, choose: Choose | None, info: ValidationInfo) -> Choose | None:
        given = info.data.get("metrics") or [info.data.get("metric")]
        names = [metric.name for metric in given if metric]
        if choose and choose.best_on is not None and choose.best_on not in names:
            hint = nearest(choose.best_on, names)
            raise ValueError(f"best_on: {choose.best_on!r} is none of the objectives{hint}")
        return choose

    @property
    def objectives(self) -> list[Metric]:
        """Return the objectives, whether written as metric or metrics."""
        return self.metrics if self.metrics is not None else [self.metric] if self.metric else []
