"""The settings that a trial of a study ran with."""

from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.space import setting
from sweeps.sweep_file.sweep import Sweep


def sections_of(record: StudyRecord, trial: TrialRecord) -> TrialSections:
    """Return the sections of a trial, of its parameters those of the task and the compression's batch.

    Those of a method need not go together with what else stands in the file, of a baseline for example.
    Raises `SweepError` where the study's sweep file no longer holds.
    """
    sweep = Sweep.from_file(StudyPaths(record.directory).sweep)
    own = {name: value for name, value in trial.params.items() if _is_deployed(name)}
    # a baseline has no parameters, and of a trial those of the task may be under another value than the first
    others = {name: value for name, value in sweep.first_draw.items() if not (own and _is_deployed(name))}
    return sweep.sections(others | own)


def _is_deployed(name: str) -> bool:
    return setting(name).startswith("task.") or setting(name) == "compression.latency_batch"
