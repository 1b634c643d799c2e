"""Boxes from the maps that a detector ends in, and of those that overlap the best one.

A box is left, top, right and bottom, in pixels; right and bottom are outside of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.errors import BundleError

Reals = NDArray[np.floating[Any]]

LEAST_SCORE, MOST_OVERLAP, MOST_BOXES = 0.3, 0.5, 100
_LARGEST_EXPONENT = 20.0  # beyond it a side exceeds any picture; exp would overflow at 700


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What was found in one picture, the surest first."""

    boxes: Reals  # (K, 4)
    scores: Reals  # (K,)
    classes: NDArray[np.int64]  # (K,)

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or {self.scores.shape, self.classes.shape} != {(count,)}:
            raise BundleError(
                f"detections are boxes {self.boxes.shape}, scores {self.scores.shape} and classes "
                f"{self.classes.shape}; give (K, 4), (K,) and (K,)"
            )


def logistic(values: Reals) -> Reals:
    """1 / (1 + exp(-x)), without overflow."""
    made: Reals = 0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64)))
    return made


def cell_boxes(offsets: Reals, stride: int, side: float) -> Reals:
    """Boxes (N, H * W, 4) of maps (N, 4, H, W): one box a cell of `stride` pixels.

    The maps are x and y of the box's centre from the cell's, in cells, and the logarithms of width and height
    in units of `side` pixels.
    """
    x, y, width, height = np.moveaxis(np.asarray(offsets, np.float64), 1, 0)
    rows, columns = _cells(*x.shape[1:])
    return _framed((columns + 0.5 + x) * stride, (rows + 0.5 + y) * stride, side, side, width, height)


def anchor_boxes(maps: Reals, anchors: Sequence[tuple[float, float]], stride: int) -> tuple[Reals, Reals]:
    """Boxes (N, A * H * W, 4) and scores (N, A * H * W, K) of YOLOv3's maps (N, A * (5 + K), H, W).

    `anchors` are A widths and heights in pixels. Source: Redmon and Farhadi 2018, arXiv:1804.02767, section
    2.1.
    """
    count, channels, height, width = maps.shape
    if not anchors or channels % len(anchors) or channels // len(anchors) < 6:
        raise BundleError(
            f"maps of {channels} channels are not those of {len(anchors)} anchors; each has 5 and its classes"
        )
    values = np.asarray(maps, np.float64).reshape(count, len(anchors), -1, height, width)
    x, y, wide, high, there = np.moveaxis(values[:, :, :5], 2, 0)
    rows, columns = _cells(height, width)
    sizes = np.asarray(anchors, np.float64)[None, :, :, None, None]
    boxes = _framed(
        (columns + logistic(x)) * stride,
        (rows + logistic(y)) * stride,
        sizes[:, :, 0],
        sizes[:, :, 1],
        wide,
        high,
    )
    scores = logistic(there)[:, :, None] * logistic(values[:, :, 5:])
    return boxes, np.moveaxis(scores, 2, -1).reshape(count, boxes.shape[1], -1)


def overlaps(one: Reals, other: Reals) -> Reals:
    """Intersection over union (A, B) of boxes (A, 4) and (B, 4); 0 where either has no area."""
    first, second = one[:, None, :], other[None, :, :]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    both = sides.clip(min=0).prod(axis=-1)
    union = _areas(first) + _areas(second) - both
    made: Reals = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return made


def best_of_overlapping(boxes: Reals, scores: Reals, most_overlap: float = MOST_OVERLAP) -> NDArray[np.int64]:
    """Places of the boxes (M, 4) that no surer one overlaps by more: non-maximum suppression.

    The surest come first; of equal scores (M,) the first counts.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        kept.append(int(left[0]))
        covered = overlaps(boxes[left[:1]], boxes[left])[0] > most_overlap
        covered[0] = True
        left = left[~covered]
    return np.array(kept, np.int64)


def detections(
    boxes: Reals,
    scores: Reals,
    *,
    least_score: float = LEAST_SCORE,
    most_overlap: float = MOST_OVERLAP,
    most: int = MOST_BOXES,
) -> Detections:
    """What is found in one picture by boxes (M, 4) with scores (M, K); classes do not suppress each other."""
    if boxes.shape != (len(scores), 4) or scores.ndim != 2:
        raise BundleError(f"boxes are {boxes.shape}, scores {scores.shape}; give (M, 4) and (M, K)")
    places, classes = np.nonzero(scores >= least_score)
    sure = scores[places, classes]
    kept = [
        mine[best_of_overlapping(boxes[places[mine]], sure[mine], most_overlap)]
        for each in np.unique(classes)
        for mine in (np.flatnonzero(classes == each),)
    ]
    chosen = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    chosen = chosen[np.argsort(-sure[chosen], kind="stable")][:most]
    return Detections(
        boxes=boxes[places[chosen]], scores=sure[chosen], classes=classes[chosen].astype(np.int64)
    )


def _cells(height: int, width: int) -> tuple[Reals, Reals]:
    """Rows (H, 1) and columns (1, W)."""
    return np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None, :]


def _framed(
    x: Reals, y: Reals, unit_width: Reals | float, unit_height: Reals | float, width: Reals, height: Reals
) -> Reals:
    """Boxes (N, cells, 4) of centres, and sides by their logarithms."""
    half_width = 0.5 * unit_width * np.exp(np.minimum(width, _LARGEST_EXPONENT))
    half_height = 0.5 * unit_height * np.exp(np.minimum(height, _LARGEST_EXPONENT))
    sides = (x - half_width, y - half_height, x + half_width, y + half_height)
    made: Reals = np.stack(sides, axis=-1).reshape(len(x), -1, 4)
    return made


def _areas(boxes: Reals) -> Reals:
    made: Reals = (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)
    return made
