"""Small tasks that are not classification: pictures, networks, losses and metrics as people write them.

Tests import it, and commands name its functions: `FILE` is its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FILE = Path(__file__)
SIZE, COUNT = (6, 8), 120  # pixels and number of pictures


def _images() -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright square, and its place."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 60, (COUNT, *SIZE, 3), dtype=np.uint8)
    places = np.stack([rng.integers(0, edge - 2, COUNT) for edge in SIZE], axis=1)
    for image, (row, column) in zip(images, places, strict=True):
        image[row : row + 3, column : column + 3, 1] = 220
    return images, places


def _split(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    return images[:90], labels[:90], images[90:], labels[90:]


def squares() -> tuple[np.ndarray, ...]:
    """Maps of what is a square; the first pixel does not count."""
    images, places = _images()
    maps = np.zeros(images.shape[:3], np.uint8)
    for kinds, (row, column) in zip(maps, places, strict=True):
        kinds[row : row + 3, column : column + 3] = 1
    maps[:, 0, 0] = 255
    return _split(images, maps)


def corners() -> tuple[np.ndarray, ...]:
    """Where the square is, in shares of the picture."""
    images, places = _images()
    return _split(images, (places / SIZE).astype(np.float32))


def segmenter() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1),
    )  # fmt: skip


def locator() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 2),
    )


def weighted(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels, torch.tensor([0.5, 1.0]), ignore_index=255)


def smooth(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(outputs, labels, beta=0.1)


def dice(outputs: np.ndarray, labels: np.ndarray) -> float:
    made, right = outputs.argmax(axis=1) == 1, labels == 1
    return float(2 * (made & right)[labels != 255].sum() / (made[labels != 255].sum() + right.sum()))


def distance(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.sqrt(((outputs - labels) ** 2).sum(axis=1)).mean())


distance.lower_is_better = True  # type: ignore[attr-defined]


def nothing(outputs: Any, labels: Any) -> None:
    return None


def not_a_number(outputs: Any, labels: Any) -> float:
    return float("nan")


def words(outputs: Any, labels: Any) -> str:
    return "very good"


def each(outputs: Any, labels: Any) -> Any:
    return outputs.mean(axis=0)


def tensor(outputs: Any, labels: Any) -> Any:
    return torch.tensor(1.0)


def failing(outputs: Any, labels: Any) -> Any:
    raise ValueError("no such thing")


def detached(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.detach() ** 2).mean()


def too_large(outputs: Any, labels: Any) -> int:
    return 10**400
