"""Arrays in few bytes: every scheme comes back, the shortest is taken, damage is reported."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.array_coding import (
    DTYPES,
    GAP_BITS,
    IntegerArray,
    codings,
    decode_array,
    encode_array,
    pack,
    packed_size,
    unpack,
    value_width,
    values_of,
)

SHAPES = stnp.array_shapes(max_dims=4, max_side=9)
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: stnp.arrays(dtype, SHAPES))


def sparse(seed: int, size: int, density: float, bits: int) -> IntegerArray:
    rng = np.random.default_rng(seed)
    limit = (1 << (bits - 1)) - 1
    return (rng.integers(-limit, limit + 1, size) * (rng.random(size) < density)).astype(np.int8)


@given(array=ARRAYS, tail=st.binary(max_size=5))
@settings(deadline=None)
def test_an_array_comes_back_and_leaves_what_follows(array: IntegerArray, tail: bytes) -> None:
    back, rest = decode_array(encode_array(array) + tail, "weights")
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape, rest) == (array.dtype, array.shape, tail)


@given(seed=st.integers(0, 99), density=st.sampled_from([0.0, 0.001, 0.02, 0.2, 0.7, 1.0]))
@settings(deadline=None, max_examples=40)
def test_every_scheme_holds_the_same_values(seed: int, density: float) -> None:
    array = sparse(seed, 700, density, 8)
    flat = array.astype(np.int64)
    width = value_width(flat)
    for coding in codings(flat, width):
        values, used = values_of(coding, flat.size, width, signed=bool((flat < 0).any()))
        np.testing.assert_array_equal(values, flat)
        assert used == len(coding.payload)


@pytest.mark.parametrize(
    ("density", "bound"), [(1.0, 1.0), (0.5, 0.5 + 1 / 8), (0.05, 0.05 * (1 + 5 / 8) * 1.2)]
)
def test_fewer_values_take_fewer_bytes(density: float, bound: float) -> None:
    array = sparse(1, 20_000, density, 8)
    assert len(encode_array(array)) <= bound * array.size * 1.02 + 32


def test_narrow_values_take_their_own_width() -> None:
    array = np.array([-7, 7, 3, -1] * 1000, dtype=np.int8)
    assert len(encode_array(array)) == 2000 + 12


@given(count=st.integers(0, 40), width=st.integers(0, 32), seed=st.integers(0, 9))
@settings(deadline=None)
def test_bits_are_packed_without_gaps(count: int, width: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << width, count, dtype=np.uint64)
    data = pack(codes, width)
    assert len(data) == packed_size(count, width)
    back, used = unpack(data + b"x", count, width)
    np.testing.assert_array_equal(back, codes)
    assert used == len(data)


def test_a_long_gap_is_carried_by_zeros() -> None:
    array = np.zeros(5000, dtype=np.int8)
    array[[0, 4999]] = (5, -5)
    for coding in codings(array.astype(np.int64), value_width(array.astype(np.int64)))[2:]:
        assert coding.gap_bits in GAP_BITS
        assert coding.entries >= 2 + 4998 // (1 << coding.gap_bits)
    np.testing.assert_array_equal(decode_array(encode_array(array), "w")[0], array)


@pytest.mark.parametrize("cut", [0, 5, 11, 30])
def test_a_part_of_a_coding_is_refused_by_name(cut: int) -> None:
    data = encode_array(sparse(0, 300, 0.5, 8))
    with pytest.raises(FormatError, match="conv1"):
        decode_array(data[:cut], "conv1")


@pytest.mark.parametrize("shape", [(1 << 31,), (1 << 16, 1 << 16), (1 << 31, 1 << 31, 4)])
def test_zeros_that_take_no_bytes_are_refused_before_memory_is_taken(shape: tuple[int, ...]) -> None:
    data = encode_array(np.zeros((1,) * len(shape), np.int8))[:8] + np.array(shape, "<u4").tobytes()
    with pytest.raises(
        FormatError, match=r"conv1: its coded bytes are damaged \(\d+ values, at most 268435456"
    ):
        decode_array(data, "conv1")


def test_a_foreign_type_is_refused() -> None:
    with pytest.raises(FormatError, match="float64"):
        encode_array(np.zeros(3))
