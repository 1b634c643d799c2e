"""Boxes come out of a detector's maps by its formulas, and of those that overlap the surest is kept."""

from __future__ import annotations

import numpy as np
import pytest

from bitlathe.board.boxes import (
    Detections,
    anchor_boxes,
    best_of_overlapping,
    cell_boxes,
    detections,
    logistic,
    overlaps,
)
from bitlathe.board.errors import BundleError


def test_a_cell_s_box_is_around_its_centre() -> None:
    maps = np.zeros((2, 4, 3, 5))
    maps[1, :, 2, 4] = 0.5, -0.25, np.log(2), np.log(0.5)
    boxes = cell_boxes(maps, stride=8, side=16.0)
    assert boxes.shape == (2, 15, 4)
    assert boxes[0, 0].tolist() == [4 - 8, 4 - 8, 4 + 8, 4 + 8]
    assert np.allclose(boxes[1, 14], [40 - 16, 18 - 4, 40 + 16, 18 + 4])


def test_a_box_of_an_anchor_follows_the_published_formula() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3 * 7, 2, 3))
    anchors = [(10.0, 14.0), (23.0, 27.0), (37.0, 58.0)]
    boxes, scores = anchor_boxes(maps, anchors, stride=16)
    assert (boxes.shape, scores.shape) == ((2, 18, 4), (2, 18, 2))
    for anchor, row, column in ((0, 0, 0), (2, 1, 2), (1, 0, 2)):
        x, y, width, height, there, *classes = maps[1, anchor * 7 : (anchor + 1) * 7, row, column]
        centre = (column + logistic(x)) * 16, (row + logistic(y)) * 16
        sides = anchors[anchor][0] * np.exp(width), anchors[anchor][1] * np.exp(height)
        left, top, right, bottom = boxes[1, anchor * 6 + row * 3 + column]
        assert np.allclose(
            [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], [*centre, *sides]
        )
        wanted = [logistic(there) * logistic(each) for each in classes]
        assert np.allclose(scores[1, anchor * 6 + row * 3 + column], wanted)


def test_maps_that_are_not_of_the_anchors_are_refused() -> None:
    with pytest.raises(
        BundleError, match="maps of 20 channels are not those of 3 anchors; each has 5 and its"
    ):
        anchor_boxes(np.zeros((1, 20, 2, 2)), [(1, 1)] * 3, 16)


def test_extreme_values_stay_finite() -> None:
    assert np.isfinite(cell_boxes(np.full((1, 4, 1, 1), 1e4), 8, 16.0)).all()
    assert logistic(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 9]], float)
    shared = overlaps(boxes, boxes)
    assert np.allclose(shared, shared.T)
    assert np.allclose(shared[0], [1, 50 / 150, 0, 0])
    assert shared[3, 3] == 0


def test_of_boxes_that_overlap_the_surest_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [40, 0, 50, 10]], float)
    assert best_of_overlapping(boxes, np.array([0.5, 0.9, 0.5, 0.7])).tolist() == [1, 3]
    assert best_of_overlapping(boxes, np.array([0.5, 0.4, 0.5, 0.5]), 0.9).tolist() == [0, 2, 3, 1]
    assert best_of_overlapping(boxes[:0], np.zeros(0)).tolist() == []


def test_no_two_boxes_that_are_kept_overlap_and_each_other_one_does_a_surer_one() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 60, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 30, (200, 2))], axis=1)
    scores = rng.uniform(size=200)
    kept = best_of_overlapping(boxes, scores, 0.4)
    among = overlaps(boxes[kept], boxes[kept]) - np.eye(len(kept))
    assert among.max() <= 0.4
    for place in set(range(200)) - set(kept.tolist()):
        surer = kept[scores[kept] >= scores[place]]
        assert overlaps(boxes[[place]], boxes[surer]).max() > 0.4


def test_classes_do_not_suppress_each_other_and_the_surest_come_first() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [30, 0, 40, 10]], float)
    scores = np.array([[0.9, 0.1], [0.8, 0.95], [0.2, 0.29]])
    found = detections(boxes, scores)
    assert (found.classes.tolist(), found.scores.tolist()) == ([1, 0], [0.95, 0.9])
    assert len(detections(boxes, scores, most=1).boxes) == 1
    assert len(detections(boxes, scores, least_score=1.0).boxes) == 0


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(BundleError, match=r"boxes are \(3, 4\), scores \(2, 5\); give"):
        detections(np.zeros((3, 4)), np.zeros((2, 5)))
    with pytest.raises(BundleError, match="detections are boxes"):
        Detections(boxes=np.zeros((2, 4)), scores=np.zeros(3), classes=np.zeros(2, np.int64))
