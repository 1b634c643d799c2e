"""Convert real values to codes and back, and find the binary point with the least error."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Floats, Int64s
from bitlathe.model.graph.fixed_point import weight_limit

Fracs = tuple[int, ...]  # binary points, one per output channel


def round_half_up(values: Floats) -> Int64s:
    """Nearest integers, halves towards +inf, as `requantize` rounds.

    >>> round_half_up(np.array([0.5, -0.5, -1.5])).tolist()
    [1, 0, -1]
    """
    nearest: Int64s = np.floor(values.astype(np.float64) + 0.5).astype(np.int64)
    return nearest


def finest_frac(largest: float, hi: int) -> int | None:
    """Largest frac at which `largest` has a code up to `hi`; None if `largest` is 0.

    >>> finest_frac(1.0, 127), finest_frac(1.0, 128), finest_frac(0.0, 127)
    (6, 7, None)
    """
    return floor(log2(hi / largest)) if largest > 0 else None


def ristretto_frac(largest: float, magnitude_bits: int) -> int | None:
    """Frac at which `magnitude_bits` span the smallest power of two that is at least `largest`.

    None if `largest` is 0. `largest` itself may be clipped by one step. Source: Gysel et al. 2018,
    Ristretto, dynamic fixed point.

    >>> ristretto_frac(1.0, 7), ristretto_frac(1.1, 7), ristretto_frac(0.0, 7)
    (7, 6, None)
    """
    return magnitude_bits - ceil(log2(largest)) if largest > 0 else None


def weight_codes(weight: Floats, bits: int, fracs: Fracs) -> Int64s:
    """Codes of weights (out_channels, ...) in the symmetric range of `bits`; one frac per output channel."""
    limit = weight_limit(bits)
    return np.clip(
        round_half_up(np.ldexp(weight.astype(np.float64), _by_channel(fracs, weight.ndim))), -limit, limit
    )


def weight_values(codes: Int64s, fracs: Fracs) -> npt.NDArray[np.float64]:
    """Values of codes (out_channels, ...)."""
    return np.ldexp(codes.astype(np.float64), -_by_channel(fracs, codes.ndim))


FracChoice = Callable[[Floats], int | None]  # binary point of some rows of weights; None where all are zero


def weight_fracs(weight: Floats, per_channel: bool, choose: FracChoice) -> Fracs:
    """Binary points of weights (out_channels, ...): one per output channel, or one for all.

    A channel of zeros takes the finest of the others.
    """
    rows = weight.reshape(len(weight), -1)
    if not per_channel:
        frac = choose(rows)
        return (0 if frac is None else frac,) * len(rows)
    fracs = [choose(row[np.newaxis]) for row in rows]
    spare = max((frac for frac in fracs if frac is not None), default=0)
    return tuple(spare if frac is None else frac for frac in fracs)


def least_error_frac(rows: Floats, bits: int, clipping_steps: int) -> int | None:
    """Binary point with the least squared error: the finest that clips no weight, or some finer ones."""
    finest = finest_frac(float(np.abs(rows).max(initial=0)), weight_limit(bits))
    if finest is None:
        return None
    candidates = range(finest, finest + clipping_steps + 1)
    return min(candidates, key=lambda frac: _squared_error(rows, bits, frac))


def _squared_error(rows: Floats, bits: int, frac: int) -> float:
    fracs = (frac,) * len(rows)
    return float(((weight_values(weight_codes(rows, bits, fracs), fracs) - rows) ** 2).sum())


def _by_channel(fracs: Fracs, dimensions: int) -> npt.NDArray[np.int64]:
    return np.asarray(fracs, dtype=np.int64).reshape(-1, *[1] * (dimensions - 1))
