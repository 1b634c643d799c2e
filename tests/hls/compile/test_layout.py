"""Layouts of inputs and outputs in DDR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.compile.layout import UNUSED, InputLayout, OutputLayout, joined_slots, natural_slots
from bitlathe.model.graph.errors import ShapeError


def naive_word(layout: InputLayout, codes: np.ndarray, tile: int, y: int, x: int) -> list[int]:
    """Word (tile, y, x) of one input (C, H, W), lane by lane."""
    word = []
    for lane in range(tile * layout.word_bytes, (tile + 1) * layout.word_bytes):
        pixel, channel = divmod(lane, layout.channels)
        column = x - layout.left_pad + pixel
        inside = pixel < layout.fold and 0 <= column < layout.width
        word.append(int(codes[channel, y, column]) & 0xFF if inside else 0)
    return word


@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from([8, 16]),
)
def test_packing_puts_each_code_where_the_layout_says(
    channels, height, width, fold, left_pad, extra, word_bytes
):
    layout = InputLayout(
        channels=channels,
        height=height,
        width=width,
        fold=fold,
        left_pad=left_pad,
        packed_width=width + extra,
        word_bytes=word_bytes,
    )
    codes = np.random.default_rng(channels).integers(-128, 128, (2, channels, height, width))
    packed = layout.pack(codes).reshape(2, layout.tiles, height, layout.packed_width, word_bytes)
    for image, tile, y, x in np.ndindex(packed.shape[:-1]):
        assert packed[image, tile, y, x].tolist() == naive_word(layout, codes[image], tile, y, x)


def test_packing_refuses_another_shape() -> None:
    layout = InputLayout(channels=3, height=4, width=4, packed_width=4, word_bytes=8)
    with pytest.raises(ShapeError, match=r"input codes are \(1, 3, 4, 5\), the program takes \(N, 3, 4, 4\)"):
        layout.pack(np.zeros((1, 3, 4, 5), np.int64))


@pytest.mark.parametrize("signed", [True, False])
def test_unpacking_reads_channels_by_their_slots(signed: bool, rng: np.random.Generator) -> None:
    slots = (2, UNUSED, 0, UNUSED, 1, UNUSED, UNUSED, UNUSED)
    layout = OutputLayout(slots=slots, height=2, width=3, signed=signed, word_bytes=8)
    data = rng.integers(0, 256, (2, layout.bytes)).astype(np.uint8)
    words = data.reshape(2, 2, 3, 8).view(np.int8 if signed else np.uint8)
    expected = np.stack([words[..., 2], words[..., 4], words[..., 0]], axis=1)
    assert np.array_equal(layout.unpack(data), expected)


def test_a_concatenation_keeps_the_tiles_of_its_operands() -> None:
    joined = joined_slots((natural_slots(3, 4), natural_slots(5, 4), (1, UNUSED, UNUSED, 0)))
    assert joined == (0, 1, 2, UNUSED, 3, 4, 5, 6, 7, UNUSED, UNUSED, UNUSED, 9, UNUSED, UNUSED, 8)
