"""What a network's outputs hold: class scores, and the scores of heads that are there to train it."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_MAIN = ("out", "logits")
AUXILIARY = {"aux": 0.5, "aux_logits": 0.4, "aux_logits1": 0.3, "aux_logits2": 0.3}
"""Weight in the training loss of the scores under each name.

Segmentation's as in torchvision's references (references/segmentation/train.py), Inception-v3's as in
PyTorch's tutorial on finetuning torchvision's models, GoogLeNet's as in its paper (Szegedy et al., CVPR 2015,
section 5).
"""


def class_scores(outputs: Any) -> Any:
    """Return the class scores in a network's outputs; outputs of another form as they are.

    They are a tensor, or stand under "out" or "logits" in a dictionary (torchvision's segmentation networks,
    transformers) or in a named tuple (GoogLeNet and Inception-v3 in train mode).
    """
    named = _by_name(outputs)
    return next((named[name] for name in _MAIN if isinstance(named.get(name), Tensor)), outputs)


def auxiliary_scores(outputs: Any) -> list[tuple[float, Tensor]]:
    """Return the scores of auxiliary heads in a network's outputs, each with its weight in the loss."""
    named = _by_name(outputs)
    return [
        (weight, named[name]) for name, weight in AUXILIARY.items() if isinstance(named.get(name), Tensor)
    ]


def _by_name(outputs: Any) -> Mapping[str, Any]:
    if isinstance(outputs, tuple) and hasattr(outputs, "_asdict"):
        named: Mapping[str, Any] = outputs._asdict()
        return named
    return outputs if isinstance(outputs, Mapping) else {}
