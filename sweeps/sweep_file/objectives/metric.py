"""The metrics that a trial reports, and an objective."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, field_validator

from pruners.errors import nearest
from sweeps.sweep_file.known_names import STRICT
from trainables.metric_names import (
    BYTES,
    BYTES_KEPT,
    DENSITY,
    DIVERGENCE,
    FLOPS_KEPT,
    INT8_DIVERGENCE,
    LARGEST_ERROR,
    LATENCY_KEPT,
    LATENCY_MS,
    MULTIPLY_ADDS,
    PARAMS,
    PARAMS_KEPT,
    TEST,
    TRAIN_LOSS,
    VAL_LOSS,
    VALIDATION,
    on_validation,
)
from trainables.task.metrics import BUILT_IN, is_share

METRICS = {
    **{on_validation(name): metric.goal for name, metric in BUILT_IN.items()},
    VAL_LOSS: "minimize",
    TRAIN_LOSS: "minimize",
    PARAMS: "minimize",
    PARAMS_KEPT: "minimize",
    BYTES: "minimize",
    BYTES_KEPT: "minimize",
    DENSITY: "minimize",
    MULTIPLY_ADDS: "minimize",
    FLOPS_KEPT: "minimize",
    LATENCY_MS: "minimize",
    LATENCY_KEPT: "minimize",
    LARGEST_ERROR: "minimize",
    DIVERGENCE: "minimize",
    INT8_DIVERGENCE: "minimize",
}
"""What a study may optimise, with the usual goal; a task's own metrics come beside them."""


def is_reported(name: str) -> str:
    """Check that a trial reports a metric; those behind val/ are checked once the task is known."""
    if name not in METRICS and not name.startswith(VALIDATION):
        raise ValueError(f"{name!r} is no metric of a trial{nearest(name, METRICS)}")
    return name


def never_on_test(name: Any, done: str) -> Any:
    """Check that a metric is none on test; ``done`` is what cannot be done with it."""
    if isinstance(name, str) and name.startswith(TEST):
        raise ValueError(
            f"{name} cannot {done}: validation selects, and the test split is read once at the end"
        )
    return name


def is_a_share(name: str) -> bool:
    """Tell whether a metric that comes with us lies between 0 and 1."""
    return name in (PARAMS_KEPT, FLOPS_KEPT, DENSITY) or is_share(name)


def allows_anything(share: str, within: float) -> str:
    """Say that a share cannot be worse by more than ``within``."""
    return f"{share} lies between 0 and 1: within {within:g} allows anything; one point is 0.01."


class Metric(BaseModel):
    """An objective: a metric's name and whether more is better."""

    model_config = STRICT

    name: Annotated[str, AfterValidator(is_reported)]
    goal: Literal["maximize", "minimize"]

    @field_validator("name", mode="before")
    @classmethod
    def _never_the_test_split(cls, name: Any) -> Any:
        return never_on_test(name, "be optimised")
