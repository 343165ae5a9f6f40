"""Types of numbers and truths as a person writes them: pydantic alone reads true as 1, the text "2" as 2."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

MOST = 2**31 - 1
"""The most that anything is counted to: epochs, images, trials."""


def number(value: Any) -> Any:
    """Return the value itself; raise ValueError for a truth or a text."""
    if isinstance(value, bool | str | bytes):
        raise ValueError(f"should be a number, not {value!r}")
    return value


def whole_number(value: Any) -> Any:
    """Return the value, 1e3 as 1000; raise ValueError for a truth or a text."""
    if isinstance(value, bool | str | bytes):
        raise ValueError(f"should be a whole number, not {value!r}")
    # pydantic gives up above 2**63
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _true_or_false(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"should be true or false, not {value!r}")
    return value


Number = Annotated[float, BeforeValidator(number)]
WholeNumber = Annotated[int, Field(le=MOST), BeforeValidator(whole_number)]
Boolean = Annotated[bool, BeforeValidator(_true_or_false)]
