"""scikit-learn's handwritten digits (UCI, Alpaydin & Kaynak 1998): no download.

1,797 real images of 8x8 in 16 grey levels.
"""

import torch
from sklearn.datasets import load_digits

from trainables.task.data.data import Data, from_pixels, stratified


def digits() -> Data:
    """Load the digits: 60 % of each class to train, 20 % to validate, 20 % to test; inputs (1, 8, 8)."""
    raw = load_digits()
    images, labels = (
        torch.from_numpy(raw.images).to(torch.uint8)[:, None],
        torch.from_numpy(raw.target).long(),
    )
    validation, test, train = stratified(labels, 0.2, 0.2)
    return from_pixels([(images[part], labels[part]) for part in (train, validation, test)], num_classes=10)
