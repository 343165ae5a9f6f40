"""Whether every node of a cluster sees the study's folder, before a trial is handed out."""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.errors import FAILED, SweepError
from sweeps.study.paths import StudyPaths
from trainables.places.object_path import ObjectPath
from trainables.results.trial_paths import is_seen, not_seen

_SECONDS = 60.0
"""How long nodes have to answer; what a slower one does not see, its first trial says."""


def check(paths: StudyPaths) -> None:
    """Check that the nodes that may run trials see the study.

    Raises `SweepError` that names one that does not. A study on an object store is seen from everywhere.
    """
    if isinstance(paths.root, ObjectPath):
        return
    folder = str(paths.root.absolute())
    asked = {
        ray.remote(num_cpus=0, max_retries=0)(is_seen)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(folder): node
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS)
    for answer in answered:
        if not _says_yes(answer):
            raise SweepError(not_seen(_name(asked[answer]), folder), FAILED)


def _says_yes(answer: Any) -> bool:
    """Return what a node said; one that died meanwhile, or cannot start a worker, says nothing against it."""
    try:
        return bool(ray.get(answer))
    except ray.exceptions.RayError:
        return True


def _name(node: dict[str, Any]) -> str:
    host, address = node["NodeManagerHostname"], node["NodeManagerAddress"]
    return address if host == address else f"{host} ({address})"
