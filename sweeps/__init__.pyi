"""The public names of `sweeps`, each imported from its module when it is first used."""

from .errors import SweepError as SweepError
from .notebook.study import Study as Study
from .notebook.study import run as run
from .study.load import load_record as load_record
from .study.record import Objective as Objective
from .study.record import StudyRecord as StudyRecord
from .study.record import TrialRecord as TrialRecord
from .sweep_file.sweep import Sweep as Sweep
