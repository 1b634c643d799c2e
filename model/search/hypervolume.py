"""Volume that a few points dominate, and the points that no other dominates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Point: TypeAlias = tuple[float, ...]  # larger is better on each axis


def hypervolume(points: Sequence[Point]) -> float:
    """Volume of the union of boxes from the origin to each point; exact, by slices of the last axis.

    >>> hypervolume([(2.0, 1.0), (1.0, 2.0)])
    3.0
    """
    inside = [point for point in points if min(point) > 0]
    if not inside:
        return 0.0
    if len(inside[0]) == 1:
        return max(point[0] for point in inside)
    total, floor = 0.0, 0.0
    for height in sorted({point[-1] for point in inside}):
        slab = [point[:-1] for point in inside if point[-1] >= height]
        total += (height - floor) * hypervolume(slab)
        floor = height
    return total


def pareto_front(points: Sequence[Point]) -> tuple[int, ...]:
    """Positions of the points that no other dominates; the first of equal points.

    >>> pareto_front([(1.0, 1.0), (2.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    (0, 1)
    """
    return tuple(
        i
        for i, point in enumerate(points)
        if not any(
            all(a >= b for a, b in zip(other, point, strict=True)) and (other != point or j < i)
            for j, other in enumerate(points)
            if j != i
        )
    )
