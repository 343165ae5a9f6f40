"""MNIST-1D (Greydanus & Kobak, ICML 2024, arXiv 2011.14439), generated offline.

4,000 + 1,000 signals of 40 points, ten classes.
"""

import numpy
import torch
from torch import Tensor

from trainables.errors import TaskError
from trainables.task.data.data import Data, from_splits, stratified
from trainables.task.data.splits import TensorSplit
from trainables.task.data.streaming import own_numbers

_STEP = 2.0**-12  # far below the noise of the signals


def mnist1d() -> Data:
    """Generate MNIST-1D: a tenth of each class of the 4,000 signals to validate, the 1,000 to test.

    The rest are to train. Inputs are (1, 40), mean 0, deviation 1: the package's own default set (seed 42).
    Raises `TaskError` where the package ``mnist1d`` is missing.
    """
    made = _generated()
    inputs, test_inputs = (_rounded(made[key]) for key in ("x", "x_test"))
    labels, test_labels = (torch.from_numpy(made[key]).long() for key in ("y", "y_test"))
    validation, train = stratified(labels, 0.1)
    known = [TensorSplit(inputs[part], labels[part]) for part in (train, validation)]
    return from_splits([*known, TensorSplit(test_inputs, test_labels)], num_classes=10)


def _generated() -> dict[str, numpy.ndarray]:
    """Run the package with its default arguments; the global generators that it seeds are put back."""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise TaskError(
            "the data set mnist1d needs the package of that name: `pip install mnist1d`."
        ) from error
    with own_numbers(0):  # the package seeds them itself
        made: dict[str, numpy.ndarray] = make_dataset(get_dataset_args())
    return made


def _rounded(signals: numpy.ndarray) -> Tensor:
    """Turn signals (N, 40), float64, into (N, 1, 40), float32, without the last bits.

    These differ between processors, and the digest would too.
    """
    return torch.from_numpy(numpy.round(signals / _STEP) * _STEP).float()[:, None]
