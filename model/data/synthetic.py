"""Stand-in for ImageNet's images if they are not available: smooth seeded noise of their shape.

It is enough to quantize, compile, time and compare networks for 224x224 images integer by integer.
Its labels mean nothing, so neither does an accuracy on it.
"""

from __future__ import annotations

import numpy as np

from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.graph.arrays import Images

_SIZE, _CLASSES = 224, 1000
_TRAIN_COUNT, _TEST_COUNT = 64, 16
_CELLS = (2, 7, 28, 224)  # side of the noise's octaves


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


def _split(random: np.random.RandomState, count: int) -> tuple[Images, Labels]:
    images = np.stack([_image(random) for _ in range(count)])
    return images, random.randint(0, _CLASSES, count).astype(np.int64)


def _image(random: np.random.RandomState) -> Images:
    """Noise (224, 224, 3) in octaves, coarser ones stronger, stretched to the range of a byte."""
    total = np.zeros((_SIZE, _SIZE, 3))
    for cells in _CELLS:
        octave = random.standard_normal((cells, cells, 3)) / np.sqrt(cells)
        total += octave.repeat(_SIZE // cells, axis=0).repeat(_SIZE // cells, axis=1)
    low, high = total.min(), total.max()
    image: Images = ((total - low) / (high - low) * 255).astype(np.uint8)
    return image
