"""How far a compressed network's outputs are from the dense one's, on images that it was not fitted to."""

from weakref import WeakKeyDictionary

from torch import nn

from pruners.calibration.calibration import Calibration
from trainables.execution.compression.training_images import last_inputs
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting

# the dense network's outputs, computed once per process, however many trials ask
_measured: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], Calibration]] = WeakKeyDictionary()


def divergence(dense: Network, small: Network, setting: TrialSetting, seed: int, images: int) -> float:
    """Compare a compressed network's outputs with the dense one's on ``images`` training images.

    The mean Kullback-Leibler divergence in nats of class scores, of other outputs the relative squared error
    (`pruners.calibration`), without a label. The images are drawn by the seed, others than statistics are
    taken of. Infinite where outputs are not finite.
    """
    key, kept = _measured.get(dense.module, ((-1, -1), None))
    if kept is None or key != (seed, images):
        kept = Calibration(dense.module, last_inputs(setting, seed, images))
        _measured[dense.module] = (seed, images), kept
    return kept.divergence(small.module)
