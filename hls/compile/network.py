"""The work of the engine before place and time are decided: layers over tiled maps."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from bitlathe.hls.compile.layout import UNUSED, InputLayout, OutputLayout, Slots
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.nodes import IntWeights, Pair


class LayerKind(Enum):
    """How a layer's window becomes an output code."""

    DENSE = "convolution over all input channels"
    DEPTHWISE = "convolution of each channel by itself"
    MAX = "maximum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Storage of one map, or of the maps of a concatenation beside each other."""

    name: str
    tiles: int
    height: int
    width: int

    def lines(self, pitch: int, banks: int) -> int:
        """Scratchpad lines of the whole region at `pitch` positions a row."""
        return self.tiles * plane_lines(self.height, self.width, pitch, banks)


def plane_lines(height: int, width: int, pitch: int, banks: int) -> int:
    """Scratchpad lines of one channel tile.

    >>> plane_lines(32, 32, 37, 7)
    169
    """
    return -(-((height - 1) * pitch + width) // banks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A tensor in its tiles: part of a region."""

    name: str
    region: Region
    first_tile: int  # in its region
    slots: Slots
    tiles: int
    signed: bool
    halves: int = 1  # words of pi channels in a tile: 2 where 4-bit codes are packed two to a byte

    @property
    def is_packed(self) -> bool:
        return self.halves > 1

    @property
    def words(self) -> int:
        """Words of pi channels that its producer writes a pixel; a packed tile may lack its last half."""
        if not self.is_packed:
            return self.tiles
        lanes = len(self.slots) // (self.tiles * self.halves)
        used = max(lane for lane, slot in enumerate(self.slots) if slot != UNUSED) + 1
        return -(-used // lanes)

    def tiles_of(self, words: tuple[int, int]) -> tuple[int, int]:
        """Tiles (first, end) that hold words first..end-1."""
        return words[0] // self.halves, -(-words[1] // self.halves)

    @property
    def height(self) -> int:
        return self.region.height

    @property
    def width(self) -> int:
        return self.region.width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parameters:
    """Integers of a weighted layer, by channel."""

    weight: IntWeights  # (out_channels, in_channels or 1 for depthwise, kernel_height, kernel_width)
    bias: Int64s  # (out_channels,)
    shifts: tuple[int, ...]  # requantize shift of each output channel
    residual_shifts: tuple[int, ...]  # left shift of the residual; zeros without one
    half_even: bool = False  # whether halves round to even, else up

    @property
    def is_uniform(self) -> bool:
        """Whether every output channel has the same integers."""
        # the short ones first: where they differ the weights are not looked at
        by_channel = (np.array(self.shifts), np.array(self.residual_shifts), self.bias, self.weight)
        return all(bool((values == values[:1]).all()) for values in by_channel)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One convolution or max pool from map to map."""

    name: str
    node: str  # graph node it works for
    kind: LayerKind
    source: Map
    output: Map
    residual: Map | None
    parameters: Parameters | None  # None for MAX
    kernel: Pair
    stride: Pair
    padding: Pair  # top, left
    tap_step: int  # columns from tap to tap
    lo: int
    hi: int

    @property
    def maps(self) -> tuple[Map, ...]:
        """Every map it touches."""
        return (
            (self.source, self.output) if self.residual is None else (self.source, self.output, self.residual)
        )

    @property
    def sources(self) -> tuple[Map, ...]:
        """Maps it reads."""
        return (self.source,) if self.residual is None else (self.source, self.residual)

    @property
    def ci_tiles(self) -> int:
        """Input tiles summed for one output."""
        return self.source.tiles if self.kind is LayerKind.DENSE else 1

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def repeats_weights(self) -> bool:
        """Whether all passes share the first one's lines: those of an average, or the one of a maximum."""
        if self.kind is LayerKind.DENSE or self.parameters is None:
            return self.kind is LayerKind.MAX
        return self.parameters.is_uniform

    def rows_read(self, first: int, last: int) -> tuple[int, int]:
        """Rows of the source that output rows first..last-1 read: (first, end), inside the map."""
        top = first * self.stride[0] - self.padding[0]
        end = (last - 1) * self.stride[0] - self.padding[0] + self.kernel[0]
        low = min(max(top, 0), self.source.height - 1)
        return low, max(min(end, self.source.height), low + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers in order, with the graph's ends."""

    name: str
    layers: tuple[Layer, ...]
    input: Map
    outputs: tuple[Map, ...]  # each once, in the order in which they follow one another in DDR
    input_layout: InputLayout
    output_layouts: tuple[OutputLayout, ...]  # of the graph's outputs: a map may be several of them

    @property
    def output_bytes(self) -> int:
        """Bytes of the outputs of one image."""
        return max(layout.offset + layout.bytes for layout in self.output_layouts)

    @property
    def regions(self) -> tuple[Region, ...]:
        """Every region, by first use."""
        maps = [self.input, *(m for layer in self.layers for m in layer.maps)]
        return tuple(dict.fromkeys(m.region for m in maps))
