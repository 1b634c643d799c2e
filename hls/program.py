"""The program format: one table of fields serves the compiler, the SystemVerilog package and the documents.

A program is a 64-byte header and 64-byte descriptors, little-endian. See docs/program.md.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from bitlathe.hls.config import PROGRAM_VERSION, EngineConfiguration
from bitlathe.model.graph.errors import FormatError

DESCRIPTOR_BYTES = 64
MAGIC = 0x4C544C42  # "BLTL"


class Opcode(IntEnum):
    """What a descriptor does, and the unit that does it."""

    END = 0  # the next input's descriptors follow; after the last input's the run ends
    LOAD = 1  # DDR -> scratchpad
    LOAD_WEIGHTS = 2  # DDR -> weight store
    EXEC = 3  # convolution, depthwise convolution or max pool over the scratchpad
    STORE = 4  # scratchpad -> DDR


class Space(IntEnum):
    """DDR buffer an offset is counted in; an access beyond its end is a fault."""

    WEIGHTS = 0
    INPUT = 1  # advances by `input_stride` for every input of a start
    OUTPUT = 2  # advances by `output_stride`
    SCRATCH = 3


class Encoding(IntEnum):
    """How the lines of the weight store lie in DDR; parameter lines always lie there as COLUMNS."""

    COLUMNS = 0  # a beat is one column of a line
    DIAGONAL = 1  # a beat is a line's diagonal, all else 0 (depthwise weights)
    NIBBLES = 2  # a beat is two columns of 4-bit weights
    INDICES = 3  # a byte is the index of a codeword: eight weights of a column
    CODEBOOK = 4  # no lines: codewords, for the INDICES that follow


class ErrorCode(IntEnum):
    """Why a run stopped."""

    NONE = 0
    BAD_HEADER = 1  # magic, version or engine identity of the program
    BAD_OPCODE = 2
    BAD_FIELD = 3  # an impossible field (a count of zero, group_lanes > pp)
    OUT_OF_BOUNDS = 4  # an access beyond its DDR buffer or on-chip store
    AXI_READ = 5  # SLVERR or DECERR on a read
    AXI_WRITE = 6
    ABORTED = 7  # ended from outside, by CTRL's abort


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a descriptor: `width` bits from bit `lsb`."""

    name: str
    lsb: int
    width: int
    signed: bool
    meaning: str

    def encode(self, value: int) -> int:
        """The field's bits for a value; FormatError when it does not fit."""
        low, high = (
            (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1)
            if self.signed
            else (0, (1 << self.width) - 1)
        )
        if not low <= value <= high:
            raise FormatError(
                f"descriptor field {self.name} = {value} is outside {low}..{high}; tile the layer smaller"
            )
        return (value & ((1 << self.width) - 1)) << self.lsb

    def decode(self, bits: int) -> int:
        """The field's value in a descriptor of `bits`."""
        value = (bits >> self.lsb) & ((1 << self.width) - 1)
        return value - (1 << self.width) if self.signed and value >> (self.width - 1) else value


def _table(*rows: tuple[str, int, str], start: int = 0) -> tuple[Field, ...]:
    """Fields one after another from bit `start`; a negative width is a signed field."""
    fields, lsb = [], start
    for name, width, meaning in rows:
        fields.append(Field(name=name, lsb=lsb, width=abs(width), signed=width < 0, meaning=meaning))
        lsb += abs(width)
    return tuple(fields)


COMMON = _table(
    ("opcode", 8, "Opcode"),
    ("once", 1, "skip when the weights are resident (a later input, or a start that says so)"),
    ("flags_reserved", 7, "zero"),
    (
        "wait_load",
        -16,
        "start when all LOAD and LOAD_WEIGHTS of earlier inputs and this many of this one's are complete; "
        "negative: all but so many of the earlier inputs'",
    ),
    ("wait_exec", -16, "the same, EXEC"),
    ("wait_store", -16, "the same, STORE"),
)
_BODY = 64
NO_WAIT = -(1 << 15)  # the least that a wait can hold

# A position is the pair (line, bank) = divmod(y * pitch + x, banks); steps are pairs too, the
# bank in 0..banks-1 and the line signed, so that address generation needs no division.
EXEC = COMMON + _table(
    (
        "group_cycles",
        16,
        "cycles a pixel group takes that leaves no kernel row out: its kernel's and its words' at least",
    ),
    ("group_lanes", 4, "pixels a group, 1..pp"),
    ("row_break", 1, "a group ends at the end of an output row"),
    ("is_max", 1, "1: maximum of codes (max pool), 0: multiply and accumulate"),
    ("in_signed", 1, "input codes are signed"),
    ("has_residual", 1, "add the residual map"),
    ("sub_tiles", 3, "words written a pixel and output tile: po/pi, or 1 for depthwise and max"),
    ("res_signed", 1, "residual codes are signed"),
    (
        "in_packed",
        1,
        "input and weights are packed: a byte holds a tile's channels i (low 4 bits) and pi + i (high)",
    ),
    ("out_packed", 1, "output tiles 2k and 2k + 1 go to the low and high halves of plane k's bytes"),
    ("res_packed", 1, "the residual map is packed"),
    (
        "res_fast",
        1,
        "a residual word every cycle: the compiler has shown that no read meets a write in its bank",
    ),
    ("lo", -16, "smallest output code"),
    ("hi", -16, "largest output code"),
    ("kernel_h", 8, "rows of the window"),
    ("kernel_w", 8, "columns of the window"),
    ("ci_tiles", 12, "input channel tiles summed: 1 for depthwise and max"),
    ("stride_h", 4, "rows from window to window"),
    ("stride_w", 4, "columns from window to window"),
    ("start_y", -12, "row of the first window's origin (minus the top padding)"),
    ("start_x", -12, "column of the first window's origin (minus the left padding)"),
    ("in_h", 12, "rows of the input map in the scratchpad; beyond them is padding"),
    ("in_w", 12, "columns of the input map"),
    ("out_h", 12, "rows computed"),
    ("out_w", 12, "columns computed"),
    ("out_tiles", 12, "output channel tiles of pi channels written"),
    (
        "weight_line",
        16,
        "first line in the weight store: a parameter line, then the kernel's lines, for every output tile",
    ),
    ("in_line", -16, "line of the first window's origin (may be negative under padding)"),
    ("in_bank", 4, "bank of the first window's origin"),
    ("in_plane", 16, "lines from an input channel tile to the next"),
    (
        "in_tile_step",
        16,
        "lines the input advances from an output tile to the next: 0, or in_plane for depthwise and max",
    ),
    ("in_step_line", -8, "position step to the next output pixel of a row (stride_w), line"),
    ("in_step_bank", 4, "position step to the next output pixel of a row, bank"),
    ("in_row_line", -16, "position step from the last output pixel of a row to the first of the next, line"),
    ("in_row_bank", 4, "the same, bank"),
    ("tap_row_line", -16, "position step from the last tap of a kernel row to the first of the next, line"),
    ("tap_row_bank", 4, "the same, bank"),
    ("out_line", 16, "line of the first output pixel"),
    ("out_bank", 4, "bank of the first output pixel"),
    ("out_plane", 16, "lines from an output channel tile to the next"),
    ("out_row_line", -16, "position step from the last output pixel of a row to the first of the next, line"),
    ("out_row_bank", 4, "the same, bank"),
    ("res_line", 16, "line of the first residual pixel"),
    ("res_bank", 4, "bank of the first residual pixel"),
    ("res_plane", 16, "lines from a residual channel tile to the next"),
    (
        "res_row_line",
        -16,
        "position step from the last residual pixel of a row to the first of the next, line",
    ),
    ("res_row_bank", 4, "the same, bank"),
    (
        "tap_step",
        4,
        "columns from tap to tap of a kernel row, 1..banks-1; more than 1 where columns are folded",
    ),
    ("repeat_weights", 1, "every output tile takes the lines of the first one again"),
    (
        "skip_weights",
        12,
        "weight lines of a kernel row where rows that meet nothing but padding are left out, else 0: a "
        "group's first kernel row if all of its pixels have it above the input map, its last if below",
    ),
    ("skip_line", 8, "position step from a kernel row to the next, line"),
    ("skip_bank", 4, "the same, bank"),
    start=_BODY,
)

MOVE = COMMON + _table(
    ("space", 4, "Space of the DDR offset"),
    ("move_reserved", 28, "zero"),
    ("offset", 32, "byte offset of the first segment in its space, a multiple of the word"),
    ("segment_stride", 32, "bytes from a segment (one channel tile) to the next"),
    ("segment_words", 24, "words a segment"),
    ("segments", 16, "segments"),
    ("row_words", 16, "words (pixels) a map row"),
    ("line", 16, "line of the first pixel"),
    ("bank", 4, "bank of the first pixel"),
    ("plane", 16, "lines from a segment to the next"),
    ("row_line", -16, "position step from the last pixel of a row to the first of the next, line"),
    ("row_bank", 4, "the same, bank"),
    start=_BODY,
)

LOAD_WEIGHTS = COMMON + _table(
    ("space", 4, "Space of the DDR offset"),
    ("encoding", 3, "Encoding of the lines"),
    ("weights_reserved", 25, "zero"),
    ("offset", 32, "byte offset, a multiple of the word"),
    ("beats", 32, "beats to load"),
    ("weight_line", 16, "first line in the weight store; of a CODEBOOK, first word in the codebook"),
    ("lines_reserved", 24, "zero"),
    ("pass_lines", 16, "encoded lines after each parameter line; not 0 for DIAGONAL, NIBBLES and INDICES"),
    start=_BODY,
)

HEADER = _table(
    ("magic", 32, "0x4C544C42, 'BLTL'"),
    ("version", 32, "version of this format"),
    ("identity", 32, "identity of the engine configuration it was compiled for"),
    ("descriptors", 32, "descriptors that follow, END included"),
    ("input_stride", 32, "bytes from an input to the next"),
    ("output_stride", 32, "bytes from an output to the next"),
    ("crc", 32, "CRC-32 of the descriptors"),
)

TABLES: Mapping[Opcode, tuple[Field, ...]] = {
    Opcode.END: COMMON,
    Opcode.LOAD: MOVE,
    Opcode.LOAD_WEIGHTS: LOAD_WEIGHTS,
    Opcode.EXEC: EXEC,
    Opcode.STORE: MOVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """One descriptor: its opcode, the graph node it works for, and the fields that are not zero."""

    opcode: Opcode
    node: str  # for profiles and messages; not in the encoding
    fields: Mapping[str, int]

    def encode(self) -> bytes:
        """64 bytes; FormatError names a field whose value does not fit or is unknown."""
        return _encode(TABLES[self.opcode], {"opcode": self.opcode, **self.fields}, self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Descriptors in dispatch order, END last, for one engine configuration."""

    descriptors: tuple[Descriptor, ...]
    configuration: EngineConfiguration
    input_stride: int  # bytes
    output_stride: int  # bytes

    def encode(self) -> bytes:
        """The program as the engine reads it."""
        body = b"".join(descriptor.encode() for descriptor in self.descriptors)
        header = {
            "magic": MAGIC,
            "version": PROGRAM_VERSION,
            "identity": self.configuration.identity,
            "descriptors": len(self.descriptors),
            "input_stride": self.input_stride,
            "output_stride": self.output_stride,
            "crc": zlib.crc32(body),
        }
        return _encode(HEADER, header, "header") + body


def _encode(table: tuple[Field, ...], values: Mapping[str, int], where: str) -> bytes:
    fields = {field.name: field for field in table}
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise FormatError(f"{where}: descriptor fields {unknown} do not exist; see docs/program.md")
    bits = 0
    for name, value in values.items():
        bits |= fields[name].encode(int(value))
    return bits.to_bytes(DESCRIPTOR_BYTES, "little")


def decode_fields(table: tuple[Field, ...], data: bytes) -> dict[str, int]:
    """Every field's value in one encoded header or descriptor."""
    bits = int.from_bytes(data, "little")
    return {field.name: field.decode(bits) for field in table}
