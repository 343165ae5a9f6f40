"""Show a study under way: a live panel on a terminal, plain lines elsewhere."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeps.running.conductor import CONSTRAINT, TrialToRun
from sweeps.running.standing import Standing
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE, Objective
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place


class Progress:
    """An observer that shows how a study stands, counting on from ``standing``.

    ``in_use`` says how much of the machines is held by trials.
    """

    def __init__(
        self,
        console: Console,
        name: str,
        objectives: Sequence[Objective],
        target: int,
        standing: Standing,
        paths: StudyPaths,
        in_use: Callable[[], str] = lambda: "",
    ):
        self._console = console
        self._name = name
        self._objectives = objectives
        self._objective = objectives[0]
        self._target = target
        self._standing = standing
        self._done_before = standing.done
        self._screened = ""
        self._running: dict[str, Mapping[str, Any]] = {}
        self._paths = paths
        self._in_use = _Seldom(in_use)
        self._first_end: float | None = None
        self._live = Live(console=console, get_renderable=self._panel, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence above the panel."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def trains(self, trials: int, wanted: int) -> None:
        """Hear how many of the screened trials are trained, and say so where it is fewer than ``wanted``."""
        self._target = trials
        if trials < wanted:
            self.say(f"Networks that the screening came to: {trials}, fewer than run_cap {wanted}.")

    def started(self, trial: TrialToRun) -> None:
        """Show that a trial begins."""
        self._running[trial.key] = {}

    def reported(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Show a trial's epoch, or level."""
        self._running[key] = metrics

    def ended(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        """Count a trial that is over, and tell it in a line."""
        self._running.pop(key, None)
        if not key.startswith(BASELINE):
            self._standing.add(key, outcome, metrics)
            self._first_end = self._first_end or time.monotonic()
        self.say(self._line(key, outcome, metrics, reason))

    def screened(self, wanted: int, done: int, best: float | None) -> None:
        """Show how many trials are scored without training, in a line after each tenth of them."""
        self._screened = f"screened {done} of {wanted}" + ("" if best is None else f", best {best:.4g}")
        if done >= wanted or (done and done % max(1, wanted // 10) == 0):
            self.say(self._screened)

    def _line(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> str:
        value = metrics.get(self._objective.name)
        said = reason or (f"{self._objective.name} {value:.4f}" if value is not None else "")
        missed = [name.removeprefix(CONSTRAINT) for name in metrics if _is_missed(name, metrics)]
        said += f", not {' and not '.join(missed)}" if missed else ""
        standing = self._standing
        best = "no best yet" if standing.best is None else f"best {standing.best:.4f}"
        place = f"[{standing.done}/{self._target}]"
        return f"{place} {_who(key)} {outcome.replace('_', ' ')}: {said} | {best} | {self._left()}"

    def _panel(self) -> Group:
        standing = self._standing
        best = "-" if standing.best is None else f"{standing.best:.4f}"
        best += f" (trial {standing.best_key})" if standing.best_key else ""
        told = [f"{standing.done}/{self._target} trials", f"best {self._objective.name} {best}", self._left()]
        front = f"on the front {standing.front}" if len(self._objectives) > 1 else ""
        about = [part for part in (self._ends(), front, self._in_use()) if part]
        return Group(
            Text.assemble((self._name, "bold"), "  ", "  ".join(told)),
            Text("  " + "; ".join(about), style="dim"),
            self._trials(),
        )

    def _trials(self) -> Table:
        """Tell of each trial that runs how far it is."""
        table = Table.grid(padding=(0, 2))
        if self._screened:
            table.add_row("", self._screened, _measured(self._paths.measuring("0")), "")
        for key, metrics in list(self._running.items()):  # trials begin and end while another thread draws
            reached = next(
                (f"{unit} {metrics[unit]}" for unit in ("level", "epoch") if unit in metrics),
                _measured(self._paths.measuring(key)) or "working",
            )
            value = metrics.get(self._objective.name)
            table.add_row("", _who(key), reached, "" if value is None else f"{value:.4f}")
        return table

    def _ends(self) -> str:
        """Say how many trials run, and how many ended otherwise than complete."""
        counts = {"running": len(self._running), **self._standing.counts}
        told = [f"{n} {end.replace('_', ' ')}" for end, n in counts.items() if n and end != "complete"]
        return ", ".join(told) or "none running"

    def _left(self) -> str:
        if self._standing.done >= self._target:
            return "done"
        # The first trial to end waited for the dense network too; the pace is that of those after it.
        paced = self._standing.done - self._done_before - 1
        if self._first_end is None or paced < 1:
            return "time left not known yet"
        pace = (time.monotonic() - self._first_end) / paced
        return f"about {_duration(pace * (self._target - self._standing.done))} left"


class _Seldom:
    """Asks a function at most once in two seconds, and else gives its last answer."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self._answer, self._as_of = "", -math.inf

    def __call__(self) -> str:
        if time.monotonic() - self._as_of > 2:
            self._answer, self._as_of = self._ask(), time.monotonic()
        return self._answer


def _who(key: str) -> str:
    return key if key.startswith(BASELINE) else f"trial {key}"


def _measured(path: Place) -> str:
    """Say how many of the network's error curves are measured, while they are."""
    if isinstance(path, ObjectPath):  # the display asks several times a second
        return ""
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        return ""
    return f"{told['measured']} of {told['of']} curves"


def _is_missed(name: str, metrics: Mapping[str, Any]) -> bool:
    return name.startswith(CONSTRAINT) and metrics[name] > 0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
