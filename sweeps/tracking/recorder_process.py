"""The process beside the driver that keeps W&B's runs: how it is started, heard and left."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

_log = logging.getLogger(__name__)
_WRITTEN_WITHIN = 60.0  # seconds that files on this machine may take to be closed, however loaded it is
_PATIENCE = 1.5  # seconds without an answer of W&B's after which nobody waits for it any longer
_LONGEST = 20.0  # seconds that a W&B which answers may take at the end
_SYNC = "its runs are on disk: `wandb sync --yes {}` uploads what W&B lacks at the end"
_RESUME = "`tombola resume` makes them of what {}/unfinished keeps; recorder.log beside that says why"


class RecorderProcess:
    """A process of `sweeps.tracking.recorder`; the driver writes it a byte and reads what it says.

    It has a session of its own: Ctrl-C in a terminal is not for it. It ends by itself where the driver is
    killed.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._state: dict[str, Any] = {}
        self._heard = threading.Condition()
        self._said: set[str] = set()
        self._closes = False
        folder = Path(settings["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "recorder.log").open("ab") as log:
            self._process = self._started(log)
        assert self._process.stdin is not None
        # a sweep with a parameter for every layer may be longer than an argument can be
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the reader says
            self._process.stdin.write(json.dumps(self._settings).encode() + b"\n")
            self._process.stdin.flush()
        os.set_blocking(self._process.stdin.fileno(), False)
        self._reader = threading.Thread(target=self._listen, name="tombola-wandb", daemon=True)
        self._reader.start()

    def _started(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "sweeps.tracking.recorder", self._settings["folder"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(self._settings["folder"]),
            start_new_session=True,
        )

    def wake(self) -> None:
        """Tell it that a journal has grown; never waits."""
        self._write(b"\n")

    def close(self) -> float:
        """Wait until everything is written, and for W&B as long as it answers, then end the process.

        Returns the seconds waited.
        """
        began = time.monotonic()
        self._closes = True
        self._write(b"close\n")
        with self._heard:
            self._heard.wait_for(lambda: self._is("written"), _WRITTEN_WITHIN)
            self._heard.wait_for(lambda: self._is("done") or self._is_hopeless(), _LONGEST)
        self._end()
        if not self._state.get("written"):
            self._warn("not all runs were made when the study ended", _RESUME)
        if unsent := self._state.get("unsent", 0):
            self._warn(f"{unsent} runs were not sent yet when the study ended", _SYNC)
        return time.monotonic() - began

    def _is(self, state: str) -> bool:
        return bool(self._state.get(state)) or self._process.poll() is not None

    def _is_hopeless(self) -> bool:
        return bool(self._state.get("trouble")) or self._state.get("stalls", 0.0) > _PATIENCE

    def _write(self, message: bytes) -> None:
        assert self._process.stdin is not None
        # a full pipe has woken it already, and one that is closed nobody reads
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._process.stdin.fileno(), message)

    def _end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        # else it could wait for the server
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._heard:
                self._state = json.loads(line)
                self._heard.notify_all()
            if unmade := self._state.get("unmade"):
                self._warn(unmade, _RESUME)
            if trouble := self._state.get("trouble"):
                self._warn(trouble, _SYNC)
        if not self._closes:
            self._warn("the process that makes its runs has ended", _RESUME)
        with self._heard:
            self._heard.notify_all()

    def _warn(self, trouble: str, remedy: str) -> None:
        """Say what is wrong, once for each remedy."""
        if remedy not in self._said:
            self._said.add(remedy)
            remedy = remedy.format(self._settings["folder"])
            _log.warning("W&B: %s. The study goes on, and %s.", trouble, remedy)


def _environment(folder: str) -> dict[str, str]:
    """Return the environment in which Python finds this very package, and wandb a service of its own.

    What tables and networks wait in for their upload is a part of the study, not of the home folder.
    """
    ours = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))
    kept = {n: v for n, v in os.environ.items() if n not in ("WANDB_SERVICE", "WANDB_MODE", "WANDB_RUN_ID")}
    waiting = {"WANDB_DATA_DIR": str(Path(folder) / "data")}
    return {**waiting, **kept, "PYTHONPATH": path, "WANDB_SILENT": "true"}
