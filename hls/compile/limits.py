"""Limits of the engine's fields and 8-bit lanes, checked before anything is laid out."""

from collections.abc import Iterator

from bitlathe.hls.datapath import LANE_BITS
from bitlathe.model.graph import proof
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import BitlatheError, CapacityError, UnsupportedLayer, together
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Pair
from bitlathe.model.graph.parts import trimmed
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

LARGEST_MAP = 2047  # rows or columns, padding included: signed 12-bit coordinates
LARGEST_KERNEL = 255
LARGEST_DILATION = 31
WEIGHTED = Conv2d | Dense | AvgPool2d | ConvTranspose2d
RESAMPLING = Upsample2d | PixelShuffle2d | PixelUnshuffle2d | IntervalPool2d | Interpolate2d
SUPPORTED = Input | WEIGHTED | MaxPool2d | Concat | RESAMPLING | Lookup | Product


def check_graph(graph: Graph) -> None:
    """Raise UnsupportedLayer, CapacityError or OverflowRisk, naming all nodes that the engine cannot hold."""
    proof.check(graph)
    if errors := [error for node in graph.nodes for error in _errors(graph, node)]:
        raise together(errors, graph.name)


def _errors(graph: Graph, node: Node) -> Iterator[BitlatheError]:
    """What the engine cannot hold of a node."""
    if not isinstance(node, SUPPORTED):
        yield UnsupportedLayer(
            f"{node.name}: the engine has no {type(node).__name__}; rewrite it as a convolution or a pool"
        )
        return
    if node.format.bits > LANE_BITS:
        yield UnsupportedLayer(
            f"{node.name}: codes of {node.format.bits} bits; the engine's lanes hold {LANE_BITS}: "
            "quantize the layer to at most that"
        )
    _, height, width = graph.shapes[node.name]
    if max(height, width) > LARGEST_MAP:
        yield CapacityError(
            f"{node.name}: a map of {height}x{width} pixels; the engine counts to {LARGEST_MAP} rows and "
            "columns: use smaller images"
        )
    if isinstance(node, WEIGHTED) and getattr(node, "weight_bits", 0) > LANE_BITS:
        yield UnsupportedLayer(
            f"{node.name}: weights of {getattr(node, 'weight_bits', 0)} bits; the engine multiplies "
            f"{LANE_BITS}: quantize the layer to at most that"
        )
    yield from _first_of_each(_window_errors(graph, node))


def _first_of_each(errors: Iterator[BitlatheError]) -> Iterator[BitlatheError]:
    """Errors without those that say the same of another part."""
    yield from {str(error): error for error in errors}.values()


def _window_errors(graph: Graph, node: Node) -> Iterator[BitlatheError]:
    for part in graph.parts(node):
        window = trimmed(part.node, graph.shapes[node.sources[0]][1:])
        dilation, kernel, edges = window.dilation, window.kernel_size, window.windows
        taken = dilation[0] if kernel[0] > 1 else 1, dilation[1] if kernel[1] > 1 else 1
        yield from _errors_of(node.name, "kernel", kernel, LARGEST_KERNEL)
        yield from _errors_of(node.name, "dilation", taken, LARGEST_DILATION)
        for padding in (edges.padding, edges.end_padding):
            yield from _errors_of(node.name, "padding", padding, LARGEST_MAP)


def _errors_of(name: str, what: str, pair: Pair, limit: int) -> Iterator[BitlatheError]:
    if max(pair) > limit:
        yield CapacityError(
            f"{name}: a {what} of {pair[0]}x{pair[1]}; the engine's limit is {limit}: choose a smaller one"
        )
