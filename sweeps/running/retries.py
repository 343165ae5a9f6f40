"""What follows a worker's death: when its trial is tried again, and what is said when it is given up."""

import re
from pathlib import Path
from typing import Any

from ray import tune

from sweeps.study.ledger import CRASHES, MEMORY

_LONGEST = 300.0
_OF_MEMORY = re.compile(r"OutOfMemoryError|low on memory|memory pressure|memory monitor")


def pause(deaths: int, out_of_memory: bool) -> float:
    """Return the seconds to wait after so many deaths of a trial's workers.

    They double with each death, and are more where others must free memory first.
    """
    return float(min(_LONGEST, (10 if out_of_memory else 1) * 2 ** (deaths - 1)))


def reason(out_of_memory: bool) -> str:
    """Say why a trial is given up whose workers died too often."""
    if out_of_memory:
        return (
            f"out of memory: Ray ended its worker {CRASHES[MEMORY] + 1} times "
            "because the machine had no memory left; "
            "run fewer trials at once (resources.concurrent), or a smaller batch"
        )
    return (
        f"its worker process died {CRASHES[True] + 1} times, "
        "or could not be started (killed, out of memory, a failing import)"
    )


class Deaths(tune.Callback):
    """Tune's trials, in whose error files Ray says why a worker died.

    Also of one that died before its trial began.
    """

    def __init__(self) -> None:
        self._trials: list[Any] = []

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Take hold of Tune's list of trials, which it adds to."""
        self._trials = trials

    def was_of_memory(self, trial_id: str) -> bool:
        """Tell whether Ray ended the trial's worker because the machine was running out of memory."""
        trial = next((trial for trial in reversed(self._trials) if trial.trial_id == trial_id), None)
        path = trial.error_file if trial else None
        return bool(path and Path(path).exists() and of_memory(Path(path).read_text(errors="replace")))


def of_memory(text: str) -> bool:
    """Tell whether what Ray says about a death blames its memory monitor.

    Of the kernel's killing it only says that it may be.
    """
    return bool(_OF_MEMORY.search(text))
