"""Numbers of a figure with as many digits as anybody sees."""

from typing import Any


def six_digits(value: Any) -> Any:
    """Return a figure's data with six digits a number: with all digits a large study's page grows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: six_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [six_digits(item) for item in value]
    return value
