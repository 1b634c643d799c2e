"""Fixed-point formats and the arithmetic every implementation shares."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import FormatError

IntArray = npt.NDArray[np.signedinteger[Any]]

MIN_BITS, MAX_BITS = 2, 16
ACCUMULATOR_BITS = 32
MAX_SHIFT = ACCUMULATOR_BITS - 1  # of a requantization or a residual
MAX_FRAC = 127  # magnitude of a tensor's binary point


class RoundingMode(Enum):
    """How a requantization rounds what is half-way between two codes."""

    HALF_UP = "half_up"  # towards +inf, AP_RND
    HALF_EVEN = "half_even"  # to the even code, AP_RND_CONV: ONNX's QuantizeLinear, QONNX's ROUND


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """Fixed-point format: value = code * 2**-frac; ap_fixed<bits, bits - frac>.

    >>> FixedPoint(bits=8, frac=7).lo, FixedPoint(bits=8, frac=7, signed=False).hi
    (-128, 255)
    """

    bits: int  # width of a code, sign included
    frac: int  # binary point; may be negative or exceed `bits`
    signed: bool = True

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise FormatError(f"a code of {self.bits} bits is not supported; choose {MIN_BITS} to {MAX_BITS}")
        if abs(self.frac) > MAX_FRAC:
            raise FormatError(
                f"a binary point of {self.frac} is not supported; choose -{MAX_FRAC} to {MAX_FRAC}"
            )

    @property
    def lo(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def max_abs(self) -> int:
        """Largest magnitude of a code."""
        return max(-self.lo, self.hi)

    @property
    def scale(self) -> float:
        """Value of one step."""
        return float(2.0**-self.frac)


def weight_limit(bits: int) -> int:
    """Largest weight magnitude: the range is symmetric, the most negative code is not used.

    >>> weight_limit(8)
    127
    """
    return (1 << (bits - 1)) - 1


def requantize(
    acc: IntArray, shift: IntArray | int, lo: int, hi: int, mode: RoundingMode = RoundingMode.HALF_UP
) -> IntArray:
    """Move accumulators to another binary point: clamp((acc + 2**(shift-1)) >> shift, lo, hi).

    Halves round towards +inf (AP_RND) or, with 2**(shift-1) - 1 + bit `shift` of acc added instead, to even
    (AP_RND_CONV). Saturates (AP_SAT); `shift` >= 0 broadcasts against `acc`.

    >>> requantize(np.array([3, -3, 1000]), 1, -128, 127).tolist()
    [2, -1, 127]
    >>> requantize(np.array([3, -3, 1, -1]), 1, -128, 127, RoundingMode.HALF_EVEN).tolist()
    [2, -2, 0, 0]
    """
    return requantize_in_place(acc.astype(np.int64), shift, lo, hi, mode)


def requantize_in_place(
    acc: IntArray, shift: IntArray | int, lo: int, hi: int, mode: RoundingMode = RoundingMode.HALF_UP
) -> IntArray:
    """`requantize` in place: overwrite `acc` and return it; acc + 2**(shift-1) must fit its type."""
    places = np.asarray(shift, dtype=acc.dtype)
    constant = rounding_constant(shift).astype(acc.dtype)
    if mode is RoundingMode.HALF_EVEN:
        acc += constant - (~(acc >> places) & (places > 0))
    else:
        acc += constant
    acc >>= places
    return np.clip(acc, lo, hi, out=acc)


def rounding_constant(shift: IntArray | int) -> npt.NDArray[np.int64]:
    """Half an output step in steps of the accumulator: 2**(shift-1), or 0 without a shift.

    >>> rounding_constant(np.array([0, 1, 4])).tolist()
    [0, 1, 8]
    """
    return np.left_shift(np.int64(1), np.asarray(shift, dtype=np.int64)) >> 1
