"""What follows a worker's death: when its trial is tried again, and what is said when it is given up."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from sweeps.study.rows.death import OUTLIVED, Death

_FIRST: Mapping[Death, float] = {"crashed": 1, "out_of_memory": 10, "preempted": 1, "unreachable": 1}
_LONGEST: Mapping[Death, float] = {
    "crashed": 300,
    "out_of_memory": 300,
    # others' nodes are there: nobody waits long for one that is gone
    "preempted": 8,
    "unreachable": 30,
}
_SAID: Mapping[Death, re.Pattern[str]] = {
    "out_of_memory": re.compile(r"OutOfMemoryError|low on memory|memory pressure|memory monitor"),
    "preempted": re.compile(
        r"node was (forcibly )?preempted|died by preemption|actor's node was terminated expectedly"
    ),
    "unreachable": re.compile(
        r"node has died|actor's node was|actor \S+ is unavailable:|missed too many heart"
    ),
}
"""What Ray says of deaths; of any other it knows no more than that the process is gone."""
_ADDRESS = re.compile(r"\bip(?:: |=)([^\s,)]+)", re.IGNORECASE)
_WHY: Mapping[Death, str] = {
    "crashed": "its worker process died {} times, or could not be started (killed, out of memory, a failing "
    "import)",
    "out_of_memory": "out of memory: Ray ended its worker {} times because the machine had no memory left; "
    "run fewer trials at once (resources.concurrent), or a smaller batch",
    "preempted": "its node was taken back {} times",
    "unreachable": "the node that it ran on was lost {} times (does the trial take it down, by memory?)",
}


def pause(deaths: int, death: Death) -> float:
    """Return the seconds to wait after so many deaths of a trial's workers.

    They double with each death, and are more where others must free memory first.
    """
    return float(min(_LONGEST[death], _FIRST[death] * 2 ** (deaths - 1)))


def reason(death: Death) -> str:
    """Say why a trial is given up whose workers died too often."""
    return _WHY[death].format(OUTLIVED[death] + 1)


def kind_of(text: str) -> Death:
    """Return the kind of a death from what Ray says of it.

    Of the kernel's killing a process that takes too much memory Ray only says that it may be that.
    """
    return next((death for death, said in _SAID.items() if said.search(text)), "crashed")


def address_in(text: str) -> str | None:
    """Return the address of the node where a worker died, from what Ray says of the death."""
    found = _ADDRESS.search(text)
    return found[1] if found else None


class TuneTrials(tune.Callback):
    """Tune's own trials: which wait for their place, and in their error files why and where workers died.

    Also of one that died before its trial began.
    """

    def __init__(self) -> None:
        self._trials: list[Any] = []

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Take hold of Tune's list of trials, which it adds to."""
        self._trials = trials

    def waits(self, trial_id: str) -> bool:
        """Tell whether the trial has no worker yet."""
        trial = self._trial(trial_id)
        return trial is None or trial.status == "PENDING"

    def death(self, trial_id: str) -> tuple[Death, str | None]:
        """Return how the trial's worker died, and the address of its node where that is known."""
        trial = self._trial(trial_id)
        path = trial.error_file if trial else None
        text = Path(path).read_text(errors="replace") if path and Path(path).exists() else ""
        return kind_of(text), address_in(text)

    def _trial(self, trial_id: str) -> Any:
        return next((trial for trial in reversed(self._trials) if trial.trial_id == trial_id), None)
