"""``tombola`` in processes that tests pause and kill; they are forked from one that has it in memory."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Command:
    """One ``tombola`` under way."""

    pid: int
    files: tuple[Path, Path]
    ask: Callable[[dict[str, Any]], int]
    code: int | None = None

    @property
    def printed(self) -> str:
        return self.files[0].read_text()

    @property
    def errors(self) -> str:
        return self.files[1].read_text()

    @property
    def lives(self) -> bool:
        if self.code is None and self._is_over(0.0):
            self.wait()
        return self.code is None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end; its exit code, or the signal that killed it, negative."""
        if self.code is None:
            assert self._is_over(seconds), f"it still runs:\n{self.printed}\n{self.errors}"
            self.code = self.ask({"wait": self.pid})
        return self.code

    def kill(self) -> None:
        """Kill -9, and wait."""
        if self.lives:
            self.signal(signal.SIGKILL)
            self.wait()

    def _is_over(self, seconds: float) -> bool:
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)


class Tombola:
    """Starts commands in one folder, with one environment."""

    def __init__(self, folder: Path, ask: Callable[[dict[str, Any]], int]):
        self.folder = folder
        self.environment = os.environ | {"WANDB_MODE": "disabled"}
        self.commands: list[Command] = []
        self._ask = ask

    def start(self, *arguments: str) -> Command:
        number = len(self.commands)
        files = self.folder / f"printed {number}", self.folder / f"errors {number}"
        for file in files:
            file.touch()  # a test may look before the command has begun to write
        request = {"arguments": arguments, "folder": str(self.folder), "environment": dict(self.environment)}
        pid = self._ask({**request, "output": str(files[0]), "errors": str(files[1])})
        self.commands.append(Command(pid, files, self._ask))
        return self.commands[-1]

    def __call__(self, *arguments: str) -> Command:
        command = self.start(*arguments)
        command.wait()
        return command


@pytest.fixture(scope="module", autouse=True)
def without_wandb() -> Iterator[None]:
    """No run of W&B in this very process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture(scope="session")
def zygote() -> Iterator[Callable[[dict[str, Any]], int]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.zygote"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        asked, answers = process.stdin, process.stdout

        def ask(request: dict[str, Any]) -> int:
            print(json.dumps(request), file=asked, flush=True)
            return int(answers.readline())

        yield ask


@pytest.fixture
def tombola(zygote: Callable[[dict[str, Any]], int], tmp_path: Path) -> Iterator[Tombola]:
    tombola = Tombola(tmp_path, zygote)
    yield tombola
    for command in tombola.commands:
        command.kill()


def ended(out: Path) -> int:
    """How many trials have a result on disk."""
    return len(list(out.glob("trials/*/result.json")))
