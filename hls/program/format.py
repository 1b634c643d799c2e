"""The program format: a class a descriptor, whose fields are its bits.

A program is a 64-byte header and 64-byte descriptors, little-endian. Each kind of them is a class here, the
one table that the SystemVerilog package, the C++ header and docs/program.md are rendered from (render.py).
"""

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from bitlathe.hls.target.config import PROGRAM_VERSION, EngineConfiguration
from bitlathe.model.graph.errors import FormatError

DESCRIPTOR_BYTES = 64
MAGIC = 0x4C544C42  # "BLTL"
STRIDE_BITS = 4  # of a stride in its first field; its high bits have another one


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
    """How the lines of the weight store are stored in DDR; parameter lines are always COLUMNS."""

    COLUMNS = 0  # a beat is one column of a line
    DIAGONAL = 1  # a beat is a line's diagonal, all else 0 (depthwise weights)
    NIBBLES = 2  # a beat is two columns of 4-bit weights
    INDICES = 3  # a byte is the index of a codeword: eight weights of a column
    CODEBOOK = 4  # no lines: codewords, for the INDICES that follow
    TABLE = 5  # no lines: codes of an activation's table
    SPARSE = 6  # masks of the weights that are not zero, and their codes (sparse.py); parameter lines too


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
    BAD_STREAM = 8  # sparse weights whose words are fewer or more than their masks ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a descriptor: `width` bits from bit `lsb`."""

    name: str
    lsb: int
    width: int
    signed: bool
    meaning: str
    kind: type[int] = int  # of its value: bool where it is a flag

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


def _bits(width: int, meaning: str, *, default: int = 0, signed: bool = False) -> Any:
    metadata = {"width": width, "signed": signed, "meaning": meaning, "kind": type(default)}
    return dataclasses.field(default=default, metadata=metadata)


def _unsigned(width: int, meaning: str) -> Any:
    return _bits(width, meaning)


def _signed(width: int, meaning: str) -> Any:
    return _bits(width, meaning, signed=True)


def _flag(meaning: str) -> Any:
    return _bits(1, meaning, default=False)


OPCODE = Field(name="opcode", lsb=0, width=8, signed=False, meaning="Opcode")
AnyFields = TypeVar("AnyFields", bound="PackedFields")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFields:
    """64 bytes whose fields follow one another from bit 0 in the order of the class; what is left is zero."""

    def encode(self) -> bytes:
        """The 64 bytes; FormatError names a field whose value does not fit."""
        bits = 0
        for field in fields_of(type(self)):
            bits |= field.encode(int(getattr(self, field.name)))
        return bits.to_bytes(DESCRIPTOR_BYTES, "little")

    @classmethod
    def decode(cls: type[AnyFields], data: bytes, **others: str) -> AnyFields:
        """Of encoded bytes; `others` are the fields that have no bits."""
        bits = int.from_bytes(data, "little")
        values = {field.name: field.kind(field.decode(bits)) for field in fields_of(cls)}
        values.pop("opcode", None)  # the class says it
        return cls(**values, **others)


_FIELDS: dict[type[PackedFields], tuple[Field, ...]] = {}


def fields_of(kind: type[PackedFields]) -> tuple[Field, ...]:
    """Where each field of a class is in its 64 bytes."""
    if kind not in _FIELDS:
        _FIELDS[kind] = _placed(kind)
    return _FIELDS[kind]


def _placed(kind: type[PackedFields]) -> tuple[Field, ...]:
    fields = [OPCODE] if issubclass(kind, Descriptor) else []
    lsb = sum(field.width for field in fields)
    for each in dataclasses.fields(kind):
        if each.metadata:
            fields.append(Field(name=each.name, lsb=lsb, **each.metadata))
            lsb += each.metadata["width"]
    return tuple(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor(PackedFields):
    """The fields of every descriptor: its opcode and what it waits for."""

    opcode: ClassVar[Opcode]  # its first field
    node: str = ""  # of the graph, which it works for: for profiles and messages, not encoded
    once: bool = _flag("skip when the weights are resident (a later input, or a start that says so)")
    flags_reserved: int = _unsigned(7, "zero")
    wait_load: int = _signed(
        16,
        "start when all LOAD and LOAD_WEIGHTS of earlier inputs and this many of this one's are complete; "
        "negative: all but so many of the earlier inputs'",
    )
    wait_exec: int = _signed(16, "the same, EXEC")
    wait_store: int = _signed(16, "the same, STORE")

    @property
    def waits(self) -> tuple[int, int, int]:
        """Completed LOADs, EXECs and STOREs that it waits for, as `wait_load` counts them."""
        return self.wait_load, self.wait_exec, self.wait_store


NO_WAIT = -(1 << 15)  # the least that a wait can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Descriptor):
    """The end of an input's descriptors."""

    opcode: ClassVar[Opcode] = Opcode.END


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Descriptor):
    """Words between DDR and the scratchpad."""

    space: int = _unsigned(4, "Space of the DDR offset")
    move_reserved: int = _unsigned(28, "zero")
    offset: int = _unsigned(32, "byte offset of the first segment in its space, a multiple of the word")
    segment_stride: int = _unsigned(32, "bytes from a segment (one channel tile) to the next")
    segment_words: int = _unsigned(24, "words a segment")
    segments: int = _unsigned(16, "segments")
    row_words: int = _unsigned(16, "words (pixels) a map row")
    line: int = _unsigned(16, "line of the first pixel")
    bank: int = _unsigned(4, "bank of the first pixel")
    plane: int = _unsigned(16, "lines from a segment to the next")
    row_line: int = _signed(16, "position step from the last pixel of a row to the first of the next, line")
    row_bank: int = _unsigned(4, "the same, bank")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMove(Move):
    """DDR to scratchpad."""

    opcode: ClassVar[Opcode] = Opcode.LOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMove(Move):
    """Scratchpad to DDR."""

    opcode: ClassVar[Opcode] = Opcode.STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadWeights(Descriptor):
    """DDR to weight store or codebook."""

    opcode: ClassVar[Opcode] = Opcode.LOAD_WEIGHTS
    space: int = _unsigned(4, "Space of the DDR offset")
    encoding: int = _unsigned(3, "Encoding of the lines")
    narrow: bool = _flag("SPARSE: the codes of encoded lines have 4 bits, those of parameter lines 8")
    weights_reserved: int = _unsigned(24, "zero")
    offset: int = _unsigned(32, "byte offset, a multiple of the word")
    beats: int = _unsigned(32, "beats to load")
    weight_line: int = _unsigned(
        16,
        "first line in the weight store; of a CODEBOOK or a TABLE, first word in the codebook or the tables",
    )
    lines_reserved: int = _unsigned(24, "zero")
    pass_lines: int = _unsigned(
        16, "encoded lines after each parameter line; not 0 for DIAGONAL, NIBBLES, INDICES and SPARSE"
    )
    lines: int = _unsigned(16, "SPARSE: lines that the words make, parameter lines included; else 0")


# A position is the pair (line, bank) = divmod(y * pitch + x, banks); steps are pairs too, the
# bank in 0..banks-1 and the line signed, so that address generation needs no division.
@dataclass(frozen=True, slots=True, kw_only=True)
class Exec(Descriptor):
    """Convolution, depthwise convolution or maximum over the scratchpad."""

    opcode: ClassVar[Opcode] = Opcode.EXEC
    group_cycles: int = _unsigned(
        16, "cycles a pixel group takes that leaves no kernel row out: its kernel's and its words' at least"
    )
    group_lanes: int = _unsigned(4, "pixels a group, 1..pp")
    row_break: bool = _flag("a group ends at the end of an output row")
    is_max: bool = _flag("1: maximum of codes (max pool), 0: multiply and accumulate")
    in_signed: bool = _flag("input codes are signed")
    has_residual: bool = _flag("add the residual map")
    sub_tiles: int = _unsigned(3, "words written a pixel and output tile: po/pi, or 1 for depthwise and max")
    res_signed: bool = _flag("residual codes are signed")
    in_packed: bool = _flag(
        "input and weights are packed: a byte holds a tile's channels i (low 4 bits) and pi + i (high)"
    )
    out_packed: bool = _flag("output tiles 2k and 2k + 1 go to the low and high halves of plane k's bytes")
    res_packed: bool = _flag("the residual map is packed")
    res_fast: bool = _flag(
        "a residual word every cycle: the compiler has shown that no read meets a write in its bank"
    )
    half_even: bool = _flag("halves of an output code round to the even one, else up")
    has_table: bool = _flag("a code between lo and hi is replaced by the entry of the table at its byte")
    table: int = _unsigned(3, "the table: entries 256 * table to 256 * table + 255")
    is_product: bool = _flag(
        "the residual multiplies the maximum in place of being added; the maximum has parameters of its own"
    )
    res_still: bool = _flag("every output pixel takes the residual's first pixel")
    hold_weights: bool = _flag("every tap takes the line of the first one")
    repeat_weights: bool = _flag("every output tile takes the lines of the first one again")
    lo: int = _signed(9, "smallest output code, or code into the table")
    hi: int = _signed(9, "largest output code, or code into the table")
    kernel_h: int = _unsigned(8, "rows of the window")
    kernel_w: int = _unsigned(8, "columns of the window")
    ci_tiles: int = _unsigned(12, "input channel tiles summed: 1 for depthwise and max")
    stride_h: int = _unsigned(STRIDE_BITS, "rows from window to window, the low bits")
    stride_w: int = _unsigned(STRIDE_BITS, "columns from window to window, the low bits")
    tap_rows: int = _unsigned(5, "rows from tap to tap of a kernel column: the vertical dilation")
    tap_step: int = _unsigned(
        5,
        "columns from tap to tap of a kernel row: the horizontal dilation, or the columns folded into a word",
    )
    out_step: int = _unsigned(5, "positions from an output pixel to the next one of its row")
    start_y: int = _signed(12, "row of the first window's origin (minus the top padding)")
    start_x: int = _signed(12, "column of the first window's origin (minus the left padding)")
    in_h: int = _unsigned(12, "rows of the input map in the scratchpad; beyond them is padding")
    in_w: int = _unsigned(12, "columns of the input map")
    out_h: int = _unsigned(12, "rows computed")
    out_w: int = _unsigned(12, "columns computed")
    out_tiles: int = _unsigned(12, "output channel tiles of pi channels written")
    weight_line: int = _unsigned(
        16, "first line in the weight store: a parameter line, then the kernel's lines, for every output tile"
    )
    in_line: int = _signed(16, "line of the first window's origin (may be negative under padding)")
    in_bank: int = _unsigned(4, "bank of the first window's origin")
    in_plane: int = _unsigned(16, "lines from an input channel tile to the next")
    in_tile_step: int = _unsigned(
        16, "lines the input advances from an output tile to the next: 0, or in_plane for depthwise and max"
    )
    pitch_line: int = _unsigned(10, "position step from a row of the input map to the next, line")
    pitch_bank: int = _unsigned(4, "the same, bank")
    in_row_line: int = _signed(
        16, "position step from the last output pixel of a row to the first of the next, line"
    )
    in_row_bank: int = _unsigned(4, "the same, bank")
    tap_row_line: int = _signed(
        16, "position step from the last tap of a kernel row to the first of the next, line"
    )
    tap_row_bank: int = _unsigned(4, "the same, bank")
    out_line: int = _unsigned(16, "line of the first output pixel")
    out_bank: int = _unsigned(4, "bank of the first output pixel")
    out_plane: int = _unsigned(16, "lines from an output channel tile to the next")
    out_row_line: int = _signed(
        16, "position step from the last output pixel of a row to the first of the next, line"
    )
    out_row_bank: int = _unsigned(4, "the same, bank")
    res_line: int = _unsigned(16, "line of the first residual pixel")
    res_bank: int = _unsigned(4, "bank of the first residual pixel")
    res_plane: int = _unsigned(16, "lines from a residual channel tile to the next")
    res_row_line: int = _signed(
        16, "position step from the last residual pixel of a row to the first of the next, line"
    )
    res_row_bank: int = _unsigned(4, "the same, bank")
    skip_weights: int = _unsigned(
        12,
        "weight lines of a kernel row where rows that meet nothing but padding are left out, else 0: a "
        "group's first kernel row if all of its pixels have it above the input map, its last if below",
    )
    high_stride_h: int = _unsigned(2, "the bits above those of `stride_h`")
    high_stride_w: int = _unsigned(2, "the bits above those of `stride_w`")

    @property
    def strides(self) -> tuple[int, int]:
        """Rows and columns from window to window."""
        high_h, high_w = self.high_stride_h << STRIDE_BITS, self.high_stride_w << STRIDE_BITS
        return high_h | self.stride_h, high_w | self.stride_w

    def with_strides(self, rows: int, columns: int) -> "Exec":
        """The same layer at other strides."""
        low = (1 << STRIDE_BITS) - 1
        return replace(
            self,
            stride_h=rows & low,
            stride_w=columns & low,
            high_stride_h=rows >> STRIDE_BITS,
            high_stride_w=columns >> STRIDE_BITS,
        )


KINDS: Mapping[Opcode, type[Descriptor]] = {
    Opcode.END: End,
    Opcode.LOAD: LoadMove,
    Opcode.LOAD_WEIGHTS: LoadWeights,
    Opcode.EXEC: Exec,
    Opcode.STORE: StoreMove,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(PackedFields):
    """The first 64 bytes of a program."""

    magic: int = _bits(32, "0x4C544C42, 'BLTL'", default=MAGIC)
    version: int = _bits(32, "version of this format", default=PROGRAM_VERSION)
    identity: int = _unsigned(32, "identity of the engine configuration it was compiled for")
    descriptors: int = _unsigned(32, "descriptors that follow, END included")
    input_stride: int = _unsigned(32, "bytes from an input to the next")
    output_stride: int = _unsigned(32, "bytes from an output to the next")
    crc: int = _unsigned(32, "CRC-32 of the descriptors")


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
        header = Header(
            identity=self.configuration.identity,
            descriptors=len(self.descriptors),
            input_stride=self.input_stride,
            output_stride=self.output_stride,
            crc=zlib.crc32(body),
        )
        return header.encode() + body
