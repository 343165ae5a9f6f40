"""What one trial does: a task is trained, compressed and retrained, and nothing is trained twice."""

from trainables.config import TaskConfig, TrialConfig, trial_config
from trainables.errors import LeaseLost, StoreError, StoreWarning, TaskError, TrainingError
from trainables.results.read_test import read_test
from trainables.results.trial_paths import network_folder
from trainables.task.data import Data
from trainables.task.data.data import from_splits
from trainables.task.data.splits import StreamedSplit, TensorSplit
from trainables.task.task import build_network, example_input, load_data
from trainables.trials.screening import screened
from trainables.trials.trial import Trial, run_trial

__all__ = [
    "Data",
    "LeaseLost",
    "StoreError",
    "StoreWarning",
    "StreamedSplit",
    "TaskConfig",
    "TaskError",
    "TensorSplit",
    "TrainingError",
    "Trial",
    "TrialConfig",
    "build_network",
    "example_input",
    "from_splits",
    "load_data",
    "network_folder",
    "read_test",
    "run_trial",
    "screened",
    "trial_config",
]
