"""A trial's network made int8, after all training."""

from collections.abc import Mapping
from dataclasses import replace

import pruners
from trainables.config import CompressionConfig
from trainables.errors import TrainingError
from trainables.execution.compression.training_images import first_batches
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import INT8_DIVERGENCE, of_float
from trainables.results.compression_figures import sizes
from trainables.results.latency import latency


def made_int8(trained: Network, setting: TrialSetting, compression: CompressionConfig, seed: int) -> Network:
    """Make a network int8, calibrated on training images that are not augmented.

    TrainingError where it cannot be.
    """
    assert compression.int8 != "none"
    images = first_batches(setting, seed, compression.calibration_images)
    try:
        return replace(trained, int8=pruners.quantize(trained.module, images, compression.int8))
    except pruners.PrunerError as error:
        raise TrainingError(f"compression.int8: {error}") from error


def int8_figures(
    network: Network, setting: TrialSetting, dense: Mapping[str, float], float_metrics: Mapping[str, float]
) -> dict[str, float]:
    """Measure what is another number once a network is int8: the metrics on validation, size and latency.

    ``dense`` holds the bytes of the dense network, ``float_metrics`` the metrics before, which are kept under
    names of their own.
    """
    assert network.int8
    measured = setting.on_cpu().evaluate(network.int8, setting.data.validation, "val")
    return {
        **measured,
        **{of_float(name): float_metrics[name] for name in measured if name in float_metrics},
        **sizes(network, dense),
        **latency(network, setting.on_cpu()),
        INT8_DIVERGENCE: network.int8.divergence,
    }
