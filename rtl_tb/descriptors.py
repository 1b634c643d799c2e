"""Random descriptors and spaces for the benches of the memory side."""

from dataclasses import replace

import numpy as np

from bitlathe.hls.program import Descriptor, Encoding, LoadWeights, Space
from bitlathe.hls.program.moves import weight_beats

# Odd places, so that an address that loses or gains a base is seen; one beyond 32 bits.
BASES = {
    Space.WEIGHTS: 0x10_0000_0F80,
    Space.INPUT: 0x2340,
    Space.OUTPUT: 0x8000_1000,
    Space.SCRATCH: 0xFF_0000_0FC0,
}
BYTES = {Space.WEIGHTS: 1 << 16, Space.INPUT: 1 << 14, Space.OUTPUT: 1 << 15, Space.SCRATCH: 1 << 16}
ADVANCE = {
    Space.WEIGHTS: 0,
    Space.INPUT: 0x1200,
    Space.OUTPUT: 0x2400,
    Space.SCRATCH: 0,
}  # bytes, of this input


def space_range(space: Space) -> range:
    """Legal byte addresses of a space."""
    return range(BASES[space], BASES[space] + BYTES[space])


def drive_spaces(dut) -> None:
    """Set the inputs that describe the spaces."""
    dut.space_base_i.value = sum(BASES[space] << (40 * space) for space in Space)
    dut.space_bytes_i.value = sum(BYTES[space] << (32 * space) for space in Space)


def bits_of(descriptor: Descriptor) -> int:
    """A descriptor's bits."""
    return int.from_bytes(descriptor.encode(), "little")


def move_bits(move: Descriptor) -> int:
    """The bits of a move that its unit is given: none behind them are used."""
    return bits_of(move) & ((1 << 272) - 1)


def random_move(
    rng: np.random.Generator, *, banks: int, lines: int, word_bytes: int, space: Space
) -> dict[str, int]:
    """Fields of a LOAD or STORE that stays within its space and the scratchpad."""
    row_words, rows, segments = (int(rng.integers(1, high)) for high in (12, 9, 4))
    row_line, row_bank = int(rng.integers(0, 4)), int(rng.integers(banks))
    segment_words = int(rng.integers(1, row_words * rows + 1))
    plane = (row_words // banks + row_line + 2) * rows
    room = BYTES[space] // word_bytes - ADVANCE[space] // word_bytes - segments * segment_words
    gap = int(rng.integers(0, 40))
    return {
        "space": space,
        "offset": int(rng.integers(0, room - segments * gap)) * word_bytes,
        "segment_stride": (segment_words + gap) * word_bytes,
        "segment_words": segment_words,
        "segments": segments,
        "row_words": row_words,
        "line": int(rng.integers(0, lines - segments * plane)),
        "bank": int(rng.integers(banks)),
        "plane": plane,
        "row_line": row_line,
        "row_bank": row_bank,
    }


def random_weights(rng: np.random.Generator, *, po: int, lines: int, word_bytes: int) -> LoadWeights:
    """A LOAD_WEIGHTS that stays within its space and the weight store; no CODEBOOK or TABLE."""
    beats, longest = int(rng.integers(1, 8 * po)), min(lines, 40)
    room = BYTES[Space.WEIGHTS] // word_bytes - beats
    load = LoadWeights(
        space=Space.WEIGHTS,
        encoding=int(rng.integers(Encoding.CODEBOOK)),
        offset=int(rng.integers(0, room)) * word_bytes,
        beats=beats,
        pass_lines=int(rng.integers(1, 8)),
    )
    taken = [beat.line for beat in weight_beats(load, po) if beat.line < longest]
    return replace(load, beats=len(taken), weight_line=int(rng.integers(0, lines - taken[-1])))
