"""Buffers in the scratchpad, the weight store and DDR, and the blocks of them that a step reads or writes."""

from dataclasses import dataclass, field
from enum import Enum

from bitlathe.hls.program import Space

Span = tuple[int, int]  # first, end: of lines, layers, tiles, rows or words


class StoreKind(Enum):
    """The memory that holds a buffer."""

    SCRATCHPAD = "scratchpad"
    WEIGHTS = "weight store"
    CODEBOOK = "codebook"
    TABLES = "tables"
    DDR = "DDR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Room for the tiles of a map, or for lines of weights.

    In the scratchpad pixel (y, x) of tile t is at position y * pitch + x of line `line` + t * plane. In DDR
    `line` counts words from the start of `space`, and pitch and plane are words. In the weight store only the
    lines count.
    """

    name: str  # unique in its memory: equality compares only place and name
    memory: StoreKind = field(compare=False)
    line: int
    lines: int
    pitch: int = field(default=1, compare=False)
    plane: int = field(default=1, compare=False)
    space: Space = field(default=Space.SCRATCH, compare=False)  # of a DDR buffer

    def meets(self, other: "Buffer") -> bool:
        """Whether the two share memory."""
        if self.line >= other.line + other.lines or other.line >= self.line + self.lines:
            return False
        return self.memory is other.memory and self.space is other.space

    def covers(self, other: "Buffer") -> bool:
        """Whether it contains all memory of the other."""
        if self.memory is not other.memory or self.space is not other.space:
            return False
        return self.line <= other.line and other.line + other.lines <= self.line + self.lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of tiles of a buffer; `is_whole` where a buffer is filled and emptied as one."""

    buffer: Buffer
    tile: int  # first
    tiles: int
    row: int  # first, in the buffer
    rows: int
    is_whole: bool = False  # everything that the buffer holds

    def meets(self, other: "Block") -> bool:
        """Whether the two share memory; blocks of different buffers count as their whole buffers."""
        if self.is_whole or other.is_whole or self.buffer != other.buffer:
            return self.buffer.meets(other.buffer)
        return self.overlaps(other)

    def overlaps(self, other: "Block") -> bool:
        """The same for a block of the same buffer."""
        if self.is_whole or other.is_whole:
            return True
        return (
            self.tile < other.tile + other.tiles
            and other.tile < self.tile + self.tiles
            and self.row < other.row + other.rows
            and other.row < self.row + self.rows
        )

    def covers(self, other: "Block") -> bool:
        """Whether it contains all memory of another block of the same buffer."""
        return self.is_whole or (
            self.tile <= other.tile
            and other.tile + other.tiles <= self.tile + self.tiles
            and self.row <= other.row
            and other.row + other.rows <= self.row + self.rows
            and not other.is_whole
        )


def whole(buffer: Buffer) -> Block:
    """All of a buffer whose tiles and rows do not matter."""
    return Block(buffer=buffer, tile=0, tiles=1, row=0, rows=1, is_whole=True)
