"""Types of a project's tensors, weights and sums: `ap_fixed` and `ap_ufixed`, as hls4ml spells them."""

from dataclasses import dataclass, replace
from enum import Enum

from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode


class Saturation(Enum):
    """Handling of a value beyond the type's range, as hls4ml names it."""

    WRAP = "WRAP"
    SAT = "SAT"  # to the nearest code
    SAT_SYM = "SAT_SYM"  # the same, but never the most negative code


@dataclass(frozen=True, slots=True, kw_only=True)
class ApFixed:
    """ap_fixed<bits, bits - frac>: value = code * 2**-frac. The sign bit counts as an integer bit.

    >>> half_up = RoundingMode.HALF_UP
    >>> ApFixed(bits=8, frac=7, signed=False, rounding=half_up, saturation=Saturation.SAT).text
    'ufixed<8,1,RND,SAT,0>'
    """

    bits: int
    frac: int
    signed: bool = True
    rounding: RoundingMode | None = None  # AP_TRN, towards -inf
    saturation: Saturation = Saturation.WRAP

    @property
    def text(self) -> str:
        """As hls4ml prints the type when it is read back."""
        rounding = _ROUNDINGS[self.rounding]
        sign = "" if self.signed else "u"
        return f"{sign}fixed<{self.bits},{self.bits - self.frac},{rounding},{self.saturation.value},0>"

    @property
    def lo(self) -> int:
        """Smallest code that an assignment leaves in it."""
        smallest = -(1 << (self.bits - 1)) if self.signed else 0
        return smallest + (self.saturation is Saturation.SAT_SYM)

    @property
    def hi(self) -> int:
        """Largest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def storage(self) -> "ApFixed":
        """The same codes without rounding and saturation: for layers that only move them."""
        return replace(self, rounding=None, saturation=Saturation.WRAP)


_ROUNDINGS = {None: "TRN", RoundingMode.HALF_UP: "RND", RoundingMode.HALF_EVEN: "RND_CONV"}


def storing(code: FixedPoint) -> ApFixed:
    """Type that holds the codes of a tensor.

    >>> storing(FixedPoint(bits=8, frac=9)).text
    'fixed<8,-1,TRN,WRAP,0>'
    """
    return ApFixed(bits=code.bits, frac=code.frac, signed=code.signed)


def holding(lowest: int, highest: int, frac: int) -> ApFixed:
    """Narrowest signed type, of 2 bits at least, that holds the codes from `lowest` to `highest`.

    >>> holding(-128, 127, 3).bits, holding(0, 128, 3).bits
    (8, 9)
    """
    bits = max((-lowest - 1).bit_length() if lowest < 0 else 0, max(highest, 0).bit_length()) + 1
    return ApFixed(bits=max(bits, 2), frac=frac)


def clamping(lo: int, hi: int, frac: int, rounding: RoundingMode) -> ApFixed | None:
    """Type whose assignment rounds and clamps codes to [lo, hi]; None where no type does.

    >>> up, even = RoundingMode.HALF_UP, RoundingMode.HALF_EVEN
    >>> clamping(0, 255, 4, up).text, clamping(-127, 127, 4, even).text, clamping(0, 96, 4, up)
    ('ufixed<8,4,RND,SAT,0>', 'fixed<8,4,RND_CONV,SAT_SYM,0>', None)
    """
    if hi < 1 or hi & (hi + 1):
        return None
    bits = hi.bit_length()
    if lo == 0:
        return ApFixed(bits=bits, frac=frac, signed=False, rounding=rounding, saturation=Saturation.SAT)
    kinds = {-hi - 1: Saturation.SAT, -hi: Saturation.SAT_SYM}
    if lo not in kinds:
        return None
    return ApFixed(bits=bits + 1, frac=frac, rounding=rounding, saturation=kinds[lo])
