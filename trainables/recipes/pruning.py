"""The stages that a compression section and a budget mean."""

from dataclasses import asdict

from pruners.sparse.selection.shared_options import BY_IMAGES
from trainables.config import BUDGETS, CompressionConfig, TrialConfig
from trainables.errors import Refused, TaskError
from trainables.stages import Compress, Recipe, Reinitialize
from trainables.users_code.methods import method_named


def pruning(config: TrialConfig, *, is_trained: bool = True) -> Recipe:
    """Return the stages that compress, and draw the weights anew where the control says so.

    A network that is not trained yet has no outputs worth fitting to, and is compressed without calibration
    images. Raises `TaskError` without a budget, and where such images are needed and there are none.
    """
    if config.budget is None:
        raise TaskError(
            f"trainable {config.trainable} needs a budget: {', '.join(BUDGETS[:-1])} or {BUDGETS[-1]}."
        )
    compression = config.compression
    if not is_trained:
        _check_untrained(config.trainable, compression)
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


def _check_untrained(trainable: str, compression: CompressionConfig) -> None:
    """Raise `TaskError` where an untrained network is to be chosen or fitted by its outputs."""
    if needing := _cannot_do_without_images(compression):
        raise TaskError(
            f"trainable {trainable} compresses a network without training, whose outputs say nothing: "
            f"{needing} is for networks that are trained."
        )


def calibration_images(compression: CompressionConfig) -> int:
    """Count the images that the method is given to fit to: none where it would make no use of them.

    One that scores weights by labels and a loss has its scoring batch for data. Raises `Refused` where the
    method or its options cannot do without them and there are to be none.
    """
    method = method_named(compression.method)
    if "loss" in method.needs or not method.wants_data(compression.options):
        return 0
    if not compression.calibration_images and (needing := _cannot_do_without_images(compression)):
        key = ("compression", "calibration_images")
        raise Refused(key, f"{needing} needs {'.'.join(key)}, which are 0.")
    return compression.calibration_images


def _cannot_do_without_images(compression: CompressionConfig) -> str | None:
    """Say what of a compression is done by calibration images alone; None where nothing is."""
    needs, options = method_named(compression.method).needs, compression.options
    if (allocation := options.get("allocation")) in BY_IMAGES:
        return f"allocation {allocation}"
    if (refit := options.get("refit")) not in (None, "none"):
        return f"refit {refit}"
    return f"method {compression.method}" if "data" in needs and "loss" not in needs else None
