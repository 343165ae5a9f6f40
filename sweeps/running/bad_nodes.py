"""The rule by which a node of a cluster gets no more trials: their workers die there and nowhere else."""

from collections import Counter, defaultdict
from collections.abc import Set

TRIALS = 3
"""So many different trials must have died on a node, none having ended there in between."""


class BadNodes:
    """What happened to workers on each node, and which nodes a trial is better kept away from.

    A trial that dies on several nodes is at fault itself and counts against none of them.
    """

    def __init__(self) -> None:
        self._deaths: dict[str, Counter[str]] = {}  # by node: of its trials, since one has ended there
        self._outdone: set[str] = set()  # those of these nodes for which others have ended a trial meanwhile
        self._died_on: defaultdict[str, set[str]] = defaultdict(set)  # by trial

    def died(self, trial: str, node: str) -> None:
        """Hear that a trial's worker died on a node that lives on."""
        self._deaths.setdefault(node, Counter())[trial] += 1
        self._died_on[trial].add(node)

    def ended(self, node: str) -> None:
        """Hear that a trial came to its end on a node."""
        self._deaths.pop(node, None)
        self._outdone.discard(node)
        self._outdone |= self._deaths.keys()

    def deaths(self, node: str) -> int:
        """Count the workers that died on a node since a trial ended there."""
        return self._deaths[node].total() if node in self._deaths else 0

    @property
    def bad(self) -> set[str]:
        """Return the nodes that are to get no more trials."""
        return {node for node in self._outdone if len(self._at_no_fault(node)) >= TRIALS}

    def avoided(self, trial: str | None, usable: Set[str]) -> set[str]:
        """Return the nodes that a trial, or any trial (None), shall not run on.

        These are the bad ones and those where it died before, as long as one of the nodes that can hold a
        trial (``usable``) is left.
        """
        bad = self.bad
        before = self._died_on.get(trial, set()) if trial else set()
        for avoided in (bad | before, bad):
            if usable - avoided:
                return avoided
        return set()

    def _at_no_fault(self, node: str) -> set[str]:
        return {trial for trial in self._deaths[node] if len(self._died_on[trial]) == 1}
