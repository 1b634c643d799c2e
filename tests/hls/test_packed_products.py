"""Two 8-bit products in one multiplier are exact: proofs for packings as in hls/rtl/mac_pair.sv.

A chain of `count` terms a * ((w1 << shift) + w0) holds sum(a * w0) in its low `shift` bits, read as a signed
field, and sum(a * w1) above them, less one where the low sum is negative. Nothing is lost when the low sum
stays below 2**(shift - 1) in size and the packed weight fits the multiplier's port. Which chains could be
longer on either multiplier is proven here, what the engine makes of its own in test_datapath.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from bitlathe.hls.datapath import CHAIN, PORTS, WIDE

FULL = (-128, 127)
SIGNED = (-128, 127)
UNSIGNED = (0, 255)
NARROW = (WIDE.weights.lo, WIDE.weights.hi)  # what the engine takes
E1_PORT, E2_PORT = PORTS[1], 27  # bits of the wider multiplier input of DSP48E1 (UG479) and DSP48E2 (UG579)
Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Two products in one multiplier, summed over a chain."""

    port: int  # bits of the signed input that takes the packed weight
    shift: int
    weights: Range
    codes: Range

    def term(self, code: int, low: int, high: int) -> int:
        """One multiplier's product."""
        return code * ((high << self.shift) + low)

    def split(self, chain: int, *, borrow: bool = True) -> tuple[int, int]:
        """The low and the high sum, as the hardware reads them out of a chain's sum."""
        low = signed(chain, self.shift)
        return low, (chain >> self.shift) + (low < 0 if borrow else 0)

    def fits_port(self) -> bool:
        limit = 1 << (self.port - 1)
        return all(
            -limit <= (high << self.shift) + low < limit for low, high in product(self.weights, repeat=2)
        )

    def is_exact(self, count: int, *, borrow: bool = True) -> bool:
        """Whether every chain of `count` corner terms is split into its own two sums."""
        corners = list(product(self.codes, self.weights, self.weights))
        return all(
            self.split(sum(self.term(*term) for term in chain), borrow=borrow) == sums(chain)
            for chain in combinations_with_replacement(corners, count)
        )

    def low_sums(self, count: int) -> Range:
        """Least and greatest low sum of a chain: a product is linear in each operand, so corners bound it."""
        products = [code * weight for code, weight in product(self.codes, self.weights)]
        return count * min(products), count * max(products)

    def holds(self, count: int) -> bool:
        """Whether every low sum of a chain fits the signed low field, which is what exactness needs."""
        least, greatest = self.low_sums(count)
        return -(1 << (self.shift - 1)) <= least and greatest < 1 << (self.shift - 1)

    def longest(self) -> int:
        """Terms of the longest exact chain."""
        return max(count for count in range(64) if self.holds(count))


def signed(value: int, bits: int) -> int:
    """The low `bits` of a value as a two's complement number.

    >>> signed(0x1FF, 8), signed(0x7F, 8)
    (-1, 127)
    """
    field = value & ((1 << bits) - 1)
    return field - (1 << bits) if field >> (bits - 1) else field


def sums(chain: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    """sum(a * w0), sum(a * w1) of terms (a, w0, w1)."""
    terms = list(chain)
    return sum(code * low for code, low, _ in terms), sum(code * high for code, _, high in terms)


def packing(port: int, shift: int, codes: Range, weights: Range = NARROW) -> Packing:
    return Packing(port=port, shift=shift, weights=weights, codes=codes)


LIMITS = [
    (E1_PORT, 17, NARROW, SIGNED, 4),
    (E1_PORT, 17, NARROW, UNSIGNED, 2),
    (E2_PORT, 19, NARROW, SIGNED, 16),
    (E2_PORT, 19, NARROW, UNSIGNED, 8),
    (E1_PORT, 16, FULL, SIGNED, 1),
    (E1_PORT, 16, FULL, UNSIGNED, 1),
    (E2_PORT, 18, FULL, SIGNED, 7),
    (E2_PORT, 18, FULL, UNSIGNED, 4),
]


@pytest.mark.parametrize(("port", "shift", "weights", "codes", "limit"), LIMITS)
def test_the_longest_exact_chain_is_the_one_known(
    port: int, shift: int, weights: Range, codes: Range, limit: int
) -> None:
    assert packing(port, shift, codes, weights).longest() == limit


@pytest.mark.parametrize(("port", "shift", "weights", "codes", "limit"), LIMITS)
def test_the_port_takes_this_shift_and_no_larger(
    port: int, shift: int, weights: Range, codes: Range, limit: int
) -> None:
    assert packing(port, shift, codes, weights).fits_port()
    assert not packing(port, shift + 1, codes, weights).fits_port()


@pytest.mark.parametrize("codes", [SIGNED, UNSIGNED])
def test_the_engines_chains_are_exact_at_every_corner(codes: Range) -> None:
    engine = packing(E1_PORT, WIDE.spacing, codes)
    assert engine.fits_port() and engine.holds(CHAIN)
    assert all(engine.is_exact(count) for count in range(1, CHAIN + 1))


def test_a_chain_of_four_signed_codes_is_exact_and_one_of_five_is_not() -> None:
    signed_codes = packing(E1_PORT, WIDE.spacing, SIGNED)
    assert signed_codes.is_exact(4)
    assert not signed_codes.is_exact(5)


def test_a_chain_of_three_unsigned_codes_fails() -> None:
    assert not packing(E1_PORT, WIDE.spacing, UNSIGNED).is_exact(3)


@pytest.mark.parametrize(("codes", "limit"), [(SIGNED, 16), (UNSIGNED, 8)])
def test_the_larger_multiplier_fails_one_term_past_its_limit(codes: Range, limit: int) -> None:
    wide = packing(E2_PORT, 19, codes)
    worst = max(product(codes, NARROW, NARROW), key=lambda term: abs(term[0] * term[1]))
    for count, is_exact in ((limit, True), (limit + 1, False)):
        chain = [worst] * count
        assert (wide.split(sum(wide.term(*term) for term in chain)) == sums(chain)) is is_exact


@pytest.mark.parametrize("codes", [SIGNED, UNSIGNED])
def test_a_full_range_weight_does_not_fit_beside_another_at_the_engines_shift(codes: Range) -> None:
    assert not packing(E1_PORT, WIDE.spacing, codes, FULL).fits_port()


def test_every_product_lies_between_its_corners() -> None:
    weights = np.arange(-127, 128)
    for codes in (SIGNED, UNSIGNED):
        every = np.multiply.outer(np.arange(codes[0], codes[1] + 1), weights)
        assert (every.min(), every.max()) == packing(E1_PORT, WIDE.spacing, codes).low_sums(1)


@pytest.mark.parametrize("codes", [SIGNED, UNSIGNED])
def test_every_low_sum_of_two_terms_is_split_exactly(codes: Range) -> None:
    """All sums that any chain of two can hold in its low field, beside both extreme high sums."""
    engine = packing(E1_PORT, WIDE.spacing, codes)
    least, greatest = engine.low_sums(CHAIN)
    for high in (least, -1, 0, 1, greatest):
        for low in range(least, greatest + 1):
            assert engine.split((high << WIDE.spacing) + low) == (low, high)


def test_without_the_borrow_the_high_sum_is_one_too_low() -> None:
    engine = packing(E1_PORT, WIDE.spacing, SIGNED)
    assert engine.split(engine.term(-1, 1, 1), borrow=False) == (-1, -2)
    assert engine.split(engine.term(-1, 1, 1)) == (-1, -1)
    assert not engine.is_exact(2, borrow=False)
