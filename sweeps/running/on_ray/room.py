"""What a trial asks of Ray, and how many trials a cluster holds: now, and once it has grown."""

import logging
from collections.abc import Callable, Collection, Mapping
from math import floor
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import tune

from sweeps.errors import SweepError
from sweeps.sweep_file.keys import Resources

_log = logging.getLogger(__name__)
_CLUSTER = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster's file on its head, which tells how far the cluster may grow."""


def bundle(resources: Resources) -> dict[str, float]:
    """Return what each of a trial's processes asks of a node, in Ray's words."""
    asked: dict[str, float] = {"CPU": resources.cpus, "GPU": resources.gpus}
    if resources.memory:
        asked["memory"] = float(resources.memory)
    if resources.accelerator:
        asked[f"accelerator_type:{resources.accelerator}"] = 0.001
    return asked


def request(resources: Resources) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """Return what tells Tune a trial's place: ``avoided`` in its configuration are ids of nodes to keep off.

    A trial of several processes has a bundle for each, on as few nodes as have room. Actors are reused for
    trials with the same request only, so that no trial comes to an avoided node by one.
    """
    bundles = [bundle(resources)] * resources.processes

    def of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        if not config["avoided"]:
            return tune.PlacementGroupFactory(bundles)
        elsewhere = {"ray.io/node-id": f"!in({','.join(config['avoided'])})"}
        return tune.PlacementGroupFactory(bundles, bundle_label_selector=[elsewhere] * len(bundles))

    return of


def options(resources: Resources) -> dict[str, Any]:
    """Return what one process asks of a node, as options of `ray.remote`."""
    asked: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
    if resources.memory:
        asked["memory"] = int(resources.memory)
    if resources.accelerator:
        asked["accelerator_type"] = resources.accelerator
    return asked


def usable(resources: Resources) -> dict[str, int]:
    """Return how many processes of trials each node holds of those that hold any, by its id."""
    room = {node["NodeID"]: held(node["Resources"], resources) for node in alive()}
    return {node: count for node, count in room.items() if count}


def now(resources: Resources, avoided: Collection[str] = ()) -> int:
    """Return how many trials the cluster has room for as it is, nodes avoided aside, and the sweep allows."""
    held_now = sum(count for node, count in usable(resources).items() if node not in avoided)
    room = held_now // resources.processes
    return min(room, resources.concurrent or room)


def wanted(resources: Resources, avoided: Collection[str] = (), waiting: int = 0) -> int:
    """Return how many trials to hand out: as many as there is room for, or will be in the grown cluster.

    One that grows on demand grows at once when all are asked for. One trial is always wanted. While
    ``waiting`` trials wait for other nodes than those that have room, as many more are, for these.
    """
    return resources.concurrent or max(1, now(resources, avoided), once_grown(resources)) + waiting


def check(resources: Resources) -> None:
    """Check that this machine has room for a trial. Raises `SweepError` where it has none."""
    if now(resources) < 1:
        total = ray.cluster_resources()
        has = f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}"
        has += f", and {total.get('memory', 0) / 1e9:.3g} GB" if resources.memory else ""
        raise SweepError(f"resources: a trial wants {_told(resources)}; this machine has {has}.")


def say_if_nothing_fits(resources: Resources) -> None:
    """Warn where no node has room for a trial, or all together have none for one of several processes.

    A cluster may grow, so that waiting is right, but not in silence.
    """
    if now(resources) < 1:
        which = "No node of the cluster has" if resources.processes == 1 else "The cluster does not have"
        _log.warning("%s %s for a trial now; the study waits until one joins.", which, _told(resources))


def held(node: Mapping[str, float], resources: Resources) -> int:
    """Return how many processes of trials a node of these resources, in Ray's words, holds."""
    asked = {name: amount for name, amount in bundle(resources).items() if amount}
    return min(floor(node.get(name, 0) / amount) for name, amount in asked.items())


def once_grown(resources: Resources, cluster: Path = _CLUSTER) -> int:
    """Return how many trials the cluster of `ray up` holds once all its workers are there; 0 elsewhere."""
    try:
        config = yaml.safe_load(cluster.expanduser().read_text())
        kinds = config["available_node_types"]
        head = kinds[config["head_node_type"]].get("resources") or {}
        workers = [
            (held(kind.get("resources") or {}, resources), int(kind.get("max_workers", 0)))
            for kind in kinds.values()
        ]
        left = int(config["max_workers"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        return 0
    total = held(head, resources)
    for of_one, most in sorted(workers, reverse=True):
        started = min(left, most)
        total, left = total + started * of_one, left - started
    return total // resources.processes


def alive() -> list[dict[str, Any]]:
    """Return the cluster's nodes that live, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def _told(resources: Resources) -> str:
    words = [f"{resources.cpus} CPUs", f"{resources.gpus:g} GPUs"]
    words += [f"{resources.memory / 1e9:g} GB of memory"] if resources.memory else []
    words += [f"the accelerator {resources.accelerator}"] if resources.accelerator else []
    told = " and ".join([", ".join(words[:-1]), words[-1]])
    return f"{resources.processes} times {told}" if resources.processes > 1 else told
