"""The model of the moves, held to what AXI demands and to a closed form."""

from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.program import Encoding, LoadMove, LoadWeights
from bitlathe.hls.program.moves import (
    BURST_BEATS,
    PAGE_BYTES,
    WeightBeat,
    add_positions,
    bursts,
    decoded_columns,
    pixel_positions,
    weight_beats,
    word_offsets,
)

WORD = st.sampled_from([8, 16])


@st.composite
def moves(draw: st.DrawFn) -> LoadMove:
    """LOADs, strides in words of 16 bytes."""
    counts = {name: draw(st.integers(1, 40)) for name in ("segment_words", "row_words")}
    places = {name: 16 * draw(st.integers(0, 1 << 20)) for name in ("offset", "segment_stride")}
    lines = {name: draw(st.integers(0, 500)) for name in ("line", "plane", "row_line")}
    banks = {name: draw(st.integers(0, 4)) for name in ("bank", "row_bank")}
    return LoadMove(**counts, **places, **lines, **banks, segments=draw(st.integers(1, 4)))


@given(moves(), WORD)
def test_bursts_cover_every_word_once_in_order(move, word_bytes):
    covered = [
        burst.address + beat * word_bytes
        for burst in bursts(move, 0x1000_0000, word_bytes)
        for beat in range(burst.beats)
    ]
    assert covered == [0x1000_0000 + offset for offset in word_offsets(move, word_bytes)]


@given(moves(), WORD)
def test_no_burst_is_longer_than_the_port_takes_or_crosses_a_page(move, word_bytes):
    for burst in bursts(move, 0, word_bytes):
        assert 1 <= burst.beats <= BURST_BEATS
        last = burst.address + burst.beats * word_bytes - 1
        assert burst.address // PAGE_BYTES == last // PAGE_BYTES


@given(moves(), st.integers(5, 15))
def test_positions_follow_the_closed_form(move, banks):
    row_step = move.row_line * banks + move.row_bank
    width = move.row_words
    expected = [
        (move.line + segment * move.plane) * banks
        + move.bank
        + word % width
        + word // width * (width - 1 + row_step)
        for segment in range(move.segments)
        for word in range(move.segment_words)
    ]
    assert [line * banks + bank for line, bank in pixel_positions(move, banks)] == expected
    assert all(0 <= bank < banks for _, bank in pixel_positions(move, banks))


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 6), st.integers(0, 6))
def test_positions_add_as_their_linear_indices(first, second, first_bank, second_bank):
    line, bank = add_positions((first, first_bank), (second, second_bank), banks=7)
    assert line * 7 + bank == first * 7 + first_bank + second * 7 + second_bank


def _places(po: int, **fields: int) -> list[tuple[int, int, int]]:
    beats = weight_beats(LoadWeights(weight_line=3, pass_lines=2, **fields), po)
    return [(beat.line, beat.columns.start, beat.columns.stop) for beat in beats]


def test_a_beat_fills_a_column_two_eight_or_a_line() -> None:
    parameters = [(3, column, column + 1) for column in range(8)]
    assert _places(8, encoding=Encoding.COLUMNS, beats=9) == [*parameters, (4, 0, 1)]
    assert _places(8, encoding=Encoding.DIAGONAL, beats=11) == [*parameters, (4, 0, 8), (5, 0, 8), (6, 0, 1)]
    assert _places(8, encoding=Encoding.NIBBLES, beats=10) == [*parameters, (4, 0, 2), (4, 2, 4)]
    assert _places(8, encoding=Encoding.INDICES, beats=10) == [*parameters, (4, 0, 8), (5, 0, 8)]
    assert _places(16, encoding=Encoding.INDICES, beats=18)[-2:] == [(4, 0, 8), (4, 8, 16)]
    assert _places(8, encoding=Encoding.CODEBOOK, beats=2) == [(3, 0, 8), (4, 0, 8)]


def test_codewords_and_halves_of_bytes_become_columns() -> None:
    codebook = bytes(range(256)) * 8
    indices = WeightBeat(encoding=Encoding.INDICES, line=0, columns=range(8))
    columns = decoded_columns(indices, bytes([1, 0, 33, 2, 3, 4, 5, 255]), codebook)
    assert columns[:3] == [bytes(range(8, 16)), bytes(range(8)), bytes(range(8, 16))]
    assert columns[7] == bytes(range(248, 256))
    nibbles = WeightBeat(encoding=Encoding.NIBBLES, line=0, columns=range(2))
    assert decoded_columns(nibbles, b"\x8f\x70", codebook) == [b"\xff\x00", b"\xf8\x07"]
