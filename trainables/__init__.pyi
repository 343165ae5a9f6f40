"""The public names of `trainables`, each imported from its module when it is first used."""

from .config import TaskConfig as TaskConfig
from .config import TrialConfig as TrialConfig
from .config import trial_config as trial_config
from .errors import LeaseLost as LeaseLost
from .errors import ProcessLost as ProcessLost
from .errors import StoreError as StoreError
from .errors import StoreWarning as StoreWarning
from .errors import TaskError as TaskError
from .errors import TrainingError as TrainingError
from .errors import TryAgain as TryAgain
from .results.read_test import read_test as read_test
from .results.trial_paths import network_folder as network_folder
from .task.data import Data as Data
from .task.data.data import from_splits as from_splits
from .task.data.splits import StreamedSplit as StreamedSplit
from .task.data.splits import TensorSplit as TensorSplit
from .task.task import build_network as build_network
from .task.task import example_input as example_input
from .task.task import load_data as load_data
from .trials.screening import screened as screened
from .trials.trial import Trial as Trial
from .trials.trial import run_trial as run_trial
