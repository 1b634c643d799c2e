"""Sparse weights: any lines come back from their stream, and a stream of another length is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.program import Encoding, LoadWeights
from bitlathe.hls.program.sparse import decode_stream, encode_stream, stream_words
from bitlathe.model.graph.errors import FormatError

SIZES = [(8, 8), (16, 8), (16, 16), (32, 16)]  # po, pi


def sparse_lines(rng: np.random.Generator, shape: tuple[int, ...], zeros: float, narrow: bool) -> np.ndarray:
    """Lines (passes, lines, po, pi) of which a share is zero; parameter lines have any bytes."""
    lines = rng.integers(-128, 128, shape).astype(np.int8)
    if narrow:
        lines[:, 1:] >>= 4
    lines[rng.random(shape) < zeros] = 0
    return lines


def load_of(lines: np.ndarray, words: np.ndarray, narrow: bool) -> LoadWeights:
    """The load of a stream."""
    return LoadWeights(
        encoding=Encoding.SPARSE,
        beats=len(words),
        pass_lines=lines.shape[1] - 1,
        lines=lines.shape[0] * lines.shape[1],
        narrow=narrow,
    )


@given(
    st.sampled_from(SIZES),
    st.integers(1, 3),
    st.integers(2, 7),
    st.sampled_from([0.0, 0.1, 0.6, 0.97, 1.0]),
    st.booleans(),
    st.integers(0, 1 << 30),
)
def test_lines_come_back_from_their_stream(size, passes, count, zeros, narrow, seed) -> None:
    lines = sparse_lines(np.random.default_rng(seed), (passes, count, *size), zeros, narrow)
    words = encode_stream(lines, narrow=narrow)
    assert len(words) == stream_words(lines, narrow=narrow).sum()
    decoded = decode_stream(load_of(lines, words, narrow), words, size[0])
    assert np.array_equal(decoded.view(np.int8).reshape(lines.shape), lines)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("place", [0, -1])
def test_one_weight_at_either_end_comes_back(place: int, narrow: bool) -> None:
    lines = np.zeros((2, 3, 8, 8), np.int8)
    lines.reshape(2, -1)[:, place] = -3
    words = encode_stream(lines, narrow=narrow)
    assert len(words) == 2 * (3 + 1)
    assert np.array_equal(
        decode_stream(load_of(lines, words, narrow), words, 8).view(np.int8).ravel(), lines.ravel()
    )


def test_the_layout_is_the_documented_one() -> None:
    lines = np.zeros((1, 3, 8, 8), np.int8)
    lines[0, 0, 0, :2] = (0x12, -1)
    lines[0, 1, 7, 7] = 5
    lines[0, 2, 0, 0] = -2
    words = encode_stream(lines, narrow=True)
    masks = [bytes([3, 0, 0, 0, 0, 0, 0, 0]), bytes(7) + b"\x80", bytes([1]) + bytes(7)]
    codes = b"\x12\xff\xe5" + bytes(5)  # two of 8 bits, then 5 and -2 of 4
    assert [one.tobytes() for one in words] == [masks[0], masks[1], codes, masks[2]]


@pytest.mark.parametrize("narrow", [False, True])
def test_a_stream_of_fewer_or_more_words_is_refused(rng: np.random.Generator, narrow: bool) -> None:
    lines = sparse_lines(rng, (2, 4, 8, 8), 0.6, narrow)
    words = encode_stream(lines, narrow=narrow)
    load = load_of(lines, words, narrow)
    with pytest.raises(FormatError, match="ends before its 8 lines are complete"):
        decode_stream(load, words[:-1], 8)
    with pytest.raises(FormatError, match="ends before its 9 lines"):
        decode_stream(replace(load, lines=9), words, 8)
    with pytest.raises(FormatError, match="goes on after its 8 lines"):
        decode_stream(load, np.concatenate([words, words[:1]]), 8)
    with pytest.raises(FormatError, match="goes on after its 4 lines"):
        decode_stream(replace(load, lines=4), words, 8)
