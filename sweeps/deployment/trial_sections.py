"""The settings that a trial of a study ran with."""

from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.space import setting
from sweeps.sweep_file.sweep import Sweep


def sections_of(record: StudyRecord, trial: TrialRecord) -> TrialSections:
    """Return the sections of a trial, of its parameters those of the task and the compression's batch.

    Those of a method need not go together with what else stands in the file, of a baseline for example.
    """
    sweep = Sweep.from_file(StudyPaths(record.directory).sweep)
    of_the_task = {name: value for name, value in trial.params.items() if setting(name).startswith("task.")}
    return sweep.sections(sweep.first_draw | of_the_task)
