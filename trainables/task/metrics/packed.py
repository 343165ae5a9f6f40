"""Which examples of a split a network told right, as JSON holds it: eight of them a byte in base64."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the number of examples, and their bits."""
    return {"examples": len(right), "right": base64.b64encode(np.packbits(right).tobytes()).decode()}


def unpacked(held: dict[str, Any]) -> NDArray[np.bool_]:
    """Return what `packed` holds, one truth an example."""
    whole = np.frombuffer(base64.b64decode(held["right"]), dtype=np.uint8)
    return np.unpackbits(whole, count=held["examples"]).astype(np.bool_)
