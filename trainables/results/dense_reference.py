"""The dense network that a compressed one is measured against."""

from weakref import WeakKeyDictionary

from torch import nn

import pruners
from trainables.execution.network import Network, bytes_of
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import VALIDATION

# by the batch that networks are timed with: once per process, however many trials ask
_measured: WeakKeyDictionary[nn.Module, dict[int, dict[str, float]]] = WeakKeyDictionary()


def measured(dense: Network, setting: TrialSetting) -> dict[str, float]:
    """Measure validation's metrics and loss, params, bytes, multiply_adds and latency_ms."""
    by_batch = _measured.setdefault(dense.module, {})
    if setting.latency_batch not in by_batch:
        metrics = (
            dense.history[-1]
            if dense.history
            else setting.evaluate(dense.module, setting.data.validation, "val")
        )
        by_batch[setting.latency_batch] = {
            name: value for name, value in metrics.items() if name.startswith(VALIDATION)
        } | costs(dense, setting)
    return by_batch[setting.latency_batch]


def costs(dense: Network, setting: TrialSetting) -> dict[str, float]:
    """Measure params, bytes, multiply_adds and latency_ms of a dense network, trained or not."""
    cost = pruners.cost(dense.module, setting.example())
    return {
        "params": cost.params,
        "bytes": bytes_of(dense),
        "multiply_adds": cost.multiply_adds,
        "latency_ms": pruners.latencies({"dense": dense.module}, setting.timed_batch())["dense"].ms,
    }
