"""The nodes of a Ray cluster as this driver comes to know them: those where workers die are avoided."""

import logging
from collections.abc import Collection

from sweeps.running.bad_nodes import BadNodes
from sweeps.running.on_ray import room
from sweeps.study.rows.death import Death
from sweeps.sweep_file.keys import Resources

_log = logging.getLogger(__name__)


class Nodes:
    """Where trials of these ``resources`` are to run.

    Ray tells of a death by the node's address. A node is remembered by its id: restarted, it is another.
    """

    def __init__(self, resources: Resources):
        self._resources = resources
        self._nodes = BadNodes()
        self._told: set[str] = set()

    def wanted(self, waiting: int) -> int:
        """Return how many trials shall be under way, of which so many wait to run elsewhere than they did."""
        usable = room.usable(self._resources).keys()
        return room.wanted(self._resources, self._nodes.avoided(None, usable), waiting)

    def avoided(self, trial: str) -> tuple[list[str], bool]:
        """Return the ids of the nodes that the trial shall not run on, and whether others may run on some."""
        usable = room.usable(self._resources).keys()
        avoided = self._nodes.avoided(trial, usable)
        return sorted(avoided), avoided > self._nodes.bad

    def leaves_none(self, avoided: Collection[str]) -> bool:
        """Tell whether all nodes that could hold a trial are among these."""
        usable = room.usable(self._resources).keys()
        return bool(usable) and usable <= set(avoided)

    def died(self, trial: str, death: Death, address: str | None) -> None:
        """Hear how a trial's worker died, and on the node of which address where Ray knows it.

        Of several processes it may have been one on another node: no node is avoided for it.
        """
        node = _at(address) if self._resources.processes == 1 else None
        if node and death in ("crashed", "out_of_memory"):  # else the node is gone
            self._nodes.died(trial, node)
            self._tell()

    def ended(self, address: str) -> None:
        """Hear that a trial came to its end on the node of this address."""
        node = _at(address)
        if node:
            self._nodes.ended(node)
            self._tell()

    def _tell(self) -> None:
        """Say once of each node that it is avoided."""
        for node in room.alive():
            if node["NodeID"] in self._nodes.bad - self._told:
                self._told.add(node["NodeID"])
                _log.warning(
                    "Node %s gets no more trials while others have room: %d workers died there one after the "
                    "other, while trials ended on other nodes. Restart Ray on it, or stop and resume "
                    "the study, to use it again.",
                    node["NodeManagerAddress"],
                    self._nodes.deaths(node["NodeID"]),
                )


def _at(address: str | None) -> str | None:
    """Return the id of the living node at an address."""
    return next((node["NodeID"] for node in room.alive() if node["NodeManagerAddress"] == address), None)
