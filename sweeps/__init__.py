"""What is searched and what was found: sweeps of trials, studies that survive, reports.

sweep = sweeps.Sweep.from_file("sweep.yaml")          # or Sweep.from_data({...}) in a notebook
record = sweeps.run(sweep, "runs/mine", without_ray=True)
record.best, record.front, record.trials
"""

from pathlib import Path

from rich.console import Console

from sweeps.errors import SweepError
from sweeps.study.load import load_record
from sweeps.study.record import Objective, StudyRecord, TrialRecord
from sweeps.sweep_file.sweep import Sweep

__all__ = ["Objective", "StudyRecord", "Sweep", "SweepError", "TrialRecord", "load_record", "run"]


def run(
    sweep: Sweep,
    out: Path | str,
    *,
    address: str | None = None,
    without_ray: bool = False,
    console: Console | None = None,
) -> StudyRecord:
    """Run the sweep in the directory ``out``, or go on with the study that it holds.

    See `sweeps.running.driver.drive`.
    """
    from sweeps.running.driver import drive  # Ray takes seconds to import: only who runs trials waits for it

    return drive(sweep, out, address=address, without_ray=without_ray, console=console)
