"""The lock of a study in a database: a lease kept there, for drivers on machines that share nothing else.

A lease is an Optuna study ``<name>/driver/<n>`` without trials; the highest n counts. To create one is atomic
in each of Optuna's storages, so that exactly one of several drivers wins n + 1, and to delete all lower ones
is the fence: in a database every write of a driver first takes a share of its own lease's row, in the same
transaction, and fails once that is deleted. Through Optuna's gRPC proxy, where transactions are out of reach,
it looks for its lease before each write; a pause between both still meets Optuna's own rule, by which
nothing is written to a row that has ended, and a driver that takes over ends all rows under way.

Whether a holder elsewhere still lives is told by its heartbeat, a number that the waiter sees move by its own
monotonic clock: no clocks of two machines are compared.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection

from sweeps.study.driver.lock import Driver, TakenOver, taken, this_driver
from trainables.store.process import Process, has_ended, this_process

HEARTBEAT = 3.0  # seconds between signs of life
PATIENCE = 30.0  # seconds without one, by the waiter's clock, after which a holder elsewhere counts as dead
_POLL = 0.25
_HOLDER = "holder"
_UNKNOWN = {"host": "a host that it has not noted yet", "pid": 0, "since": "just now"}

Holder = Mapping[str, Any]
"""What a lease says: the driver's host, pid and since, its process, its heartbeat, whether it is released."""


class StorageLease:
    """A lease on the study ``name`` in an Optuna storage.

    ``where`` is how messages call it; ``say`` hears what a person who waits wants to know.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        where: str,
        say: Callable[[str], None] = lambda _: None,
        heartbeat: float = HEARTBEAT,
        patience: float = PATIENCE,
    ):
        self._storage = storage
        self._prefix = f"{name}/driver/"
        self._where = where
        self._say = say
        self._heartbeat = heartbeat
        self._patience = patience

    @contextmanager
    def hold(self) -> Iterator[Callable[[], None]]:
        """Hold the lease for the length of the block.

        A holder on this machine whose process is gone is taken over at once, one elsewhere when its heartbeat
        has not moved for ``patience`` seconds; a `SweepError` names any other.
        """
        number, study, me = self._acquire()
        ended, is_lost = threading.Event(), threading.Event()
        beating = threading.Thread(
            target=self._beat, args=(study, me, ended, is_lost), name=f"lease {self._prefix}", daemon=True
        )
        try:
            with self._fenced(self._prefix + str(number)):
                beating.start()
                try:
                    yield lambda: self._check(number, is_lost)
                finally:
                    ended.set()
                    beating.join()
                    with suppress(Exception):  # the database is away, or another has taken over
                        self._write(study, {**me, "released": True})
        except TakenOver:
            raise TakenOver(self._where, self.driver()) from None

    def driver(self) -> Driver | None:
        """Return the driver that holds the lease now; one elsewhere is listened to for a moment."""
        found = self._latest()
        if found is None or _is_free(found[1]):
            return None
        deadline = time.monotonic() + 2 * self._heartbeat
        while not (heard := _lives_here(found[1]) or self._latest() != found):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL)
        return _driver(found[1], heard)

    def _acquire(self) -> tuple[int, int, Holder]:
        """Return the number of the lease that this process has got, its study, and what it says."""
        me: Holder = {
            **asdict(this_driver()),
            "process": asdict(this_process()),
            "beat": 0,
            "released": False,
        }
        seen, since, told = self._latest(), time.monotonic(), False
        while True:
            found = self._latest()
            if found is not None and not _is_free(found[1]):
                if found != seen or _lives_here(found[1]):
                    raise taken(self._where, _driver(found[1]))
                if time.monotonic() - since < self._patience:
                    told = told or self._say_that_it_listens(found[1])
                    time.sleep(_POLL)
                    continue
            number = found[0] + 1 if found else 1
            if (study := self._create(number, me)) is not None:
                return number, study, me
            seen, since = self._latest(), time.monotonic()

    def _say_that_it_listens(self, holder: Holder) -> bool:
        self._say(
            f"This study was last run by {_driver(holder)}. "
            f"Listening for a sign of life for {self._patience:.0f} s before it is taken over."
        )
        return True

    def _create(self, number: int, me: Holder) -> int | None:
        """Create the lease of that number and delete all before it; None where another was quicker."""
        try:
            study = self._storage.create_new_study([StudyDirection.MINIMIZE], f"{self._prefix}{number}")
        except DuplicatedStudyError:
            return None
        except StorageInternalError as error:
            if "database is locked" in str(error.__cause__):  # SQLite's word for one who is just writing
                return None
            raise
        self._write(study, me)
        for earlier in (n for n in self._numbers() if n < number):
            with suppress(KeyError):  # it is gone
                while True:  # a write of its holder may have come between
                    self._storage.delete_study(
                        self._storage.get_study_id_from_name(f"{self._prefix}{earlier}")
                    )
        return study

    def _beat(self, study: int, me: Holder, ended: threading.Event, is_lost: threading.Event) -> None:
        beat = 0
        while not ended.wait(self._heartbeat):
            beat += 1
            try:
                self._write(study, {**me, "beat": beat})
            except (KeyError, TakenOver):
                return is_lost.set()
            except Exception:  # the database is away for a moment: the next beat tries again
                continue

    def _check(self, number: int, is_lost: threading.Event) -> None:
        if not is_lost.is_set() and not isinstance(self._storage, RDBStorage):
            try:
                self._storage.get_study_id_from_name(f"{self._prefix}{number}")
            except KeyError:
                is_lost.set()
        if is_lost.is_set():
            raise TakenOver(self._where)

    @contextmanager
    def _fenced(self, lease: str) -> Iterator[None]:
        """Have every transaction of the block fail that commits after the lease was deleted."""
        if not isinstance(self._storage, RDBStorage):
            yield
            return
        names = sqlalchemy.table("studies", sqlalchemy.column("study_name"))
        held = sqlalchemy.select(names).where(names.c.study_name == lease).with_for_update(read=True)

        def check(connection: sqlalchemy.Connection) -> None:
            if connection.execute(held).first() is None:
                raise TakenOver(self._where)

        sqlalchemy.event.listen(self._storage.engine, "commit", check)
        try:
            yield
        finally:
            sqlalchemy.event.remove(self._storage.engine, "commit", check)

    def _latest(self) -> tuple[int, Holder] | None:
        """Return the lease that counts, with its number."""
        for number in sorted(self._numbers(), reverse=True):
            with suppress(KeyError):  # deleted in this moment
                study = self._storage.get_study_id_from_name(f"{self._prefix}{number}")
                return number, self._storage.get_study_user_attrs(study).get(_HOLDER, _UNKNOWN)
        return None

    def _numbers(self) -> list[int]:
        names = (name for name in optuna.get_all_study_names(self._storage) if name.startswith(self._prefix))
        return [int(name.removeprefix(self._prefix)) for name in names]

    def _write(self, study: int, holder: Holder) -> None:
        self._storage.set_study_user_attr(study, _HOLDER, holder)


def _driver(holder: Holder, heard: bool = True) -> Driver:
    return Driver(holder["host"], holder["pid"], holder["since"], heard)


def _is_free(holder: Holder) -> bool:
    """Tell whether a lease says that nobody drives; one that its holder still writes says nothing yet."""
    if holder is _UNKNOWN:
        return False
    process = Process(**holder["process"])
    return holder["released"] or process == this_process() or has_ended(process)


def _lives_here(holder: Holder) -> bool:
    return holder is not _UNKNOWN and holder["process"]["host"] == this_process().host
