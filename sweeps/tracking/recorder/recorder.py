"""Follow the journals of a study, and keep a W&B run for each."""

import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb

from sweeps.tracking.journal import Follower, journals
from sweeps.tracking.mode import quiet
from sweeps.tracking.recorder.driver_line import DriverLine
from sweeps.tracking.recorder.sweep_object import sweep_id
from sweeps.tracking.recorder.trial_run import TrialRun
from sweeps.tracking.recorder.uploads import Uploads
from sweeps.tracking.run_files import unsent
from trainables.errors import StoreError
from trainables.places.folders import upload_tree
from trainables.places.object_path import ObjectPath
from trainables.places.place import place_of

_GLANCE = 0.2  # seconds between two looks at what grows
_ATTEMPTS = 2  # to make a run anew, after which its journal is left to the next driver


class Recorder:
    """All runs of one study, written to this machine's disk, and uploaded where W&B is to have them now.

    A run's file always holds the run from its beginning, and is uploaded as a whole: whatever of it the
    server has already is written over by the same.
    """

    def __init__(self, settings: Mapping[str, Any], line: DriverLine) -> None:
        self._line = line
        self._folder = Path(settings["folder"])
        self._open: dict[str, tuple[Follower, TrialRun]] = {}
        self._failures: dict[str, int] = {}
        self._unmade: str | None = None
        self._is_written = False
        self._set_up()
        self._settings = {**settings, "sweep_id": sweep_id(settings)}
        self._uploads = Uploads() if settings["online"] else None

    def run(self) -> None:
        """Go on until the driver ends; then write all, and upload until nobody waits for it."""
        if self._uploads:
            self._upload_what_is_left()
        while not (self._line.closes or self._line.is_gone):
            self._follow()
            self._line.tell(self._state())
            self._line.wait(_GLANCE)
        while not self._follow():
            pass
        for _, run in self._open.values():
            run.interrupt()
            self._send(run)
        self._is_written = True
        while self._uploads and self._uploads.unsent() and not self._line.is_gone:
            self._line.tell(self._state())
            self._line.wait(_GLANCE)
        self._line.tell({**self._state(), "done": True})

    def _follow(self) -> bool:
        """Put what is new into the runs; tell whether nothing failed."""
        for key, path in journals(self._folder).items():
            if self._failures.get(key, 0) > _ATTEMPTS:
                continue
            if key not in self._open:
                self._open[key] = Follower(path), TrialRun(key, self._settings)
            follower, run = self._open[key]
            try:
                self._apply(follower, run)
                if run.is_over:
                    self._hand_on(run)
            except StoreError as error:  # which has waited for its server long enough
                self._note_failure(key, error, _ATTEMPTS + 1)
                continue
            except Exception as error:  # wandb raises many kinds; its service may have died with all its runs
                self._note_failure(key, error)
                self._begin_again()
                return False
            if run.is_over:
                path.unlink()
                del self._open[key]
        return True

    def _note_failure(self, key: str, error: Exception, times: int = 1) -> None:
        traceback.print_exception(error)
        self._failures[key] = self._failures.get(key, 0) + times
        if self._failures[key] > _ATTEMPTS:
            said = " ".join((str(error) or type(error).__name__).split())
            named = f"trial {key}" if key.isdigit() else key
            self._unmade = f"the run of {named} could not be written ({said.rstrip('.')})"

    def _apply(self, follower: Follower, run: TrialRun) -> None:
        for event in follower.events():
            was_open = run.file is not None
            run.apply(event)
            if run.file and not was_open and self._uploads:
                self._uploads.follow(run.file)

    def _begin_again(self) -> None:
        """Make every open run anew from its journal, with a new service of W&B's."""
        if self._uploads:
            self._uploads.give_up()
        with suppress(Exception):  # of a service that is gone it cannot take leave
            wandb.teardown()
        self._set_up()
        self._open.clear()
        if self._uploads:
            self._uploads = Uploads()
            self._upload_what_is_left()

    def _set_up(self) -> None:
        settings = quiet()
        settings.root_dir = str(self._folder.parent)  # else it makes a folder where the driver was started
        wandb.setup(settings=settings)

    def _upload_what_is_left(self) -> None:
        assert self._uploads
        unfinished = {f"{self._settings['id']}-{key}" for key in journals(self._folder)}
        for file in unsent(self._folder):
            if file.stem.removeprefix("run-") not in unfinished:
                self._uploads.send(file)

    def _send(self, run: TrialRun) -> None:
        """Upload a run that is closed, and what came with it."""
        if self._uploads:
            for file in run.files:
                self._uploads.send(file)

    def _hand_on(self, run: TrialRun) -> None:
        """Upload a run that is over, and copy it to where the study is."""
        self._send(run)
        copies = self._settings["copies"] and place_of(self._settings["copies"])
        if isinstance(copies, ObjectPath):
            for file in run.files:
                upload_tree(file.parent, copies / file.parent.name)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"written": self._is_written, "unmade": self._unmade}
        if self._uploads:
            state |= {
                "unsent": self._uploads.unsent(),
                "trouble": self._uploads.trouble(),
                "stalls": round(self._uploads.stalls(), 1),
            }
        return state
