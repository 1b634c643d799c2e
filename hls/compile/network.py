"""The work of the engine before place and time are decided: layers over tiled maps."""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from bitlathe.hls.compile.layout import UNUSED, InputLayout, OutputLayout, Slots
from bitlathe.hls.compile.memory import Span
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.nodes import IntWeights, Pair


class LayerKind(Enum):
    """How a layer's window becomes an output code."""

    DENSE = "convolution over all input channels"
    DEPTHWISE = "convolution of each channel by itself"
    MAX = "maximum"
    PRODUCT = "product of two codes"


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

    def part(self, tiles: Span | None) -> "Map":
        """Some of its tiles, as a map; all of them for None."""
        if tiles is None:
            return self
        lanes = len(self.slots) // self.tiles
        return replace(
            self,
            first_tile=self.first_tile + tiles[0],
            slots=self.slots[tiles[0] * lanes : tiles[1] * lanes],
            tiles=tiles[1] - tiles[0],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parameters:
    """Integers of a weighted layer, by channel."""

    weight: IntWeights  # (out_channels, in_channels / groups, kernel_height, kernel_width)
    bias: Int64s  # (out_channels,)
    shifts: tuple[int, ...]  # requantize shift of each output channel
    residual_shifts: tuple[int, ...]  # left shift of the residual; zeros without one
    half_even: bool = False  # whether halves round to even, else up
    groups: int = 1

    @property
    def is_uniform(self) -> bool:
        """Whether every output channel has the same integers."""
        # the short ones first: where they differ the weights are not looked at
        by_channel = (np.array(self.shifts), np.array(self.residual_shifts), self.bias, self.weight)
        return all(bool((values == values[:1]).all()) for values in by_channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The pixels of an output map that a layer computes: `size` of them, from `origin` in even steps."""

    size: Pair
    origin: Pair = (0, 0)
    step: Pair = (1, 1)

    def rows_within(self, rows: Span) -> Span:
        """Which of its own rows (first, end) are among rows of the map."""
        first, end = (min(max(-(-(row - self.origin[0]) // self.step[0]), 0), self.size[0]) for row in rows)
        return first, end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """How a layer's window moves over its source, by which integers, and which pixels it makes."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # top, left; negative: rows or columns that are left out
    tap_steps: Pair = (1, 1)  # rows and columns from tap to tap
    placed: Placement
    parameters: Parameters | None = None  # None for MAX
    holds_weights: bool = False  # whether all taps have the weights of the first one
    source_tile: int = 0  # of the source, that the first pass starts with


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One convolution, maximum or product from map to map, or the part of it that one window makes."""

    name: str
    node: str  # graph node it works for
    kind: LayerKind
    source: Map
    output: Map
    residual: Map | None  # added, or the factor of a product
    window: Window
    weights: str  # by which layers of the same integers share them
    ci_tiles: int = 1  # input tiles summed for one output
    tile_step: int = 0  # input tiles from a pass to the next
    lo: int
    hi: int
    table: bytes | None = None  # what a code's byte becomes

    @property
    def parameters(self) -> Parameters | None:
        return self.window.parameters

    @property
    def kernel(self) -> Pair:
        return self.window.kernel

    @property
    def stride(self) -> Pair:
        return self.window.stride

    @property
    def placed(self) -> Placement:
        return self.window.placed

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def residual_is_still(self) -> bool:
        """Whether every pixel takes the residual's only one: a vector of channels."""
        residual, output = self.residual, self.output
        return residual is not None and (residual.height, residual.width) != (output.height, output.width)

    @property
    def repeats_weights(self) -> bool:
        """Whether all passes share the first one's lines: those of an average, or the one of a maximum."""
        if self.kind is LayerKind.DENSE or self.parameters is None:
            return self.kind is LayerKind.MAX
        return self.parameters.is_uniform

    def source_tiles(self, passes: Span) -> Span:
        """Tiles (first, end) of the source that some passes read."""
        first = self.window.source_tile
        return (
            first + passes[0] * self.tile_step,
            first + (passes[1] - 1) * self.tile_step + self.ci_tiles,
        )

    def rows_read(self, first: int, last: int) -> Span:
        """Rows of the source that its rows first..last-1 read: (first, end), inside the map."""
        top = first * self.stride[0] - self.window.padding[0]
        reach = (self.kernel[0] - 1) * self.window.tap_steps[0] + 1
        end = (last - 1) * self.stride[0] - self.window.padding[0] + reach
        low = min(max(top, 0), self.source.height - 1)
        return low, max(min(end, self.source.height), low + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """Layers that read one map and fill another one together, strip by strip where they do not fit.

    Each has the same passes, over pixels of its own.
    """

    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        return self.layers[0].name

    @property
    def node(self) -> str:
        return self.layers[0].node

    @property
    def kind(self) -> LayerKind:
        return self.layers[0].kind

    @property
    def source(self) -> Map:
        return self.layers[0].source

    @property
    def output(self) -> Map:
        return self.layers[0].output

    @property
    def residual(self) -> Map | None:
        return self.layers[0].residual

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
    def weighted(self) -> tuple[Layer, ...]:
        """A layer for each of its different weights."""
        return tuple({layer.weights: layer for layer in self.layers}.values())

    def source_tiles(self, passes: Span) -> Span:
        """Tiles (first, end) of the source that some passes read."""
        spans = [layer.source_tiles(passes) for layer in self.layers]
        return min(first for first, _ in spans), max(end for _, end in spans)

    def rows_read(self, rows: Span) -> Span:
        """Rows (first, end) of the source that some rows of the output take."""
        own = [(layer, layer.placed.rows_within(rows)) for layer in self.layers]
        spans = [layer.rows_read(first, end) for layer, (first, end) in own if first < end]
        return min(first for first, _ in spans), max(end for _, end in spans)

    def residual_rows(self, rows: Span) -> Span:
        """Rows (first, end) of the residual that some rows of the output take."""
        return (0, 1) if self.layers[0].residual_is_still else rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Stages in order, with the graph's ends."""

    name: str
    stages: tuple[Stage, ...]
    input: Map
    outputs: tuple[Map, ...]  # each once, in the order in which they follow one another in DDR
    input_layout: InputLayout
    output_layouts: tuple[OutputLayout, ...]  # of the graph's outputs: a map may be several of them

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of all stages."""
        return tuple(layer for stage in self.stages for layer in stage.layers)

    @property
    def output_bytes(self) -> int:
        """Bytes of the outputs of one image."""
        return max(layout.offset + layout.bytes for layout in self.output_layouts)

    @property
    def regions(self) -> tuple[Region, ...]:
        """Every region, by first use."""
        maps = [self.input, *(m for stage in self.stages for m in stage.maps)]
        return tuple(dict.fromkeys(m.region for m in maps))
