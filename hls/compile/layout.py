"""How codes are stored in memory: channel slots, words, and the layouts of inputs and outputs in DDR.

A map is cut into channel tiles of `pi` lanes, or of 2 * `pi` where 4-bit codes are packed two to a byte, the
low halves first. Its `slots` name the channel of every lane, tile after tile; an UNUSED lane holds any code,
and the weights that meet it are zero. In DDR a map is its words
[tile][y][x], each of `pi` bytes: one pixel of one tile, lane 0 first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Bytes, Int32s
from bitlathe.model.graph.errors import ShapeError

Slots = tuple[int, ...]
UNUSED = -1


def padded_slots(slots: Slots, lanes: int) -> Slots:
    """Slots filled up to whole tiles of `lanes`."""
    return slots + (UNUSED,) * (-len(slots) % lanes)


def natural_slots(channels: int, lanes: int) -> Slots:
    """Channels in order, filled up to whole tiles of `lanes`.

    >>> natural_slots(3, 4)
    (0, 1, 2, -1)
    """
    return padded_slots(tuple(range(channels)), lanes)


def ordered_slots(channels: int, lanes: int, apart: frozenset[int], at_end: bool) -> Slots:
    """Some of the channels at an end of the tiles, the others in order at the other.

    >>> ordered_slots(5, 2, frozenset({1, 2}), False)
    (1, 2, 0, 3, 4, -1)
    """
    order = sorted(range(channels), key=lambda channel: ((channel in apart) is at_end, channel))
    return padded_slots(tuple(order), lanes)


def multiplied_slots(slots: Slots, multiplier: int) -> Slots:
    """Slots for the first of each channel's `multiplier` channels, then for their second ones ..."""
    return tuple(
        UNUSED if slot == UNUSED else slot * multiplier + multiple
        for multiple in range(multiplier)
        for slot in slots
    )


def selected_slots(slots: Slots, lanes: int, channels: tuple[int, ...]) -> tuple[int, Slots]:
    """First tile that holds one of some channels of a map, and the slots of them from it to the last.

    >>> selected_slots((0, 1, 2, 3, 4, 5, 6, 7), 2, (3, 4))
    (1, (-1, 0, 1, -1))
    """
    place = {channel: index for index, channel in enumerate(channels)}
    renamed = tuple(place.get(slot, UNUSED) for slot in slots)
    used = [lane // lanes for lane, slot in enumerate(renamed) if slot != UNUSED]
    return used[0], renamed[used[0] * lanes : (used[-1] + 1) * lanes]


def joined_slots(parts: tuple[Slots, ...]) -> Slots:
    """Slots of a concatenation: each part keeps its tiles.

    >>> joined_slots(((0, -1), (0, 1)))
    (0, -1, 1, 2)
    """
    joined: list[int] = []
    first = 0
    for slots in parts:
        joined.extend(slot if slot == UNUSED else slot + first for slot in slots)
        first += sum(slot != UNUSED for slot in slots)
    return tuple(joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLayout:
    """The graph's input in DDR.

    With `fold` > 1 the word of column x holds `fold` neighbouring pixels, so that few channels fill the
    lanes: lane d * channels + c is channel c of pixel column x - left_pad + d, and 0 beyond the map.
    """

    channels: int
    height: int
    width: int
    packed_width: int  # columns of words
    left_pad: int = 0
    fold: int = 1
    word_bytes: int

    @property
    def lanes(self) -> int:
        return self.channels * self.fold

    @property
    def tiles(self) -> int:
        return -(-self.lanes // self.word_bytes)

    @property
    def bytes(self) -> int:
        """Bytes of one input."""
        return self.tiles * self.height * self.packed_width * self.word_bytes

    def pack(self, codes: npt.NDArray[np.integer[Any]]) -> Bytes:
        """Bytes (N, bytes) of input codes (N, C, H, W); ShapeError on another shape."""
        shape = (self.channels, self.height, self.width)
        if codes.shape[1:] != shape:
            raise ShapeError(
                f"input codes are {codes.shape}, the program takes (N, {', '.join(map(str, shape))})"
            )
        lanes = np.zeros((len(codes), self.tiles * self.word_bytes, self.height, self.packed_width), np.uint8)
        for pixel in range(self.fold):
            first = pixel * self.channels
            columns, taken = self._columns(pixel)
            lanes[:, first : first + self.channels, :, columns] = codes[:, :, :, taken].astype(np.uint8)
        tiled = lanes.reshape(len(codes), self.tiles, self.word_bytes, self.height, self.packed_width)
        return np.ascontiguousarray(tiled.transpose(0, 1, 3, 4, 2)).reshape(len(codes), self.bytes)

    def _columns(self, pixel: int) -> tuple[slice, slice]:
        shift = pixel - self.left_pad
        first, last = max(0, -shift), min(self.packed_width, self.width - shift)
        return slice(first, max(first, last)), slice(first + shift, max(first, last) + shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLayout:
    """One of the graph's outputs in DDR."""

    slots: Slots
    height: int
    width: int
    signed: bool
    word_bytes: int
    offset: int = 0  # bytes from the start of an image's outputs

    @property
    def bytes(self) -> int:
        """Bytes of one image's output."""
        return len(self.slots) * self.height * self.width

    def unpack(self, data: Bytes) -> Int32s:
        """Codes (N, C, H, W) from the bytes (N, bytes) of all outputs of N images."""
        tiles = len(self.slots) // self.word_bytes
        own = data[:, self.offset : self.offset + self.bytes]
        words = own.reshape(len(data), tiles, self.height, self.width, self.word_bytes)
        lanes = words.transpose(0, 1, 4, 2, 3).reshape(len(data), len(self.slots), self.height, self.width)
        channels = lanes[:, _lane_of_channel(self.slots)]
        return channels.view(np.int8 if self.signed else np.uint8).astype(np.int32)


def _lane_of_channel(slots: Slots) -> npt.NDArray[np.intp]:
    lanes = np.array(slots)
    used = np.flatnonzero(lanes != UNUSED)
    return used[np.argsort(lanes[used])]
