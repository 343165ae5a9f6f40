"""Processes that share a trial's trainings on the nodes of a Ray cluster.

Ray Train's own trainers reserve a placement group of their own beside the trial's, which Tune neither counts
nor waits for. These processes live in the trial's.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray import get_runtime_context
from ray.util import get_node_ip_address, placement_group_table
from ray.util.placement_group import PlacementGroup, get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import distributed

from trainables.execution.member import GroupMember
from trainables.execution.process_group.group import Answer, Member, ProcessGroup
from trainables.execution.process_group.on_this_machine import LocalMember

Files = Mapping[str, bytes]
"""A folder's files by their paths in it."""


class RayGroup(ProcessGroup):
    """A group in the placement group of the Tune trial that this process is: a process a bundle.

    The first is a child of this very process, with its GPU, the others are actors. None outlives it.
    """

    def _begun(self, device: str) -> list[Member]:
        return [
            LocalMember(0, self.size, device),
            *(RayMember(index, self.size, device) for index in range(1, self.size)),
        ]

    def _meeting_place(self) -> str:
        nodes = placement_group_table(_placement())["bundles_to_node_id"].values()
        if {*nodes} == {get_runtime_context().get_node_id()}:
            return self._meeting_file()
        host = get_node_ip_address()
        # kept, as it serves as long as it lives
        self._store = distributed.TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return f"tcp://{host}:{self._store.port}"


class RayMember(Member):
    """An actor in the bundle of its number, of the placement group that this process is in."""

    def __init__(self, index: int, size: int, device: str):
        placement = _placement()
        bundle = {name: amount for name, amount in placement.bundle_specs[index].items() if amount}
        options: dict[str, Any] = {
            "num_cpus": bundle.pop("CPU", 0),
            "num_gpus": bundle.pop("GPU", 0),
            "memory": int(bundle.pop("memory", 0)) or None,
            "resources": bundle,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(placement, index),
        }
        self._actor = ray.remote(**options)(_Peer).remote(index, size, device)
        self._asked: Any = None

    def ask(self, command: str, given: str) -> None:
        """Tell it what to do; a folder's files go with it."""
        files = _files(Path(given)) if command == "train" else {}
        self._asked = self._actor.do.remote(command, given, files)

    def answer(self) -> Answer | None:
        """Return what came of the last command, None while it is at it."""
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            return None
        try:
            return Answer(**ray.get(ready[0]))
        except ray.exceptions.RayError as error:
            return Answer("lost", " ".join(str(error).split()))

    def end(self) -> None:
        """End it at once."""
        ray.kill(self._actor)


class _Peer:
    """A `GroupMember` as an actor."""

    def __init__(self, index: int, size: int, device: str):
        self._member = GroupMember(index, size, device)

    def do(self, command: str, given: str, files: Files) -> dict[str, Any]:
        """Do as told, with a folder's files in one of this node."""
        with TemporaryDirectory(prefix="tombola-") as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return asdict(self._member.do(command, folder if command == "train" else given))


def _placement() -> PlacementGroup:
    placement = get_current_placement_group()
    assert placement, "a trial of several processes is to hold a bundle for each"
    return placement


def _files(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
