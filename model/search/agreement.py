"""How far a probe's ranking of the candidates is that of a whole epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's rank correlation tau-b of two scorings, -1..1; None where one of them ranks nothing.

    Source: Kendall 1945, doi 10.1093/biomet/33.3.239.

    >>> kendall_tau([1, 2, 3], [1, 3, 2])
    0.3333333333333333
    """
    pairs = [
        (_sign(a[0] - b[0]), _sign(a[1] - b[1]))
        for a, b in combinations(list(zip(first, second, strict=True)), 2)
    ]
    ranked = [sum(bool(pair[side]) for pair in pairs) for side in (0, 1)]
    if not all(ranked):
        return None
    return sum(x * y for x, y in pairs) / sqrt(ranked[0] * ranked[1])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
