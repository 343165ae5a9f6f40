"""The stages that a compression section and a budget mean."""

from dataclasses import asdict

from trainables.config import TrialConfig
from trainables.errors import TaskError
from trainables.stages import Compress, Recipe, Reinitialize


def pruning(config: TrialConfig) -> Recipe:
    """Return the stages that compress, and draw the weights anew where the control says so. Raises
    `TaskError` without a budget.
    """
    if config.budget is None:
        raise TaskError(
            f"trainable {config.trainable} needs a budget: keep_ratio, parameters or flops_ratio."
        )
    compression = config.compression
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
    )
    return (compress, Reinitialize()) if compression.control == "reinit" else (compress,)
