"""Pictures drawn of real digits: several of varied size on one canvas with clutter, and where each is.

Pictures, boxes and masks follow from a seed and MNIST's digits alone; training pictures are drawn of its
training split, test pictures of its test split.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.data.dataset import Dataset, Labels
from bitlathe.model.graph.arrays import Images

SIDE = 96  # pixels of a picture
MOST_DIGITS = 5  # in one picture
NO_DIGIT = -1.0  # class of the rows of a picture's boxes that are left over
_TRAIN_COUNT, _TEST_COUNT = 4000, 500
_SIZES = (18, 44)  # least and largest height of a digit's frame, in pixels
_INK = 96  # from which on a pixel belongs to a digit
_SPLINTERS = 14  # pieces of digits strewn about as clutter
_PIECE = 9  # side of one, in pixels of its digit
_TRIES = 12  # at a free place for a digit, before it is left out
_GAP = 2  # pixels between digits, at least

Canvas = NDArray[np.float64]
Frame = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """One split."""

    images: Images  # (N, 96, 96, 1)
    boxes: NDArray[np.float32]  # (N, MOST_DIGITS, 5): class, left, top, right, bottom in pixels
    masks: NDArray[np.uint8]  # (N, 96, 96): 0 is background, 1 + d the digit d


def read_digit_boxes(mnist: Dataset) -> Dataset:
    """Pictures with boxes: labels (N, 5, 5) of class, left, top, right and bottom; a class of -1 is none."""
    train, test = _splits(mnist)
    return _dataset("digit_boxes", train, test, train.boxes, test.boxes)


def read_digit_masks(mnist: Dataset) -> Dataset:
    """The same pictures with a class for each pixel: 0 is background, 1 + d the digit d."""
    train, test = _splits(mnist)
    return _dataset("digit_masks", train, test, train.masks, test.masks)


def _dataset(name: str, train: Scenes, test: Scenes, train_labels: Labels, test_labels: Labels) -> Dataset:
    return Dataset(
        name=name,
        train_images=train.images,
        train_labels=train_labels,
        test_images=test.images,
        test_labels=test_labels,
        class_names=(),
    )


def _splits(mnist: Dataset) -> tuple[Scenes, Scenes]:
    return (
        scenes(mnist.train_images[..., 0], mnist.train_labels, count=_TRAIN_COUNT, seed=0),
        scenes(mnist.test_images[..., 0], mnist.test_labels, count=_TEST_COUNT, seed=1),
    )


def scenes(digits: NDArray[np.uint8], classes: Labels, *, count: int, seed: int) -> Scenes:
    """So many pictures of digits (M, H, W) with their classes (M,)."""
    # RandomState's stream never changes between NumPy versions
    random = np.random.RandomState(seed)
    images = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    boxes = np.zeros((count, MOST_DIGITS, 5), np.float32)
    boxes[..., 0] = NO_DIGIT
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, rows, mask in zip(images, boxes, masks, strict=True):
        canvas = _background(random)
        _strew(random, canvas, digits)
        frames: list[Frame] = []
        for row in rows[: random.randint(1, MOST_DIGITS + 1)]:
            chosen = random.randint(len(digits))
            shape = _resized(random, digits[chosen])
            frame = _free_place(random, shape, frames)
            if frame is not None:
                frames.append(frame)
                row[:] = classes[chosen], *frame
                _draw(random, canvas, mask, shape, frame, int(classes[chosen]))
        image[..., 0] = np.clip(np.floor(canvas + 0.5), 0, 255).astype(np.uint8)
    return Scenes(images=images, boxes=boxes, masks=masks)


def _background(random: np.random.RandomState) -> Canvas:
    """A slope of grey with noise, (96, 96)."""
    across, down = random.uniform(-25, 25, 2)
    slope = np.linspace(-1, 1, SIDE)
    grey = random.uniform(20, 70) + across * slope[None, :] + down * slope[:, None]
    made: Canvas = grey + random.uniform(-12, 12, (SIDE, SIDE))
    return made


def _strew(random: np.random.RandomState, canvas: Canvas, digits: NDArray[np.uint8]) -> None:
    """Pieces of digits, fainter than those that count, anywhere."""
    chosen = random.randint(0, len(digits), _SPLINTERS)
    rows, columns = (random.randint(0, size - _PIECE + 1, _SPLINTERS) for size in digits.shape[1:])
    tops, lefts = random.randint(0, SIDE - _PIECE + 1, (2, _SPLINTERS))
    greys = random.uniform(70, 150, _SPLINTERS)
    for digit, row, column, top, left, grey in zip(chosen, rows, columns, tops, lefts, greys, strict=True):
        ink = digits[digit, row : row + _PIECE, column : column + _PIECE] / 255
        part = canvas[top : top + _PIECE, left : left + _PIECE]
        part += ink * (grey - part)


def _resized(random: np.random.RandomState, digit: NDArray[np.uint8]) -> Canvas:
    """A digit of a random size without the empty rows and columns around it, in bytes."""
    rows, columns = (np.flatnonzero(digit.max(axis=axis) >= _INK) for axis in (1, 0))
    tight = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height = random.randint(_SIZES[0], _SIZES[1] + 1)
    width = max(4, round(height * tight.shape[1] / tight.shape[0] * random.uniform(0.85, 1.2)))
    made: Canvas = (
        _weights(height, tight.shape[0]) @ tight @ _weights(min(width, _SIZES[1]), tight.shape[1]).T
    )
    return made


@lru_cache(maxsize=2048)
def _weights(new: int, old: int) -> Canvas:
    """Weights (new, old) of a linear interpolation whose corners are the corners."""
    at = np.linspace(0, old - 1, new)
    made: Canvas = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)[None, :]))
    return made


def _free_place(random: np.random.RandomState, shape: Canvas, taken: list[Frame]) -> Frame | None:
    """Where a digit touches no other one; None where no place was found."""
    height, width = shape.shape
    for _ in range(_TRIES):
        top, left = random.randint(0, SIDE - height + 1), random.randint(0, SIDE - width + 1)
        right, bottom = left + width, top + height
        if all(
            left >= other[2] + _GAP
            or other[0] >= right + _GAP
            or top >= other[3] + _GAP
            or other[1] >= bottom + _GAP
            for other in taken
        ):
            return left, top, right, bottom
    return None


def _draw(
    random: np.random.RandomState,
    canvas: Canvas,
    mask: NDArray[np.uint8],
    shape: Canvas,
    frame: Frame,
    digit: int,
) -> None:
    left, top, right, bottom = frame
    part = canvas[top:bottom, left:right]
    part += shape / 255 * (random.uniform(170, 255) - part)
    mask[top:bottom, left:right][shape >= _INK] = 1 + digit
