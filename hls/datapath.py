"""Widths of the array's data path, all from one bound: what legal codes and weights can add up to.

A multiplier forms `act * weight`: two products of 8-bit lanes or four of 4-bit ones, side by side,

    wide    act = a                  weight = (w1 << WIDE.spacing) + w0
    narrow  act = (a1 << s) + a0     weight = (w1 << 2 * s) + w0             with s = NARROW.spacing

`CHAIN` multipliers are added, then the sums are taken apart. Narrow ones stay in pairs, `field_bits` apart:
in those fields the chains of a row meet, then the row of the low and the row of the high channels of the
same pixels. A width is the least that holds every value it meets, and nothing else says one: the package
`datapath_pkg` and the header `datapath.hpp` are printed from here.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.fixed_point import FixedPoint, weight_limit

LANE_BITS = 8  # of a byte that is a code or a weight
PACKED_BITS = 4  # of a code or a weight that shares its byte with another channel's
CHAIN = 2  # multipliers whose products are added before their sums are taken apart
PORTS = (
    18,
    25,
)  # bits of the multiplier inputs of a DSP48E1, signed (UG479); a DSP48E2's are at least as wide (UG579)


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """How the array takes a byte: what may stand in it, and what a chain makes of that."""

    bits: int
    weights: CodeRange
    channels: int  # input channels in a byte

    @cached_property
    def codes(self) -> CodeRange:
        """Codes of either sign: a descriptor says which."""
        formats = (FixedPoint(bits=self.bits, frac=0, signed=signed) for signed in (True, False))
        signed, unsigned = (CodeRange(lo=form.lo, hi=form.hi) for form in formats)
        return signed.union(unsigned)

    def sums(self, count: int) -> CodeRange:
        """Sums of up to `count` products; a product is linear in each operand, so corners bound it."""
        corners = [
            code * weight
            for code, weight in product((self.codes.lo, self.codes.hi), (self.weights.lo, self.weights.hi))
        ]
        return CodeRange(lo=count * min(corners), hi=count * max(corners))

    @cached_property
    def spacing(self) -> int:
        """Bits from a chain's sum to the next, which is one less where the sum below it is negative."""
        chain = self.sums(CHAIN)
        return bits_of(CodeRange(lo=chain.lo - 1, hi=chain.hi))


WIDE = Lanes(
    bits=LANE_BITS,
    weights=CodeRange(lo=-weight_limit(LANE_BITS), hi=weight_limit(LANE_BITS)),  # -128 would leave the port
    channels=1,
)
NARROW = Lanes(
    bits=PACKED_BITS,
    weights=CodeRange(lo=-weight_limit(PACKED_BITS) - 1, hi=weight_limit(PACKED_BITS)),  # all of a half byte
    channels=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPath:
    """Bits of every value between the stores and the accumulators; signed, all of them."""

    code_bits: int  # an 8-bit code of either sign; also a candidate for a maximum
    act_bits: int  # multiplier input: a code, or two narrow ones
    weight_bits: int  # multiplier input: two weights
    product_bits: int
    chain_bits: int
    wide_spacing: int  # of the two sums in a chain
    narrow_spacing: int  # of the four
    field_bits: int  # from a narrow sum to the other one of its pair
    sum_bits: int  # a row's sum for an output channel: a wide one, or a pair of fields
    entry_bits: int  # what a cycle adds to an accumulator


def datapath(pi: int) -> DataPath:
    """Widths of an array of `pi` input channels a cycle; neither output channels nor pixels change them.

    >>> datapath(8).field_bits, datapath(16).field_bits
    (12, 13)
    """
    code = WIDE.codes
    wide, narrow = (WIDE.spacing,), (NARROW.spacing, 2 * NARROW.spacing, 3 * NARROW.spacing)
    fields = NARROW.sums(pi * NARROW.channels)
    field_bits = bits_of(fields)
    pair = _side_by_side(fields, (field_bits,))
    row = WIDE.sums(pi * WIDE.channels)
    return DataPath(
        code_bits=bits_of(code),
        act_bits=_widest(code, _side_by_side(NARROW.codes, (NARROW.spacing,))),
        weight_bits=_widest(
            _side_by_side(WIDE.weights, wide), _side_by_side(NARROW.weights, (2 * NARROW.spacing,))
        ),
        product_bits=_widest(_side_by_side(WIDE.sums(1), wide), _side_by_side(NARROW.sums(1), narrow)),
        chain_bits=_widest(_side_by_side(WIDE.sums(CHAIN), wide), _side_by_side(NARROW.sums(CHAIN), narrow)),
        wide_spacing=WIDE.spacing,
        narrow_spacing=NARROW.spacing,
        field_bits=field_bits,
        sum_bits=_widest(row, pair),
        entry_bits=_widest(row, fields, code),
    )


def bits_of(values: CodeRange) -> int:
    """Bits of a two's complement number that holds a range.

    >>> bits_of(CodeRange(lo=-128, hi=127)), bits_of(CodeRange(lo=0, hi=128))
    (8, 9)
    """
    return 1 + max((-values.lo - 1).bit_length(), values.hi.bit_length())


def _widest(*ranges: CodeRange) -> int:
    return max(map(bits_of, ranges))


def _side_by_side(values: CodeRange, places: tuple[int, ...]) -> CodeRange:
    """Numbers made of a value of the range at bit 0 and one at each of the `places`."""
    scale = 1 + sum(1 << place for place in places)
    return CodeRange(lo=values.lo * scale, hi=values.hi * scale)
