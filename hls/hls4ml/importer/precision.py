"""hls4ml's number types read as integers: what an assignment to one does to an exact sum."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.hls.datapath import LANE_BITS
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import MAX_BITS, MIN_BITS, FixedPoint, RoundingMode, requantize

CLAMPS = ("SAT", "SAT_SYM")
_BEYOND = 1 << 62  # any code


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeType:
    """A fixed-point or integer type; rounding and saturation in hls4ml's words."""

    bits: int
    frac: int
    signed: bool
    rounding: str
    saturation: str

    @property
    def lo(self) -> int:
        """Smallest code that an assignment leaves."""
        smallest = -(1 << (self.bits - 1)) if self.signed else 0
        return smallest + (self.signed and self.saturation == "SAT_SYM")

    @property
    def hi(self) -> int:
        """Largest code."""
        return (1 << (self.bits - self.signed)) - 1

    def holds(self, lowest: int, highest: int, frac: int) -> bool:
        """Whether every integer from `lowest` to `highest` at `frac` is a value of the type."""
        places = self.frac - frac
        return places >= 0 and self.lo <= lowest << places and highest << places <= self.hi


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How a sum becomes codes: add `offset` to it, requantize by `shift`, clamp to [lo, hi]."""

    type: CodeType  # of the codes
    shift: int
    offset: int
    mode: RoundingMode
    lo: int
    hi: int
    least: int  # code that occurs
    most: int


def narrowest(precision: CodeType, lo: int, hi: int) -> FixedPoint:
    """Format of codes from `lo` to `hi` of a type: the type's own unless that is wider than a lane."""
    bits, signed = precision.bits, precision.signed
    if bits > LANE_BITS or bits < MIN_BITS:
        signed = lo < 0
        bits = max(hi.bit_length(), (-lo - 1).bit_length() if signed else 0) + signed
    return FixedPoint(bits=min(max(bits, MIN_BITS), MAX_BITS), frac=precision.frac, signed=signed)


def read_precision(layer: str, what: str, found: Any) -> CodeType:
    """A type of hls4ml's; UnsupportedLayer where it is neither fixed-point nor integer."""
    fields = ("width", "integer", "signed", "rounding_mode", "saturation_mode", "saturation_bits")
    if not all(hasattr(found, name) for name in fields):
        raise UnsupportedLayer(
            f"{layer}: its {what} type is {found}; only fixed-point types are integers here: "
            f"set Precision[{what!r}] to a fixed<...>"
        )
    return CodeType(
        bits=int(found.width),
        frac=int(found.width) - int(found.integer),
        signed=bool(found.signed),
        rounding=str(found.rounding_mode),
        saturation=str(found.saturation_mode),
    )


def assign(layer: str, precision: CodeType, frac: int, lowest: int, highest: int) -> Assignment:
    """Assignment of sums from `lowest` to `highest` at `frac` to a type.

    AP_TRN rounds towards -inf, which is the reference's rounding of a sum lowered by half a step; AP_RND and
    AP_RND_CONV are the reference's own. AP_WRAP is nothing where no sum can leave the type. Raises
    UnsupportedLayer for what has no such form.
    """
    if precision.frac > frac:
        if not precision.holds(lowest, highest, frac):
            raise UnsupportedLayer(
                f"{layer}: its result has {precision.frac} fraction bits, its sums {frac}, and it does not "
                f"hold them all; give the result at most {frac} fraction bits"
            )
        precision = replace(precision, bits=precision.bits - precision.frac + frac, frac=frac)
    shift = frac - precision.frac
    half = 1 << (shift - 1) if shift else 0
    offset = _rounding_offset(layer, precision, half)
    mode = RoundingMode.HALF_EVEN if precision.rounding == "RND_CONV" else RoundingMode.HALF_UP
    ends = np.array([lowest, highest], np.int64) + offset
    least, most = requantize(ends, shift, -_BEYOND, _BEYOND, mode).tolist()
    if not precision.lo <= least <= most <= precision.hi and precision.saturation not in CLAMPS:
        raise UnsupportedLayer(
            f"{layer}: its result {_type(precision)} takes codes {precision.lo} to {precision.hi}, its sums "
            f"reach {least} to {most} and AP_{precision.saturation} does not clamp; use SAT or more bits"
        )
    lo, hi = precision.lo, precision.hi
    if precision.bits > LANE_BITS:  # narrowed to the codes it can hold, so that the engine takes them
        lo, hi = max(lo, min(least, hi)), min(hi, max(most, lo))
    if max(-lo - 1, hi).bit_length() + (lo < 0) > MAX_BITS:
        raise UnsupportedLayer(
            f"{layer}: its result {_type(precision)} holds codes {lo} to {hi}, tensors have at most "
            f"{MAX_BITS} bits; set a narrower result with RND and SAT"
        )
    return Assignment(
        type=precision,
        shift=shift,
        offset=offset,
        mode=mode,
        lo=lo,
        hi=hi,
        least=min(max(lo, least), hi),
        most=max(min(hi, most), lo),
    )


def constant_codes(layer: str, what: str, data: Any, precision: CodeType) -> Int64s:
    """Codes of constants as the type stores them; UnsupportedLayer where one leaves an AP_WRAP type."""
    scaled = np.ldexp(np.asarray(data, np.float64), precision.frac)
    rounds: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
        "TRN": np.floor,
        "RND": lambda x: np.floor(x + 0.5),
        "RND_CONV": np.rint,
    }
    if precision.rounding not in rounds and (scaled != np.rint(scaled)).any():
        raise UnsupportedLayer(
            f"{layer}: {what} values are between the codes of {_type(precision)}, whose rounding is not "
            "known here; use TRN, RND or RND_CONV, or quantize them before"
        )
    codes = rounds.get(precision.rounding, np.floor)(scaled)
    clipped = np.clip(codes, precision.lo, precision.hi)
    if (codes != clipped).any() and precision.saturation not in CLAMPS:
        raise UnsupportedLayer(
            f"{layer}: {what} values reach {np.abs(np.asarray(data)).max():g}, beyond {_type(precision)}, "
            "and would wrap; give the type more integer bits"
        )
    return np.asarray(clipped, np.int64)


def coarsest(codes: Int64s, frac: int) -> tuple[Int64s, int]:
    """The same values with the fewest fraction bits that hold them; zeros need none.

    >>> coarsest(np.array([4, -8]), 5)
    (array([ 1, -2]), 3)
    """
    united = int(np.bitwise_or.reduce(np.abs(codes), axis=None)) if codes.size else 0
    places = (united & -united).bit_length() - 1 if united else 0
    return codes >> places, frac - places if united else 0


def _rounding_offset(layer: str, precision: CodeType, half: int) -> int:
    offsets = {"RND": 0, "RND_CONV": 0, "TRN": -half}
    if half and precision.rounding not in offsets:
        raise UnsupportedLayer(
            f"{layer}: its result rounds by AP_{precision.rounding}; the integer graph rounds halves up or "
            "to even: use RND, RND_CONV or TRN"
        )
    return offsets.get(precision.rounding, 0)


def _type(precision: CodeType) -> str:
    sign = "" if precision.signed else "u"
    integer = precision.bits - precision.frac
    return f"{sign}fixed<{precision.bits},{integer},{precision.rounding},{precision.saturation}>"
