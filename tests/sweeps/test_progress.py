"""The live display of a study under way."""

from pathlib import Path

from rich.console import Console

from sweeps.running.conductor import TrialToRun
from sweeps.running.progress import Progress
from sweeps.study.paths import StudyPaths
from sweeps.study.record import Objective
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
    progress = Progress(Console(quiet=True), "study", ACCURACY, 4, 0, None, paths)
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
