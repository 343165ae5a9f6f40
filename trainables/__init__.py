"""What one trial does: a task is trained, compressed and retrained, and nothing is trained twice."""

from typing import TYPE_CHECKING, Any

from trainables.config import TaskConfig, TrialConfig, trial_config
from trainables.data import Data
from trainables.data.data import from_splits
from trainables.data.splits import StreamedSplit, TensorSplit
from trainables.errors import StoreError, StoreWarning, TaskError, TrainingError
from trainables.reading import network_folder, read_test
from trainables.task import build_network, example_input, load_data
from trainables.trial import Trial, run_trial

if TYPE_CHECKING:
    from trainables.compress import CompressTrainable

__all__ = [
    "CompressTrainable",
    "Data",
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
    "trial_config",
]


def __getattr__(name: str) -> Any:
    """`CompressTrainable` when it is asked for: the import of Ray Tune takes seconds that a trial alone does without."""
    if name != "CompressTrainable":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trainables.compress import CompressTrainable

    return CompressTrainable
