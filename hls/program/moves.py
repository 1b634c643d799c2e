"""The words and bursts of LOAD, LOAD_WEIGHTS and STORE, one by one.

The hardware's address generators are compared with it. `word_bytes` is the engine's `pi`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from bitlathe.hls.program.format import Encoding, LoadWeights, Move
from bitlathe.hls.target.config import CODEWORD_BYTES

BURST_BEATS = 16  # the most that an AXI3 port takes
PAGE_BYTES = 4096  # no AXI burst may cross one


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """An AXI burst: consecutive words from a byte address."""

    address: int
    beats: int


def add_positions(first: tuple[int, int], second: tuple[int, int], banks: int) -> tuple[int, int]:
    """Sum of two (line, bank) positions or steps.

    >>> add_positions((3, 5), (-1, 4), banks=7)
    (3, 2)
    """
    line, bank = first[0] + second[0], first[1] + second[1]
    return (line + 1, bank - banks) if bank >= banks else (line, bank)


def pixel_positions(move: Move, banks: int) -> Iterator[tuple[int, int]]:
    """(line, bank) of every word of a LOAD or STORE, in the order it moves them."""
    row_step = (move.row_line, move.row_bank)
    for segment in range(move.segments):
        position = (move.line + segment * move.plane, move.bank)
        for word in range(move.segment_words):
            yield position
            row_ends = (word + 1) % move.row_words == 0
            position = add_positions(position, row_step if row_ends else (0, 1), banks)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBeat:
    """A beat of a LOAD_WEIGHTS: its encoding and its place in the store."""

    encoding: Encoding  # COLUMNS for a parameter line, whatever follows it
    line: int  # of the weight store; of a CODEBOOK or TABLE, word of the codebook or the tables
    columns: range  # of the line


WITHOUT_PARAMETERS = Encoding.COLUMNS, Encoding.CODEBOOK, Encoding.TABLE  # no line of them in between
_BEAT_COLUMNS = {Encoding.COLUMNS: 1, Encoding.NIBBLES: 2, Encoding.INDICES: CODEWORD_BYTES}


def line_beats(encoding: Encoding, po: int) -> int:
    """Beats of an encoded line, whatever it holds: not of a SPARSE one.

    >>> [line_beats(encoding, 16) for encoding in Encoding if encoding is not Encoding.SPARSE]
    [16, 1, 8, 2, 1, 1]
    """
    return po // _BEAT_COLUMNS.get(encoding, po)


def lines_loaded(load: LoadWeights, po: int) -> int:
    """Lines of the weight store that a LOAD_WEIGHTS fills; of a CODEBOOK or TABLE, words of theirs."""
    encoding = Encoding(load.encoding)
    if encoding is Encoding.SPARSE:
        return load.lines
    beats = line_beats(encoding, po)
    if encoding in WITHOUT_PARAMETERS:
        return -(-load.beats // beats)
    passes, rest = divmod(load.beats, po + load.pass_lines * beats)
    return passes * (1 + load.pass_lines) + (1 + -(-max(rest - po, 0) // beats) if rest else 0)


def weight_beats(load: LoadWeights, po: int) -> Iterator[WeightBeat]:
    """Every beat of a LOAD_WEIGHTS that is not SPARSE, in order."""
    left = load.beats
    for line, encoding in enumerate(_line_encodings(load), load.weight_line):
        beats = line_beats(encoding, po)
        for beat in range(min(beats, left)):
            columns = range(beat * (po // beats), (beat + 1) * (po // beats))
            yield WeightBeat(encoding=encoding, line=line, columns=columns)
        left -= beats
        if left <= 0:
            return


def _line_encodings(load: LoadWeights) -> Iterator[Encoding]:
    """Encoding of each line of a LOAD_WEIGHTS, without end."""
    encoding = Encoding(load.encoding)
    if encoding in WITHOUT_PARAMETERS:
        yield from repeat(encoding)
    while True:
        yield Encoding.COLUMNS
        yield from repeat(encoding, load.pass_lines)


def decoded_columns(beat: WeightBeat, data: bytes, codebook: bytes) -> list[bytes]:
    """The columns that a beat of `data` (pi bytes) fills, given the codebook's bytes."""
    size = len(data)
    if beat.encoding is Encoding.DIAGONAL:
        return [bytes(data[i] if i == o else 0 for i in range(size)) for o in beat.columns]
    if beat.encoding is Encoding.NIBBLES:
        halves = [[byte & 15 for byte in data], [byte >> 4 for byte in data]]
        return [bytes(half | 0xF0 if half > 7 else half for half in column) for column in halves]
    if beat.encoding is Encoding.INDICES:
        words = b"".join(codebook[CODEWORD_BYTES * index :][:CODEWORD_BYTES] for index in data)
        return [words[first : first + size] for first in range(0, len(words), size)]
    return [data]


def segments(move: Move | LoadWeights) -> Iterator[tuple[int, int]]:
    """(byte offset in its space, words) of every segment of a LOAD, STORE or LOAD_WEIGHTS."""
    if isinstance(move, LoadWeights):
        yield move.offset, move.beats
        return
    for segment in range(move.segments):
        yield move.offset + segment * move.segment_stride, move.segment_words


def word_offsets(move: Move | LoadWeights, word_bytes: int) -> Iterator[int]:
    """Byte offset in its space of every word, in the order it is moved."""
    for offset, words in segments(move):
        yield from range(offset, offset + words * word_bytes, word_bytes)


def bursts(move: Move | LoadWeights, base: int, word_bytes: int) -> Iterator[Burst]:
    """Bursts of a move whose space begins at byte address `base`."""
    for offset, words in segments(move):
        yield from _segment_bursts(base + offset, words, word_bytes)


def _segment_bursts(address: int, words: int, word_bytes: int) -> Iterator[Burst]:
    while words:
        to_page_end = (PAGE_BYTES - address % PAGE_BYTES) // word_bytes
        beats = min(BURST_BEATS, to_page_end, words)
        yield Burst(address=address, beats=beats)
        address, words = address + beats * word_bytes, words - beats
