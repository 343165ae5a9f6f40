"""The store of trajectories: nothing is trained twice.

A training trajectory is addressed by the hash of all that determines it and holds snapshots by epoch. It
lives in a plain directory, or a folder of an object store, that every node sees:

    <root>/<first two digits>/<key>/
        spec.json           what the key is the hash of
        lease-<n>.json      who works on it
        training_log.jsonl  one line per epoch really trained, and by whom
        epoch-<n>/          a snapshot: its files, and snapshot.json with their checksums
        step-<n>/           the same of the network alone, kept for those who rewind to it
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trainables.errors import LeaseLost, StoreError, StoreWarning
from trainables.places.folders import remove_tree
from trainables.places.place import Place
from trainables.store import training_log
from trainables.store.disk import disk_full_explained, write_json
from trainables.store.lease import lease
from trainables.store.snapshot import Snapshot, address, intact, put_in_place, scratch, snapshots, verified


class Trajectory:
    """One training trajectory's folder in the store."""

    def __init__(self, root: Place, spec: Mapping[str, Any]):
        self.key = address(spec)
        self.folder = root / self.key[:2] / self.key
        self._spec = spec
        self._lease: ExitStack | None = None
        self._is_ours: Callable[[], bool]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the trajectory for the length of the block, except between `release` and `hold` in it."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> bool:
        """Hold the trajectory alone, as everything that writes here must; waits for another holder.

        Returns False when it was held already; after True, others may have written meanwhile.
        """
        if self._lease:
            return False
        with ExitStack() as stack, disk_full_explained(self.folder), removal_explained(self.folder):
            self._is_ours = stack.enter_context(lease(self.folder))
            for leftover in self.folder.glob(".tmp-*"):
                remove_tree(leftover)
            if not (self.folder / "spec.json").exists():
                write_json(self.folder / "spec.json", dict(self._spec))
            self._lease = stack.pop_all()
        return True

    def release(self) -> None:
        """Let others hold the trajectory."""
        if self._lease:
            self._lease.close()
            self._lease = None

    def at(self, epoch: int) -> Snapshot | None:
        """Return the intact snapshot after ``epoch`` epochs, or None where there is none; changes nothing."""
        return intact(self.folder / f"epoch-{epoch:05}")

    def latest(self, up_to: int) -> Snapshot | None:
        """Return the last intact snapshot at or before epoch ``up_to``, None where there is none.

        Damaged ones are reported by a `StoreWarning` and removed.
        """
        for folder in reversed(snapshots(self.folder, "epoch-*")):
            if int(folder.name.removeprefix("epoch-")) > up_to:
                continue
            try:
                return verified(folder)
            except (OSError, ValueError, KeyError, TypeError) as error:
                warnings.warn(
                    f"the snapshot {folder} is damaged ({error}) and is built again.",
                    StoreWarning,
                    stacklevel=2,
                )
                remove_tree(folder)
        return None

    def write(
        self,
        epoch: int,
        history: list[dict[str, float]],
        fill: Callable[[Path], None],
        trained_with: Sequence[str] = (),
    ) -> None:
        """Save a snapshot whole or not at all, then drop the earlier ones.

        ``fill`` writes its files into the folder that it is given. Raises `StoreError` when the disk is full,
        and `LeaseLost` when another process has taken over.
        """
        final = self.folder / f"epoch-{epoch:05}"
        self._write(final, epoch, history, fill, trained_with)
        for earlier in self.folder.glob("epoch-*"):
            if earlier.name < final.name:
                remove_tree(earlier)

    def keep(self, step: int, fill: Callable[[Path], None], trained_with: Sequence[str] = ()) -> None:
        """Save the network after ``step`` steps where no later snapshot drops it; raises as `write` does."""
        self._write(self._kept(step), step, [], fill, trained_with)

    def kept(self, step: int) -> Snapshot | None:
        """Return the intact snapshot that `keep` saved after ``step`` steps, or None; changes nothing."""
        return intact(self._kept(step))

    def _kept(self, step: int) -> Place:
        return self.folder / f"step-{step:07}"

    def _write(
        self,
        final: Place,
        count: int,
        history: list[dict[str, float]],
        fill: Callable[[Path], None],
        trained_with: Sequence[str],
    ) -> None:
        self._check_lease()
        with disk_full_explained(self.folder):
            try:
                with scratch(self.folder) as temporary:
                    fill(temporary)
                    put_in_place(temporary, final, count, history, list(trained_with))
            except Exception:  # safetensors has its own type for the system's errors
                self._check_lease()  # who takes over clears away what it finds half-written
                raise

    def _check_lease(self) -> None:
        if not self._is_ours():
            raise LeaseLost(
                f"another process took over {self.folder} while this one stood still; try the trial again."
            )

    def log(self, epoch: int, steps: int, trainer: str) -> None:
        """Log that ``trainer`` trains ``steps`` steps of an epoch; raises as `write` does."""
        with disk_full_explained(self.folder), removal_explained(self.folder):
            training_log.add(self.folder, epoch, steps, trainer)

    def steps_trained(self, trainer: str) -> int:
        """Count the steps that ``trainer`` trained here, those of epochs that a crash lost included."""
        return training_log.count_steps(self.folder, trainer)


@contextmanager
def removal_explained(folder: Place) -> Iterator[None]:
    """Raise `LeaseLost` where ``folder`` of the store went while nobody held it.

    The store is a cache, and the next try trains anew.
    """
    try:
        yield
    except Exception as error:
        # a full disk, say, before the folder is made
        another = isinstance(error, OSError | StoreError) and not isinstance(error, FileNotFoundError)
        if another or folder.exists():
            raise
        raise LeaseLost(
            f"{folder} was removed from the store in this very moment; try the trial again."
        ) from error
