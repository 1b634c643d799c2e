"""The float input and its integer codes are one thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.model.data import INPUT_FRAC, Images, to_codes, to_input


def every_byte() -> Images:
    return np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def test_every_byte_has_the_code_pixel_minus_128() -> None:
    assert to_codes(every_byte()).ravel().tolist() == list(range(-128, 128))
    assert to_codes(every_byte()).dtype == np.int8


@given(st.integers(0, 2**32 - 1))
def test_the_float_input_is_exactly_code_over_128(seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    assert np.array_equal(to_input(images).numpy() * 2**INPUT_FRAC, to_codes(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_float_input_lies_in_memory_as_its_shape_says(channels: int) -> None:
    images = np.zeros((2, 5, 4, channels), np.uint8)
    assert to_input(images).stride() == (channels * 20, 20, 4, 1)


def test_channels_move_in_front_of_rows() -> None:
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 1, 0, 2] = 129
    assert to_codes(images)[0, 2, 1, 0] == 1
    assert to_input(images)[0, 2, 1, 0] == 1 / 128
