"""Upload W&B's files of runs while they grow, as `wandb beta sync --live` does; again where that fails."""

import asyncio
import queue
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk import wandb_setup
from wandb.sdk.lib import wbauth

from sweeps.tracking.run_files import mark

_ERROR = 40  # the severity of messages that something was not uploaded
_AT_ONCE = 4  # finished runs of earlier drivers
_GLANCE = 0.2  # seconds
_AGAIN = 60.0  # seconds after which an upload that W&B has given up is tried again
_IDLE, _DELAYED = "waiting for more data", "updating run metadata"
_HANGS = 10.0  # seconds without an answer that are said


@dataclass
class _Upload:
    file: Path
    trouble: str | None = None
    activity: str = ""
    since: float | None = None
    """When W&B's service began with what it is just doing; None while it has nothing to do."""
    errors: list[str] = field(default_factory=list)


class Uploads:
    """The uploads of one process: a thread for each run that grows, a few for those that are whole.

    They end with the process: it is killed where nobody waits for them.
    """

    def __init__(self) -> None:
        self._setup = wandb_setup.singleton()
        self._under_way: dict[Path, _Upload] = {}
        self._left: queue.SimpleQueue[_Upload] = queue.SimpleQueue()
        self._workers = 0
        self._answered = 0.0
        self._is_given_up = False

    def follow(self, file: Path) -> None:
        """Upload the file of a run under way until it ends.

        Nothing is done while W&B has trouble: each such upload would wait on beside all others.
        """
        if self.trouble() is None:
            upload = self._under_way[file] = _Upload(file)
            threading.Thread(target=self._insist, args=(upload,), daemon=True).start()

    def send(self, file: Path) -> None:
        """Upload the whole file of a run that has ended, unless it is uploaded already."""
        if file in self._under_way or mark(file).exists():
            return
        upload = self._under_way[file] = _Upload(file)
        self._left.put(upload)
        if self._workers < _AT_ONCE:
            self._workers += 1
            threading.Thread(target=self._work, daemon=True).start()

    def give_up(self) -> None:
        """Try no upload again: W&B's service, and the runs' files, are another's from now on."""
        self._is_given_up = True

    def unsent(self) -> int:
        """Count the runs that W&B does not have yet, or not whole."""
        return len(self._under_way)

    def trouble(self) -> str | None:
        """Return what stands in the way of some upload, in a line; None where all go well."""
        return next((upload.trouble for upload in list(self._under_way.values()) if upload.trouble), None)

    def stalls(self) -> float:
        """Return for how many seconds nothing has got on that is to be sent; 0 where anything has."""
        began = [upload.since for upload in list(self._under_way.values())]
        pending = [since for since in began if since is not None]
        return time.monotonic() - max(self._answered, min(pending)) if pending else 0.0

    def _insist(self, upload: _Upload) -> None:
        """Upload a run that grows until W&B has it."""
        while not self._is_done_with(upload, live=True):
            time.sleep(_AGAIN)

    def _work(self) -> None:
        """Upload one run after the other; after one that fails the next has its turn."""
        while True:
            upload = self._left.get()
            if not self._is_done_with(upload, live=False):
                time.sleep(_AGAIN)
                self._left.put(upload)

    def _is_done_with(self, upload: _Upload, live: bool) -> bool:
        """Upload a run; tell whether W&B has it, or nothing is tried again."""
        try:
            self._setup.asyncer.run(lambda: self._sync(upload, live))
        except Exception as error:  # W&B's service has died, or the key cannot be one
            upload.errors.append(_line(str(error) or type(error).__name__))
        if self._is_given_up:
            return True
        if not upload.errors and mark(upload.file).exists():
            self._answered = time.monotonic()
            del self._under_way[upload.file]
            return True
        # W&B marks a run as uploaded, too, whose upload it has given up
        mark(upload.file).unlink(missing_ok=True)
        upload.trouble = upload.errors[0] if upload.errors else "the server refuses the runs"
        upload.errors.clear()
        upload.since = None
        return False

    async def _sync(self, upload: _Upload, live: bool) -> None:
        settings = self._setup.settings
        with suppress(wandb.errors.UsageError):  # no key any more: the server says what it thinks of that
            wbauth.authenticate_session(host=settings.base_url, source="tombola", prompt=False)
        service = self._setup.ensure_service()
        begun = await service.init_sync(
            {upload.file},
            settings,
            cwd=None,
            live=live,
            entity="",
            project="",
            run_id="",
            job_type="",
            tag_replacements={},
        )
        number = (await begun.wait_async(timeout=_HANGS)).id
        sync = asyncio.ensure_future((await service.sync(number, parallelism=1)).wait_async(timeout=None))
        while not sync.done():
            status = await (await service.sync_status(number)).wait_async(timeout=_HANGS)
            if _take(upload, status.new_messages, status.stats):
                self._answered = time.monotonic()
            await asyncio.wait([sync], timeout=_GLANCE)
        _take(upload, sync.result().messages, ())


def _take(upload: _Upload, messages: Iterable[Any], stats: Iterable[Any]) -> bool:
    """Note what W&B says of an upload; tell whether it has got on since."""
    for message in messages:
        if message.severity >= _ERROR:
            known = message.content != "<no message>"
            upload.errors.append(
                _line(message.content) if known else "the server refuses the runs (is the API key right?)"
            )
    all_of_it = [one for each in stats for one in each.operations]
    is_idle = any(one.desc == _IDLE for one in all_of_it)
    operations = [one for one in all_of_it if one.desc != _IDLE and not (is_idle and one.desc == _DELAYED)]
    activity = " ".join(f"{one.desc} {one.progress}".strip() for one in operations)
    if is_idle and not operations:
        upload.since = None
    elif upload.since is None or activity != upload.activity:
        upload.since = time.monotonic()
    got_on = upload.activity not in ("", activity)
    upload.activity = activity
    stuck = [one for one in operations if one.error_status]
    late = [one for one in operations if one.runtime_seconds > _HANGS and not one.progress]
    if stuck:
        upload.trouble = f"the server does not take the runs ({_line(stuck[0].error_status)})"
    elif late:
        upload.trouble = f"the server has not answered for {late[0].runtime_seconds:.0f} seconds"
    elif operations:
        upload.trouble = None
    return got_on


def _line(text: str) -> str:
    return " ".join(text.split())
