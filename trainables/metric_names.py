"""The names of a trial's figures: in results and history, in the study, among a sweep file's objectives."""

from typing import Literal

Goal = Literal["maximize", "minimize"]

VALIDATION, TEST, COMPRESSION = "val/", "test/", "compress/"
"""How the names of one kind begin."""

VAL_LOSS = "val/loss"
TRAIN_LOSS = "train/loss"
GRADIENT_NORM = "train/grad_norm"

PARAMS = "compress/params"
PARAMS_KEPT = "compress/params_kept"
MULTIPLY_ADDS = "compress/multiply_adds"
FLOPS_KEPT = "compress/flops_kept"
LATENCY_MS = "compress/latency_ms"
LATENCY_KEPT = "compress/latency_kept"
BYTES = "compress/bytes"
BYTES_KEPT = "compress/bytes_kept"
DENSITY = "compress/density"
LARGEST_ERROR = "compress/error"
DIVERGENCE = "compress/divergence"
INT8_DIVERGENCE = "compress/int8_divergence"
SETTLED_AT = "compress/settled_at"
NETWORK = "network"
"""The SHA-256 of the screened network's tensors: two trials may come to the same network."""
EARLIER = "earlier"
"""Points of a trial before its first report, which the store had; each as the history of a result has it."""
TRAINING = "training"
"""The history of the training of a lottery's level."""
OF_A_LAYER = "compress/layer/"
"""The layer's name and the figure's follow."""


def on_validation(metric: str) -> str:
    """Return what a metric of the task is called on the validation split."""
    return VALIDATION + metric


def of_dense(metric: str) -> str:
    """Return what a metric of the dense network is called among a trial's own."""
    return f"dense/{metric}"


def of_float(metric: str) -> str:
    """Return what a metric of the network before it became int8 is called among a trial's own."""
    return f"float/{metric}"


def on_test(name: str) -> str:
    """Return what a metric is called on the test split, by its name on the validation split."""
    return name.replace(VALIDATION, TEST, 1)
