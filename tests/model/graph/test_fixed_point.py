"""Requantization against exact rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import formats

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import (
    MAX_SHIFT,
    FixedPoint,
    RoundingMode,
    requantize,
    requantize_in_place,
    rounding_constant,
    weight_limit,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
SHIFTS = st.integers(0, MAX_SHIFT)


def nearest(acc: int, shift: int) -> int:
    """Integer nearest to acc / 2**shift, the upper one of two as near."""
    return floor(Fraction(acc, 2**shift) + Fraction(1, 2))


@given(acc=INT32, shift=SHIFTS, limits=formats())
def test_requantize_is_the_nearest_code_in_exact_arithmetic(acc: int, shift: int, limits: FixedPoint) -> None:
    expected = min(max(nearest(acc, shift), limits.lo), limits.hi)
    assert requantize(np.array([acc]), shift, limits.lo, limits.hi).tolist() == [expected]


@given(code=st.integers(-1000, 1000), shift=st.integers(1, 20))
def test_requantize_rounds_ties_upwards(code: int, shift: int) -> None:
    tie = (code << shift) + (1 << (shift - 1))
    assert requantize(np.array([tie]), shift, -(2**15), 2**15).tolist() == [code + 1]
    assert requantize(np.array([tie - 1]), shift, -(2**15), 2**15).tolist() == [code]


@given(acc=INT32, shift=SHIFTS, limits=formats())
def test_requantize_to_even_is_the_nearest_code_and_the_even_one_of_two(
    acc: int, shift: int, limits: FixedPoint
) -> None:
    expected = min(max(round(Fraction(acc, 2**shift)), limits.lo), limits.hi)
    found = requantize(np.array([acc]), shift, limits.lo, limits.hi, RoundingMode.HALF_EVEN)
    assert found.tolist() == [expected]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("shift", [0, 1, 2, 7, 30, 31])
def test_halves_of_either_sign_round_to_even(shift: int, dtype: type) -> None:
    """Steps of 2**30 and more leave few halves within int32, -2**31 itself among the sums."""
    codes = [code for code in range(-9, 9) if (2 * code + 1) << shift >> 1 < 2**31 - 2**30]
    halves = [(2 * code + 1) << shift >> 1 for code in codes]
    sums = np.array([max(-(2**31), half) for half in halves], dtype=dtype)
    wanted = [round(Fraction(int(acc), 2**shift)) for acc in sums]
    assert requantize_in_place(sums.copy(), shift, -99, 99, RoundingMode.HALF_EVEN).tolist() == wanted
    clamped = [min(max(code, -2), 3) for code in wanted]
    assert requantize_in_place(sums, shift, -2, 3, RoundingMode.HALF_EVEN).tolist() == clamped


@given(acc=INT32, limits=formats())
def test_requantize_without_a_shift_only_saturates(acc: int, limits: FixedPoint) -> None:
    assert requantize(np.array([acc]), 0, limits.lo, limits.hi) == min(max(acc, limits.lo), limits.hi)


@given(accs=st.lists(INT32, min_size=1), shift=SHIFTS, limits=formats())
def test_requantize_keeps_the_order_of_accumulators(accs: list[int], shift: int, limits: FixedPoint) -> None:
    codes = requantize(np.array(sorted(accs)), shift, limits.lo, limits.hi)
    assert (np.diff(codes) >= 0).all()


@given(acc=st.integers(-(2**31), 2**31 - 1 - 2**30), shift=SHIFTS, limits=formats())
def test_requantize_in_place_equals_requantize_where_the_rounding_fits_int32(
    acc: int, shift: int, limits: FixedPoint
) -> None:
    narrow = np.array([acc], dtype=np.int32)
    found = requantize_in_place(narrow, shift, limits.lo, limits.hi)
    assert found is narrow
    assert found.tolist() == requantize(np.array([acc]), shift, limits.lo, limits.hi).tolist()


def test_requantize_shifts_each_channel_by_its_own_shift() -> None:
    acc = np.array([[7, 7, 7], [-7, -7, -7]])
    assert requantize(acc, np.array([0, 1, 3]), -8, 7).tolist() == [[7, 4, 1], [-7, -3, -1]]


def test_requantize_leaves_its_argument_alone() -> None:
    acc = np.array([300, -300])
    requantize(acc, 1, -128, 127)
    assert acc.tolist() == [300, -300]


def test_rounding_constant_is_half_of_an_output_step() -> None:
    assert rounding_constant(np.arange(MAX_SHIFT + 1)).tolist() == [0] + [2**n for n in range(MAX_SHIFT)]


@given(limits=formats())
def test_a_format_holds_as_many_codes_as_its_bits_tell(limits: FixedPoint) -> None:
    assert limits.hi - limits.lo + 1 == 2**limits.bits
    assert limits.max_abs == max(abs(limits.lo), abs(limits.hi))
    assert limits.scale == Fraction(2) ** -limits.frac


@pytest.mark.parametrize("bits", range(2, 17))
def test_weights_leave_out_the_most_negative_code(bits: int) -> None:
    assert -weight_limit(bits) == FixedPoint(bits=bits, frac=0).lo + 1


@pytest.mark.parametrize(
    ("bits", "frac", "message"),
    [
        (1, 0, "a code of 1 bits is not supported; choose 2 to 16"),
        (17, 0, "a code of 17 bits is not supported; choose 2 to 16"),
        (8, 128, "a binary point of 128 is not supported; choose -127 to 127"),
    ],
)
def test_a_format_out_of_range_is_refused(bits: int, frac: int, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        FixedPoint(bits=bits, frac=frac)
    assert str(caught.value) == message
