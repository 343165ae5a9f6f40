"""The lock of a study in an object store: a lease, as the store's trajectories have one.

It keeps a second driver out while the first gives signs of life. One that was paused for so long that another
took over is stopped by the journal, whose next entry can be written once (`ObjectJournal`).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace

from sweeps.errors import FAILED, SweepError
from sweeps.study.driver.lock import Driver, TakenOver, taken, this_driver
from trainables.places.object_path import ObjectPath
from trainables.places.place import create, write_whole
from trainables.store.lease import PATIENCE, HeldByAnother, lease, lives

_UNKNOWN = Driver("a host that it has not noted yet", 0, "just now")


class ObjectLock:
    """A lock in the folder ``folder`` of an object store; ``say`` hears what who waits wants to know."""

    def __init__(self, folder: ObjectPath, say: Callable[[str], None] = lambda _: None):
        self._folder = folder
        self._say = say

    @contextmanager
    def hold(self) -> Iterator[Callable[[], None]]:
        """Hold the lock for the length of the block.

        A driver on this machine whose process is gone is taken over at once, one elsewhere when it has given
        no sign of life for a while; a `SweepError` names any other.
        """
        if lives(self._folder, listen=0) is False:  # nor does it on this machine, which is seen at once
            self._say(
                f"This study was last run by {self._last()}. "
                f"Listening for a sign of life for {PATIENCE:.0f} s before it is taken over."
            )
        with ExitStack() as stack:
            try:
                is_ours = stack.enter_context(lease(self._folder, patience=PATIENCE, wait=False))
            except HeldByAnother as error:
                raise taken(str(self._folder.parent), self._last()) from error
            write_whole(self._noted, json.dumps(asdict(this_driver())).encode())
            if create(self._noted, b"{}"):
                raise SweepError(
                    f"{self._folder.parent}: this object store knows no conditional writes (If-None-Match), "
                    "and without them two drivers could not be kept apart. Give --out another one.",
                    FAILED,
                )

            def check() -> None:
                if not is_ours():
                    raise TakenOver(str(self._folder.parent), self._last())

            yield check

    def driver(self) -> Driver | None:
        """Return the driver that holds the lock now; one elsewhere is listened to for a moment."""
        heard = lives(self._folder)
        return None if heard is None else replace(self._last(), heard=heard)

    @property
    def _noted(self) -> ObjectPath:
        return self._folder / "driver.json"

    def _last(self) -> Driver:
        try:
            return Driver(**json.loads(self._noted.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return _UNKNOWN
