"""Lower bounds for any schedule: cycles of an array that never idles, and of the words to be moved.

One array works on one layer at a time, so the layers' cycles add up. Reads and writes have a channel each,
so the busier one bounds. What the engine may leave out, a kernel row that meets nothing but padding, does not
count. docs/performance.md derives both.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from bitlathe.hls.cycles.model import DdrModel, move_beats
from bitlathe.hls.program import Exec, LoadMove, LoadWeights, Program, StoreMove
from bitlathe.hls.program.skipping import Sweep, skipping_groups
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.aliases import channels_of
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.files.account import useful_macs
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, MaxPool2d, Node
from bitlathe.model.graph.parts import trimmed
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

LANEWISE = AvgPool2d | MaxPool2d | IntervalPool2d | Interpolate2d | Upsample2d | PixelUnshuffle2d | Product
PACKED_RATE = 2  # packed 4-bit layers, against 8-bit ones


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBound:
    """One layer's least cycles; a layer is a graph node that the program names."""

    peak: float  # of its useful products on all multipliers
    array: float  # on the multipliers: all of them, or one input channel a lane
    ddr: float  # of the words it reads from or writes to memory, weights included where they do not stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Least cycles of one input whose resident weights are on chip."""

    layers: Mapping[str, LayerBound]
    peak: (
        float  # of the useful products on an array whose multipliers all work: what efficiency is measured by
    )
    array: float
    lanes: float  # the part of `array` in depthwise convolutions and pools
    ddr: float

    @property
    def cycles(self) -> float:
        """Cycles that a perfect schedule would take."""
        return max(self.array, self.ddr)

    @property
    def is_ddr_bound(self) -> bool:
        return self.ddr > self.array


def bounds(graph: Graph, program: Program, ddr: DdrModel) -> Bounds:
    """Bounds of a compiled network."""
    packed = {each.node for each in program.descriptors if isinstance(each, Exec) and each.in_packed}
    engine = program.configuration
    array = {node.name: array_cycles(graph, node, engine, node.name in packed) for node in graph.needed}
    peak = {node.name: peak_cycles(graph, node, engine, node.name in packed) for node in graph.needed}
    read, written = _beats(program, stores=False), _beats(program, stores=True)
    names = array.keys() | read.keys() | written.keys()
    layers = {
        name: LayerBound(
            peak=peak.get(name, 0.0),
            array=array.get(name, 0.0),
            ddr=ddr.transfer(max(read.get(name, 0), written.get(name, 0))),
        )
        for name in names
    }
    return Bounds(
        layers=layers,
        peak=sum(peak.values()),
        array=sum(array.values()),
        lanes=sum(array[node.name] for node in graph.needed if is_lanewise(graph, node)),
        ddr=ddr.transfer(max(sum(read.values()), sum(written.values()))),
    )


def array_cycles(graph: Graph, node: Node, configuration: EngineConfiguration, packed: bool) -> float:
    """Cycles of a node on an array without idle lanes; none of what the layers before it may do at once.

    Where an output channel reads one input channel only `pi` of the `pi` x `po` products a pixel are of use:
    the scratchpad delivers at most `pi` channels of `pp` pixels a cycle. And the output stage writes
    a word a cycle.
    """
    channels, height, width = graph.shapes[node.name]
    lanes = configuration.pi * configuration.pp
    if channels_of(graph, node) is not None or isinstance(node, Lookup | PixelShuffle2d):
        return 0.0
    words = -(-channels // configuration.pi) * height * width
    if isinstance(node, Product | Upsample2d | PixelUnshuffle2d):
        return words
    products, parts = 0.0, graph.parts(node)
    for part in parts:
        window = trimmed(part.node, graph.shapes[node.sources[0]][1:])
        rows, columns = window.windows.size(node.name, *graph.shapes[node.sources[0]][1:])
        kernels = window.weight.size if isinstance(window, Conv2d) else channels * prod(window.kernel_size)
        products += _needed(graph, window, rows) * kernels * rows * columns
    taken = products / (lanes if is_lanewise(graph, node) else _products_a_cycle(configuration, packed))
    return max(taken, words) if parts else 0.0  # a concatenation takes no step


def peak_cycles(graph: Graph, node: Node, configuration: EngineConfiguration, packed: bool) -> float:
    """Cycles of a node's useful products were all multipliers at work, none of them for what is left out."""
    useful = needed_rows(graph, node) * useful_macs(graph, node) / _products_a_cycle(configuration, packed)
    return min(useful, array_cycles(graph, node, configuration, packed))


def needed_rows(graph: Graph, node: Node) -> float:
    """Share of the kernel rows of all windows that the engine cannot leave out, in whatever groups.

    Of a kernel of several rows it leaves out one at most, and only one of padding (hls/program/skipping.py).
    """
    if not isinstance(node, Conv2d | AvgPool2d | MaxPool2d):
        return 1.0
    (part,) = graph.parts(node)
    return _needed(graph, part.node, graph.shapes[node.name][1])


def _needed(graph: Graph, window: Conv2d | MaxPool2d, out_h: int) -> float:
    height = window.kernel_size[0]
    if height < 2 or window.dilation[0] > 1:
        return 1.0
    each_alone = Sweep(
        out_h=out_h,
        out_w=1,
        group_lanes=1,
        row_break=False,
        kernel_h=height,
        stride_h=window.stride[0],
        start_y=-window.padding[0],
        in_h=graph.shapes[window.source][1],
    )
    return 1 - float(skipping_groups(each_alone).sum()) / (height * out_h)


def _products_a_cycle(configuration: EngineConfiguration, packed: bool) -> int:
    return configuration.macs_per_cycle * (PACKED_RATE if packed else 1)


def is_lanewise(graph: Graph, node: Node) -> bool:
    """Whether every output channel reads one input channel: a depthwise convolution, a pool, a product."""
    if isinstance(node, Conv2d | Dense | ConvTranspose2d):
        parts = [part.node for part in graph.parts(node)]
        return all(
            isinstance(part, Conv2d) and part.groups == graph.shapes[part.source][0] > 1 for part in parts
        )
    return isinstance(node, LANEWISE)


def _beats(program: Program, *, stores: bool) -> Counter[str]:
    """Words moved for each node, once-only loads aside."""
    beats: Counter[str] = Counter()
    for descriptor in program.descriptors:
        if isinstance(descriptor, StoreMove if stores else LoadMove | LoadWeights) and not descriptor.once:
            beats[descriptor.node] += move_beats(descriptor)
    return beats
