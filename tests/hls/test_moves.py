"""The model of the moves, held to what AXI demands and to a closed form."""

from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.moves import (
    BURST_BEATS,
    PAGE_BYTES,
    add_positions,
    bursts,
    pixel_positions,
    segments,
    weight_columns,
    word_offsets,
)

WORD = st.sampled_from([8, 16])


@st.composite
def moves(draw: st.DrawFn) -> dict[str, int]:
    """Fields of a LOAD or STORE, strides in words of 16 bytes."""
    counts = {name: draw(st.integers(1, 40)) for name in ("segment_words", "row_words")}
    places = {name: 16 * draw(st.integers(0, 1 << 20)) for name in ("offset", "segment_stride")}
    lines = {name: draw(st.integers(0, 500)) for name in ("line", "plane", "row_line")}
    banks = {name: draw(st.integers(0, 4)) for name in ("bank", "row_bank")}
    return {**counts, **places, **lines, **banks, "segments": draw(st.integers(1, 4))}


@given(moves(), WORD)
def test_bursts_cover_every_word_once_in_order(fields, word_bytes):
    covered = [
        burst.address + beat * word_bytes
        for burst in bursts(fields, 0x1000_0000, word_bytes)
        for beat in range(burst.beats)
    ]
    assert covered == [0x1000_0000 + offset for offset in word_offsets(fields, word_bytes)]


@given(moves(), WORD)
def test_no_burst_is_longer_than_the_port_takes_or_crosses_a_page(fields, word_bytes):
    for burst in bursts(fields, 0, word_bytes):
        assert 1 <= burst.beats <= BURST_BEATS
        last = burst.address + burst.beats * word_bytes - 1
        assert burst.address // PAGE_BYTES == last // PAGE_BYTES


@given(moves(), st.integers(5, 15))
def test_positions_follow_the_closed_form(fields, banks):
    row_step = fields["row_line"] * banks + fields["row_bank"]
    width = fields["row_words"]
    expected = [
        (fields["line"] + segment * fields["plane"]) * banks
        + fields["bank"]
        + word % width
        + word // width * (width - 1 + row_step)
        for segment in range(fields["segments"])
        for word in range(fields["segment_words"])
    ]
    assert [line * banks + bank for line, bank in pixel_positions(fields, banks)] == expected
    assert all(0 <= bank < banks for _, bank in pixel_positions(fields, banks))


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 6), st.integers(0, 6))
def test_positions_add_as_their_linear_indices(first, second, first_bank, second_bank):
    line, bank = add_positions((first, first_bank), (second, second_bank), banks=7)
    assert line * 7 + bank == first * 7 + first_bank + second * 7 + second_bank


def test_weights_fill_the_columns_of_a_line_or_one_diagonal_each():
    fields = {"beats": 5, "weight_line": 3, "offset": 64, "diagonal": 0}
    assert list(weight_columns(fields, 4)) == [(3, 0), (3, 1), (3, 2), (3, 3), (4, 0)]
    assert list(weight_columns({**fields, "diagonal": 1}, 4)) == [(line, None) for line in range(3, 8)]
    assert list(segments(fields)) == [(64, 5)]
