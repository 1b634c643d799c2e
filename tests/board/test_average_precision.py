"""Average precision is the area under the curve of what was found, for each class that occurs."""

from __future__ import annotations

import numpy as np
import pytest

from bitlathe.board.average_precision import mean_average_precision
from bitlathe.board.boxes import Detections
from bitlathe.board.errors import BundleError

NONE = [-1.0, 0, 0, 0, 0]
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 60, 60]


def found(*rows: tuple[list[int], float, int]) -> Detections:
    return Detections(
        boxes=np.array([box for box, _, _ in rows], float).reshape(-1, 4),
        scores=np.array([score for _, score, _ in rows], float),
        classes=np.array([kind for _, _, kind in rows], np.int64),
    )


def test_all_found_is_one_and_nothing_found_is_none() -> None:
    wanted = np.array([[[0, *A], [1, *B]], [[0, *C], NONE]])
    everything = [found((A, 0.9, 0), (B, 0.8, 1)), found((C, 0.7, 0))]
    assert mean_average_precision(everything, wanted) == 1.0
    assert mean_average_precision([found(), found()], wanted) == 0.0


def test_the_area_is_that_of_the_falling_curve() -> None:
    wanted = np.array([[[0, *A], [0, *B], [0, *C]]])
    far = [70, 70, 80, 80]
    # right, wrong, right, wrong, then nothing: precisions 1, 1/2, 2/3, 1/2 at recalls 1/3, 1/3, 2/3, 2/3
    mixed = [found((A, 0.9, 0), (far, 0.8, 0), (B, 0.7, 0), (far, 0.6, 0))]
    assert mean_average_precision(mixed, wanted) == pytest.approx(1 / 3 + (1 / 3) * (2 / 3))
    # wrong first, then right: precision 1/2 up to recall 1/3
    assert mean_average_precision([found((far, 0.9, 0), (A, 0.8, 0))], wanted) == pytest.approx(1 / 6)


def test_a_box_that_is_found_twice_counts_once() -> None:
    wanted = np.array([[[0, *A], [0, *B]]])
    twice = [found((A, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0))]
    assert mean_average_precision(twice, wanted) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_scores_are_compared_over_all_pictures() -> None:
    wanted = np.array([[[0, *A]], [[0, *A]]])
    pictures = [found((A, 0.5, 0)), found((B, 0.9, 0), (A, 0.4, 0))]
    assert mean_average_precision(pictures, wanted) == pytest.approx(0.5 * 2 / 3 + 0.5 * 2 / 3)


def test_a_class_that_does_not_occur_does_not_count_and_one_that_is_missed_does() -> None:
    wanted = np.array([[[0, *A], [1, *B]]])
    assert mean_average_precision([found((A, 0.9, 0), (C, 0.9, 7))], wanted) == 0.5


def test_overlap_must_reach_its_least() -> None:
    wanted = np.array([[[0, *A]]])
    half = [found(([0, 0, 5, 10], 0.9, 0))]
    assert mean_average_precision(half, wanted, 0.5) == 1.0
    assert mean_average_precision(half, wanted, 0.51) == 0.0


def test_labels_of_another_form_are_refused() -> None:
    with pytest.raises(BundleError, match=r"boxes wanted are \(2, 4\), of 1 pictures; give \(1, M, 5\)"):
        mean_average_precision([found()], np.zeros((2, 4)))
    with pytest.raises(BundleError, match="no box is wanted in any picture"):
        mean_average_precision([found()], np.array([[NONE]]))
