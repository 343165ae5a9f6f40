"""A process that has the whole command in memory and forks one ``tombola`` after the other.

Reads a line of JSON for each on its standard input, and answers with a line.
"""

import importlib
import json
import os
import sys
from typing import Any

from sweeps.cli import _exit_code

_PARTS = (
    "sweeps.commands.run",
    "sweeps.commands.status",
    "sweeps.running.driver",
    "sweeps.report",
    "psycopg",
    "torch._dynamo",
    "trainables.task.data.digits",
)


def run(request: dict[str, Any]) -> None:
    """Become the command that was asked for."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in enumerate((os.devnull, request["output"], request["errors"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    code = 1
    try:
        code = _exit_code(request["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    for name in _PARTS:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif (answer := os.fork()) == 0:
            run(request)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
