"""How well boxes were found: mean average precision.

Source: Everingham et al. 2010, The PASCAL Visual Object Classes Challenge, section 4.2, with the area under
the whole curve, as since 2010.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.boxes import Detections, Reals, overlaps
from bitlathe.board.errors import BundleError

LEAST_OVERLAP = 0.5


def mean_average_precision(
    found: Sequence[Detections], wanted: Reals, least_overlap: float = LEAST_OVERLAP
) -> float:
    """Mean over the classes that occur of the average precision of what was found in N pictures.

    `wanted` (N, M, 5) holds class, left, top, right and bottom; rows of a negative class are none.
    """
    if wanted.ndim != 3 or wanted.shape[2] != 5 or len(wanted) != len(found):
        raise BundleError(
            f"boxes wanted are {wanted.shape}, of {len(found)} pictures; give ({len(found)}, M, 5): class, "
            "left, top, right, bottom"
        )
    classes = np.unique(wanted[..., 0][wanted[..., 0] >= 0])
    if not len(classes):
        raise BundleError("no box is wanted in any picture; give some that have one")
    return float(np.mean([_average_precision(found, wanted, int(each), least_overlap) for each in classes]))


def _average_precision(
    found: Sequence[Detections], wanted: Reals, chosen: int, least_overlap: float
) -> float:
    """Of one class: the area under precision over recall, precision made to fall."""
    count, scores, hits = 0, [np.zeros(0)], [np.zeros(0, np.bool_)]
    for each, rows in zip(found, wanted, strict=True):
        there = rows[rows[:, 0] == chosen, 1:]
        mine = each.classes == chosen
        count += len(there)
        scores.append(np.asarray(each.scores[mine], np.float64))
        hits.append(_hits(each.boxes[mine], scores[-1], there, least_overlap))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.concatenate(hits)[order].cumsum()
    recall = np.concatenate([[0.0], right / count])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float((np.diff(recall) * precision).sum())


def _hits(boxes: Reals, scores: Reals, there: Reals, least_overlap: float) -> NDArray[np.bool_]:
    """Which boxes (K,) meet one that is there and that no surer box has met."""
    hits = np.zeros(len(boxes), np.bool_)
    if not len(there):
        return hits
    shared = overlaps(boxes, there)
    free = np.ones(len(there), np.bool_)
    for place in np.argsort(-scores, kind="stable"):
        best = int(shared[place].argmax())
        if shared[place, best] >= least_overlap and free[best]:
            hits[place], free[best] = True, False
    return hits
