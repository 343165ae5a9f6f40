"""Options as an artifact keeps them."""

import json
from collections.abc import Mapping
from typing import Any

from pruners.errors import PrunerError


def recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON gives them back (tuples become lists); PrunerError for one that JSON cannot hold."""
    result = {}
    for name, value in options.items():
        try:
            result[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            raise PrunerError(f"Option {name} takes what JSON can hold (numbers, texts, lists, mappings), not {value!r}.") from None
    return result
