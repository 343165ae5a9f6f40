"""The live display of a study under way."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sweeps.running.conductor import CONSTRAINT, TrialToRun
from sweeps.running.progress import Progress
from sweeps.running.standing import Standing
from sweeps.study.paths import StudyPaths
from sweeps.study.record import Objective, TrialRecord
from tests.trainables.configs import trial
from trainables.store.disk import write_json

ACCURACY = Objective("val/accuracy", "maximize")


def shown(progress: Progress) -> str:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(progress._panel())
    return capture.get()


def test_curves_that_are_measured_are_counted(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path)
    progress = Progress(Console(quiet=True), "study", [ACCURACY], 4, Standing([ACCURACY]), paths)
    progress.screened(60, 3, 0.25)
    assert "screened 3 of 60, best 0.25" in shown(progress) and "curves" not in shown(progress)
    paths.measuring("0").parent.mkdir(parents=True)
    write_json(paths.measuring("0"), {"measured": 5, "of": 19})
    assert "5 of 19 curves" in shown(progress)
    paths.measuring("0").unlink()

    config = trial(paths.trial("baseline-measured"))
    progress.started(TrialToRun("baseline-measured", {}, config))
    assert "baseline-measured" in shown(progress) and "working" in shown(progress)
    paths.measuring("baseline-measured").parent.mkdir(parents=True)
    write_json(paths.measuring("baseline-measured"), {"measured": 0, "of": 19})
    assert "0 of 19 curves" in shown(progress)
    progress.reported("baseline-measured", {"epoch": 2})
    assert "epoch 2" in shown(progress) and "curves" not in shown(progress)


def test_the_panel_tells_how_trials_ended_what_is_best_and_what_is_in_use(tmp_path: Path) -> None:
    objectives = [ACCURACY, Objective("compress/params_kept", "minimize")]
    before = TrialRecord("0", "complete", values=(0.8, 0.5))
    standing = Standing(objectives, [before, TrialRecord("1", "failed"), TrialRecord("2", "running")])
    asked: list[int] = []

    def in_use() -> str:
        asked.append(1)
        return "CPUs 1 of 2 in use"

    progress = Progress(Console(quiet=True), "study", objectives, 9, standing, StudyPaths(tmp_path), in_use)
    assert "2/9 trials" in shown(progress) and "1 failed" in shown(progress)
    assert "on the front 1" in shown(progress)
    for key, accuracy, kept, outcome in (
        ("2", 0.9, 0.6, "complete"),
        ("3", 0.7, 0.7, "complete"),
        ("4", 0.95, 0.4, "stopped_early"),
    ):
        progress.started(TrialToRun(key, {}, trial(StudyPaths(tmp_path).trial(key))))
        assert "1 running" in shown(progress)
        progress.ended(key, outcome, {"val/accuracy": accuracy, "compress/params_kept": kept}, None)
    told = shown(progress)
    assert "5/9 trials" in told and "best val/accuracy 0.9000 (trial 2)" in told
    assert "1 stopped early" in told and "on the front 2" in told and "running" not in told
    assert "CPUs 1 of 2 in use" in told and len(asked) == 1


def test_the_panel_is_drawn_while_trials_begin_and_end(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path)
    progress = Progress(Console(quiet=True), "study", [ACCURACY], 9, Standing([ACCURACY]), paths)
    one = TrialToRun("0", {}, trial(paths.trial("0")))
    is_enough = threading.Event()

    def run_trials() -> None:
        for number in itertools.cycle(range(20)):
            progress.started(replace(one, key=str(number)))
            progress.ended(str((number + 10) % 20), "complete", {"val/accuracy": 0.5}, None)
            if is_enough.is_set():
                return

    running = threading.Thread(target=run_trials)
    running.start()
    try:
        for _ in range(200):
            progress._panel()
    finally:
        is_enough.set()
        running.join()


def test_a_network_that_misses_a_constraint_is_not_the_best() -> None:
    standing = Standing([ACCURACY])
    standing.add("0", "complete", {"val/accuracy": 0.9, f"{CONSTRAINT}params at most 10": 0.2})
    assert standing.best is None and standing.done == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_the_front_holds_what_nothing_else_beats(pairs: list[tuple[int, int]]) -> None:
    objectives = [ACCURACY, Objective("cost", "minimize")]
    standing = Standing(objectives)
    for number, (accuracy, cost) in enumerate(pairs):
        standing.add(str(number), "complete", {"val/accuracy": accuracy, "cost": cost})
    beaten = {
        one for one in pairs for other in pairs if other != one and other[0] >= one[0] and other[1] <= one[1]
    }
    assert standing.front == len(set(pairs) - beaten)
    assert standing.best == max((accuracy for accuracy, _ in pairs), default=None)
