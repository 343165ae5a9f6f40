"""How long a trial's network takes, beside the dense one."""

import pruners
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import LATENCY_KEPT, LATENCY_MS
from trainables.task.task import build_network


def latency(network: Network, setting: TrialSetting) -> dict[str, float]:
    """Time a pass of the network, int8 where it is that, in turn with the dense network's.

    What weights are is no matter of time: the dense network is one that is not trained.
    """
    dense = build_network(setting.task).to(setting.device)
    timed = pruners.latencies({"dense": dense, "small": network.in_use}, setting.timed_batch())["small"]
    return {LATENCY_MS: timed.ms, LATENCY_KEPT: timed.kept}
