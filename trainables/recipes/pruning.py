"""The stages that a compression section and a budget mean."""

from dataclasses import asdict

import pruners
from trainables.config import CompressionConfig, TrialConfig
from trainables.errors import TaskError
from trainables.stages import Compress, Recipe, Reinitialize


def pruning(config: TrialConfig, *, is_trained: bool = True) -> Recipe:
    """Return the stages that compress, and draw the weights anew where the control says so.

    A network that is not trained yet has no outputs worth fitting to, and is compressed without calibration
    images. Raises `TaskError` without a budget, and for options of a mask that would fit to these outputs.
    """
    if config.budget is None:
        raise TaskError(
            f"trainable {config.trainable} needs a budget: keep_ratio, parameters or flops_ratio."
        )
    compression = config.compression
    _check_images(config.trainable, compression, is_trained)
    layers = {name: asdict(shape) for name, shape in compression.layers.items()}
    control = compression.control if compression.control in ("shuffle", "random") else None
    compress = Compress(
        compression.method,
        config.budget,
        compression.options,
        compression.tolerance,
        layers,
        compression.scoring_per_class,
        control,
        calibration_images(compression) if is_trained else 0,
    )
    return (compress, Reinitialize()) if compression.control == "reinit" else (compress,)


def _check_images(trainable: str, compression: CompressionConfig, is_trained: bool) -> None:
    """Raise `TaskError` where a mask is to be allocated or fitted by images and there are none for it."""
    method = pruners.methods().get(compression.method)
    if method is None or method.kind != "mask" or not method.wants_data(compression.options):
        return
    if not is_trained:
        raise TaskError(
            f"trainable {trainable} prunes a network without training, whose outputs say nothing: allocation "
            "measured and a refit are for networks that are trained."
        )
    if not calibration_images(compression) and "loss" not in method.needs:
        raise TaskError("allocation measured and a refit need compression.calibration_images, which are 0.")


def calibration_images(compression: CompressionConfig) -> int:
    """Count the images that the method is given to fit to: none where it would make no use of them.

    One that scores weights by labels and a loss has its scoring batch for data.
    """
    method = pruners.methods().get(compression.method)
    if method is None or "loss" in method.needs or not method.wants_data(compression.options):
        return 0
    return compression.calibration_images
