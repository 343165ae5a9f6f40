"""Processes of this machine that share a trial's trainings."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from trainables.execution.process_group.group import Answer, Member, ProcessGroup

_MODULE = "trainables.execution.member"
_TAIL = 4096  # bytes of what a dead process wrote to stderr that are looked at


class LocalMember(Member):
    """A process that is told what to do by lines of JSON on its stdin, and ends when that is closed.

    So none outlives the process that began it, however that ended.
    """

    def __init__(self, index: int, size: int, device: str):
        # ours is found first, whatever has its name where the user's modules are
        ours, more = str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH")
        users = json.dumps([path or str(Path.cwd()) for path in sys.path])
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(index), str(size), device, users],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={
                "TORCH_CPP_LOG_LEVEL": "ERROR",
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [ours, more])),
            },
            start_new_session=True,  # a Ctrl-C at the terminal is for the trial's own process
        )
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._read = b""

    def ask(self, command: str, given: str) -> None:
        """Tell it what to do; of one that is dead `answer` says so."""
        with suppress(BrokenPipeError):
            self._stdin.write(json.dumps({"command": command, "given": given}).encode() + b"\n")
            self._stdin.flush()

    def answer(self) -> Answer | None:
        """Return what came of the last command, None while it is at it."""
        code = self._process.poll()
        self._read += self._stdout.read() or b""
        line, ended, rest = self._read.partition(b"\n")
        if ended:
            self._read = rest
            return Answer(**json.loads(line))
        return None if code is None else Answer("lost", self._last_words(code))

    def end(self) -> None:
        """End it at once, and with it those that read data for it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for file in (self._stdout, self._stderr):
            file.close()
        with suppress(BrokenPipeError):
            self._stdin.close()

    def _last_words(self, code: int) -> str:
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _TAIL))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"it {how} ({lines[-1].strip()})" if lines else f"it {how}"


class LocalGroup(ProcessGroup):
    """A group on this machine. With GPUs the first process takes GPU 0, the second GPU 1 and so on."""

    def _begun(self, device: str) -> list[Member]:
        return [
            LocalMember(index, self.size, f"cuda:{index}" if device == "cuda" else device)
            for index in range(self.size)
        ]

    def _meeting_place(self) -> str:
        return self._meeting_file()
