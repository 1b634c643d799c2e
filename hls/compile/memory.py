"""Buffers in the scratchpad, the weight store and DDR, and the blocks of them that a step reads or writes."""

from dataclasses import dataclass
from enum import Enum

from bitlathe.hls.program import Space


class Memory(Enum):
    """Where a buffer lies."""

    SCRATCHPAD = "scratchpad"
    WEIGHTS = "weight store"
    DDR = "DDR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Room for the tiles of a map, or for lines of weights.

    In the scratchpad pixel (y, x) of tile t is at position y * pitch + x of line `line` + t * plane. In DDR `line`
    counts words from the start of `space`, and pitch and plane are words. In the weight store only the lines count.
    """

    name: str
    memory: Memory
    line: int
    lines: int
    pitch: int = 1
    plane: int = 1
    space: Space = Space.SCRATCH  # of a DDR buffer

    def meets(self, other: "Buffer") -> bool:
        """Whether the two share memory."""
        if (self.memory, self.space) != (other.memory, other.space):
            return False
        return self.line < other.line + other.lines and other.line < self.line + self.lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of tiles of a buffer."""

    buffer: Buffer
    tile: int  # first
    tiles: int
    row: int  # first, in the buffer
    rows: int

    def meets(self, other: "Block") -> bool:
        """Whether the two share memory; blocks of different buffers count as their whole buffers."""
        if self.buffer != other.buffer:
            return self.buffer.meets(other.buffer)
        return (
            self.tile < other.tile + other.tiles
            and other.tile < self.tile + self.tiles
            and self.row < other.row + other.rows
            and other.row < self.row + self.rows
        )


def whole(buffer: Buffer) -> Block:
    """All of a buffer whose tiles and rows do not matter."""
    return Block(buffer=buffer, tile=0, tiles=1, row=0, rows=1)
