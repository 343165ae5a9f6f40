"""Tables of layers' times in the store: one for all trials on devices of one kind."""

from collections.abc import Callable, Mapping
from typing import Any

from pruners.latency.tables import LatencyTables, Measured
from trainables.places.place import Place
from trainables.store.computed import Computed

FORMAT = 1  # raised when the code measures otherwise


class StoredTables(LatencyTables):
    """Times that come from the store and are measured where it lacks them; ``owner`` is the trial's folder.

    An entry is addressed by all that its times depend on (`timed_on`): two trials on such a device choose by
    the same times, and so do the same trial and its retry.
    """

    def __init__(self, store: Place, owner: str) -> None:
        super().__init__()
        self._store, self._owner = store, owner

    def once(self, of: Mapping[str, Any], part: str, measure: Callable[[], Measured]) -> Measured:
        """Read a part from the store; what it lacks is measured while nobody else does."""
        entry = Computed(self._store, {"computed": "latency", "computed_format": FORMAT, **of}, self._owner)
        if (kept := entry.data(part)) is not None:
            return kept
        with entry.held():
            if (kept := entry.data(part)) is None:  # else whoever held it before has measured it
                kept = super().once(of, part, measure)
                entry.keep_data(part, kept)
            return kept
