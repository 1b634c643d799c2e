"""The embedded data set: scikit-learn's 8x8 handwritten digits, which need no file."""

from __future__ import annotations

import numpy as np

from bitlathe.model.data.dataset import Dataset

_TRAIN_COUNT = 1437  # of 1797; the other 360 are held out
_SPLIT_SEED = 0


def read_digits() -> Dataset:
    """Digits in a fixed split, 1437 to train and 360 to test, each 8 x 8 x 1, grey 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # seconds, which other data need not wait for

    bunch = load_digits()
    images = (bunch.images.astype(np.int64) * 255 // 16).astype(np.uint8)[..., np.newaxis]
    labels = bunch.target.astype(np.int64)
    # RandomState's stream never changes between NumPy versions, so neither does the split.
    order = np.random.RandomState(_SPLIT_SEED).permutation(len(labels))
    train, test = order[:_TRAIN_COUNT], order[_TRAIN_COUNT:]
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(digit) for digit in range(10)),
    )
