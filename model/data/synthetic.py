"""Stand-in for large images that may not be available, ImageNet's and COCO's: smooth seeded noise.

It is enough to quantize, compile, time and compare networks for such images integer by integer.
Its labels mean nothing, so neither does an accuracy on it.
"""

from __future__ import annotations

import numpy as np

from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.graph.arrays import Images

_CLASSES = 1000
_TRAIN_COUNT, _TEST_COUNT = 64, 16
_LARGE_COUNTS = 24, 8  # of 416 x 416
_CELLS = {224: (2, 7, 28, 224), 416: (2, 13, 52, 416)}  # sides of the noise's octaves, by that of the image


def read_synthetic() -> Dataset:
    """Images of 224 x 224 x 3 in 1000 classes, 64 for calibration and 16 for tests."""
    # RandomState's stream never changes between NumPy versions
    random = np.random.RandomState(0)
    train_images, train_labels = _split(random, _TRAIN_COUNT)
    test_images, test_labels = _split(random, _TEST_COUNT)
    return Dataset(
        name="synthetic224",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple(f"class {index}" for index in range(_CLASSES)),
    )


def read_synthetic_boxes() -> Dataset:
    """Images of 416 x 416 x 3 with a number each that means nothing, 24 for calibration and 8 for tests."""
    random = np.random.RandomState(0)
    train, test = (np.stack([_image(random, 416) for _ in range(count)]) for count in _LARGE_COUNTS)
    return Dataset(
        name="synthetic416",
        train_images=train,
        train_labels=np.zeros((len(train), 1), np.float32),
        test_images=test,
        test_labels=np.zeros((len(test), 1), np.float32),
        class_names=(),
    )


def _split(random: np.random.RandomState, count: int) -> tuple[Images, Labels]:
    images = np.stack([_image(random, 224) for _ in range(count)])
    return images, random.randint(0, _CLASSES, count).astype(np.int64)


def _image(random: np.random.RandomState, size: int) -> Images:
    """Noise (size, size, 3) in octaves, coarser ones stronger, stretched to the range of a byte."""
    total = np.zeros((size, size, 3))
    for cells in _CELLS[size]:
        octave = random.standard_normal((cells, cells, 3)) / np.sqrt(cells)
        total += octave.repeat(size // cells, axis=0).repeat(size // cells, axis=1)
    low, high = total.min(), total.max()
    image: Images = ((total - low) / (high - low) * 255).astype(np.uint8)
    return image
