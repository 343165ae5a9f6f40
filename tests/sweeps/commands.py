"""The command and what it answers."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


def assert_short(message: str) -> None:
    """One line of at most three sentences, and no traceback."""
    assert message.count("\n") == 1 and message.endswith("\n")
    assert "Traceback" not in message
    assert len(re.findall(r"[.?)](?: [A-Z0-9(]|$)", message.strip())) <= 3, message


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below ``folder`` with its bytes, every folder with None."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def after_first_words(stdout: str) -> list[str]:
    """The lines that a command prints besides those that say what is being started."""
    first = ("Reading ", "Packing ", "Starting Ray ")
    return [line for line in stdout.splitlines() if not line.startswith(first)]
