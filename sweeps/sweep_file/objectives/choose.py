"""Which of the networks found becomes the best, as the sweep file writes it."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from sweeps.sweep_file.known_names import STRICT
from trainables.field_types import Number


class Choose(BaseModel):
    """How the best is chosen among the networks that keep the constraints.

    ``smallest_within``: the smallest of those that are worse than the dense network by at most so much, on
    validation. ``best_on``: the best on one of the objectives.
    """

    model_config = STRICT

    smallest_within: Number | None = Field(default=None, ge=0)
    best_on: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.smallest_within is None) == (self.best_on is None):
            raise ValueError("give either smallest_within or best_on")
        return self
