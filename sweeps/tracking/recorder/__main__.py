"""The recorder's first step: it waits until the one of an earlier driver is gone."""

import fcntl
import json
import sys
from pathlib import Path

from sweeps.tracking.recorder.driver_line import DriverLine
from sweeps.tracking.recorder.recorder import Recorder


def main() -> None:
    """Keep a study's runs until its driver says that it ends, or is gone."""
    settings, folder = sys.stdin.readline(), Path(sys.argv[1])
    with (folder / "recorder.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Recorder(json.loads(settings), DriverLine()).run()


if __name__ == "__main__":
    main()
