"""A constraint, as the sweep file writes it."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from sweeps.sweep_file.known_names import STRICT
from sweeps.sweep_file.objectives.metric import allows_anything, is_a_share, is_reported, never_on_test
from trainables.field_types import Number
from trainables.metric_names import (
    BYTES,
    BYTES_KEPT,
    COMPRESSION,
    DENSITY,
    DIVERGENCE,
    FLOPS_KEPT,
    INT8_DIVERGENCE,
    LARGEST_ERROR,
    LATENCY_MS,
    MULTIPLY_ADDS,
    PARAMS,
    PARAMS_KEPT,
    VAL_LOSS,
    VALIDATION,
    on_validation,
)

_COUNTS = (PARAMS, BYTES, MULTIPLY_ADDS)
_ABOVE_ZERO = (PARAMS_KEPT, BYTES_KEPT, DENSITY, FLOPS_KEPT, LATENCY_MS)
_NOT_BELOW_ZERO = (LARGEST_ERROR, DIVERGENCE, INT8_DIVERGENCE, on_validation("mae"), on_validation("rmse"))
KINDS = ("at_most", "at_least", "within")


class Constraint(BaseModel):
    """A bound that a network must keep to be taken: ``at_most``, ``at_least``, or ``within`` of dense.

    ``within`` is in the metric's own unit: 0.01 of accuracy is one point.
    """

    model_config = STRICT

    metric: Annotated[str, AfterValidator(is_reported)]
    at_most: Number | None = None
    at_least: Number | None = None
    within: Number | None = Field(default=None, ge=0)
    of: Literal["dense"] | None = None

    @field_validator("metric", mode="before")
    @classmethod
    def _never_the_test_split(cls, name: Any) -> Any:
        return never_on_test(name, "be a constraint")

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            here = " and ".join(given) or "none of them"
            raise ValueError(f"give one of {', '.join(KINDS[:-1])} and {KINDS[-1]}; here is {here}")
        if self.of and self.within is None:
            raise ValueError("of belongs to within")
        if self.within is not None:
            self._check_within()
        elif self.at_most is not None and self._is_never_at_most(self.at_most):
            raise ValueError(f"{self.metric} is never {self.at_most:g} or less")
        elif self.at_least is not None and self.at_least > 1 and is_a_share(self.metric):
            raise ValueError(f"{self.metric} is a share and never {self.at_least:g}; it lies between 0 and 1")
        return self

    def _check_within(self) -> None:
        assert self.within is not None
        if self.metric == VAL_LOSS or not self.metric.startswith(VALIDATION):
            raise ValueError(
                f"within compares the task's metrics with the dense network's, not {self.metric}; "
                f"give at_most{f' of {PARAMS_KEPT}' if self.metric.startswith(COMPRESSION) else ''}"
            )
        if self.within >= 1 and is_a_share(self.metric):
            raise ValueError(allows_anything(self.metric, self.within))

    def _is_never_at_most(self, bound: float) -> bool:
        if self.metric in _COUNTS:
            return bound < 1
        if self.metric in _ABOVE_ZERO or is_a_share(self.metric):
            return bound <= 0
        return self.metric in _NOT_BELOW_ZERO and bound < 0

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


def contradiction(constraints: list[Constraint]) -> str | None:
    """Return a sentence on two constraints that are the same, or that nothing can keep both of."""
    for place, one in enumerate(constraints):
        for other in constraints[:place]:
            if one.metric != other.metric:
                continue
            if any(getattr(one, kind) is not None and getattr(other, kind) is not None for kind in KINDS):
                return f"{one.metric} is bounded twice the same way; leave one out"
            least = other.at_least if one.at_least is None else one.at_least
            most = other.at_most if one.at_most is None else one.at_most
            if least is not None and most is not None and least > most:
                return f"{one.metric} cannot be at least {least:g} and at most {most:g}"
    return None
