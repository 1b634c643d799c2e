"""Codes, values and the choice of binary points."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.model.quantize.rounding import (
    FracChoice,
    finest_frac,
    least_error_frac,
    ristretto_frac,
    round_half_up,
    weight_codes,
    weight_fracs,
    weight_values,
)

BITS = st.integers(2, 16)
REALS = st.floats(-100, 100, allow_nan=False, width=32)


@given(st.lists(REALS, min_size=1, max_size=8))
def test_rounding_is_to_the_nearest_integer_with_halves_upwards(values: list[float]) -> None:
    for code, value in zip(round_half_up(np.array(values)).tolist(), values, strict=True):
        assert -Fraction(1, 2) < code - Fraction(value) <= Fraction(1, 2)


@given(st.floats(1e-6, 1e6), st.integers(1, 2**16))
def test_the_finest_frac_is_the_last_at_which_a_value_fits(largest: float, hi: int) -> None:
    frac = finest_frac(largest, hi)
    assert frac is not None
    assert Fraction(largest) * Fraction(2) ** frac <= hi * (1 + Fraction(1, 10**12))  # log2 rounds
    assert Fraction(largest) * Fraction(2) ** (frac + 1) > hi * (1 - Fraction(1, 10**12))


@given(st.lists(REALS, min_size=1, max_size=8), BITS, st.integers(-4, 12))
def test_weight_codes_are_symmetric_and_the_nearest_within_their_range(
    values: list[float], bits: int, frac: int
) -> None:
    row, limit = np.array([values]), 2 ** (bits - 1) - 1
    codes = weight_codes(row, bits, (frac,))
    assert np.abs(codes).max() <= limit
    inside = np.abs(row) <= limit * 2.0**-frac
    assert (np.abs(weight_values(codes, (frac,)) - row)[inside] <= 2.0 ** -(frac + 1)).all()


def least_error(bits: int, clipping_steps: int) -> FracChoice:
    return partial(least_error_frac, bits=bits, clipping_steps=clipping_steps)


@given(st.floats(1e-6, 1e6), st.integers(1, 16))
def test_ristretto_spans_the_next_power_of_two(largest: float, magnitude_bits: int) -> None:
    frac = ristretto_frac(largest, magnitude_bits)
    assert frac is not None
    end = Fraction(2) ** (magnitude_bits - frac)  # of the range, one step beyond its last code
    assert end / 2 * (1 - Fraction(1, 10**12)) < Fraction(largest) <= end * (1 + Fraction(1, 10**12))


def test_the_binary_point_of_weights_clips_an_outlier_when_that_loses_less() -> None:
    many = np.full((1, 1000), 0.30)
    many[0, 0] = 1.1  # with 4 bits, 7 steps: 1/4 reaches 1.75 and makes 0.25 of 0.3; 1/8 reaches 0.875
    assert weight_fracs(many, True, least_error(4, 0)) == (2,)
    assert weight_fracs(many, True, least_error(4, 2)) == (4,)  # 0.3125 for 0.3, and 0.4375 for 1.1


def test_each_channel_has_its_own_binary_point_and_zeros_take_the_finest() -> None:
    weight = np.array([[1.0, -0.5], [0.0, 0.0], [0.01, 0.02]], dtype=np.float32)
    assert weight_fracs(weight, True, least_error(8, 0)) == (6, 12, 12)
    assert weight_fracs(weight, False, least_error(8, 0)) == (6, 6, 6)


def test_weights_of_zeros_alone_have_binary_points_too() -> None:
    assert weight_fracs(np.zeros((2, 3)), True, least_error(8, 2)) == (0, 0)
    assert weight_fracs(np.zeros((2, 3)), False, least_error(8, 2)) == (0, 0)
