"""The store of trajectories: nothing is trained twice.

A training trajectory is addressed by the hash of all that determines it and holds snapshots by epoch. It
lives on a plain directory that every node sees:

    <root>/<first two digits>/<key>/
        spec.json           what the key is the hash of
        lease-<n>.json      who works on it
        training_log.jsonl  one line per epoch really trained, and by whom
        epoch-<n>/          a snapshot: its files, and snapshot.json with their checksums
        step-<n>/           the same of the network alone, kept for those who rewind to it
"""

import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pruners.whole_files import sync
from trainables.errors import LeaseLost, StoreWarning
from trainables.store import training_log
from trainables.store.disk import disk_full_explained, file_digest, write_json
from trainables.store.lease import lease
from trainables.store.snapshot import Snapshot, address, intact, verified


class Trajectory:
    """One training trajectory's folder in the store."""

    def __init__(self, root: Path, spec: Mapping[str, Any]):
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
                shutil.rmtree(leftover, ignore_errors=True)
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
        for folder in sorted(self.folder.glob("epoch-*"), reverse=True):
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
                shutil.rmtree(folder, ignore_errors=True)
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
                shutil.rmtree(earlier, ignore_errors=True)

    def keep(self, step: int, fill: Callable[[Path], None], trained_with: Sequence[str] = ()) -> None:
        """Save the network after ``step`` steps where no later snapshot drops it; raises as `write` does."""
        self._write(self._kept(step), step, [], fill, trained_with)

    def kept(self, step: int) -> Snapshot | None:
        """Return the intact snapshot that `keep` saved after ``step`` steps, or None; changes nothing."""
        return intact(self._kept(step))

    def _kept(self, step: int) -> Path:
        return self.folder / f"step-{step:07}"

    def _write(
        self,
        final: Path,
        count: int,
        history: list[dict[str, float]],
        fill: Callable[[Path], None],
        trained_with: Sequence[str],
    ) -> None:
        self._check_lease()
        temporary = self.folder / f".tmp-{uuid.uuid4().hex}"
        with disk_full_explained(self.folder):
            try:
                temporary.mkdir()
                fill(temporary)
                files = {path.name: file_digest(path) for path in sorted(temporary.iterdir())}
                content = {
                    "epoch": count,
                    "history": history,
                    "trained_with": list(trained_with),
                    "files": files,
                }
                write_json(temporary / "snapshot.json", {**content, "digest": address(content)})
                sync(*temporary.iterdir(), temporary)
                if final.exists() and not intact(final):
                    shutil.rmtree(final)
                if not final.exists():
                    temporary.rename(final)
                sync(self.folder)
            except Exception:  # safetensors has its own type for the system's errors
                self._check_lease()  # who takes over clears away what it finds half-written
                raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _check_lease(self) -> None:
        if not self._is_ours():
            raise LeaseLost(
                f"another process took over {self.folder} while this one stood still; try the trial again."
            )

    def log(self, epoch: int, steps: int, trainer: str) -> None:
        """Log that ``trainer`` trains ``steps`` steps of an epoch; raises as `write` does."""
        with disk_full_explained(self.folder), removal_explained(self.folder):
            training_log.append(self.folder, epoch, steps, trainer)

    def steps_trained(self, trainer: str) -> int:
        """Count the steps that ``trainer`` trained here, those of epochs that a crash lost included."""
        return training_log.count_steps(self.folder, trainer)


@contextmanager
def removal_explained(folder: Path) -> Iterator[None]:
    """Raise `LeaseLost` where ``folder`` of the store went while nobody held it.

    The store is a cache, and the next try trains anew.
    """
    try:
        yield
    except Exception as error:
        # a full disk, say, before the folder is made
        another = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        if another or folder.exists():
            raise
        raise LeaseLost(
            f"{folder} was removed from the store in this very moment; try the trial again."
        ) from error
