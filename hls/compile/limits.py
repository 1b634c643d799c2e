"""Limits of the engine's fields and 8-bit lanes, checked before anything is laid out."""

from collections.abc import Iterator

from bitlathe.hls.datapath import LANE_BITS
from bitlathe.model.graph import proof
from bitlathe.model.graph.errors import BitlatheError, CapacityError, UnsupportedLayer, together
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Pair

LARGEST_MAP = 2047  # rows or columns, padding included: signed 12-bit coordinates
LARGEST_KERNEL = 255
LARGEST_STRIDE = 15
SUPPORTED = (Input, Conv2d, Dense, MaxPool2d, AvgPool2d, Concat)


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
    if isinstance(node, Conv2d | Dense | AvgPool2d):
        yield from _convolution_errors(graph, graph.convolution(node))
    if isinstance(node, MaxPool2d):
        yield from _window_errors(node.name, node.kernel_size, effective_stride(graph, node))


def _convolution_errors(graph: Graph, conv: Conv2d) -> Iterator[BitlatheError]:
    if conv.weight_bits > LANE_BITS:
        yield UnsupportedLayer(
            f"{conv.name}: weights of {conv.weight_bits} bits; the engine multiplies {LANE_BITS}: "
            "quantize the layer to at most that"
        )
    yield from _window_errors(conv.name, conv.kernel_size, effective_stride(graph, conv))


def effective_stride(graph: Graph, node: Conv2d | MaxPool2d) -> Pair:
    """Stride of a window, 1 along an axis that it takes a single place on."""
    _, height, width = graph.shapes[node.name]
    return node.stride[0] if height > 1 else 1, node.stride[1] if width > 1 else 1


def _window_errors(name: str, kernel: Pair, stride: Pair) -> Iterator[BitlatheError]:
    for what, (vertical, horizontal), limit in (
        ("kernel", kernel, LARGEST_KERNEL),
        ("stride", stride, LARGEST_STRIDE),
    ):
        if max(vertical, horizontal) > limit:
            yield CapacityError(
                f"{name}: a {what} of {vertical}x{horizontal}; the engine's limit is {limit}: "
                "choose a smaller one"
            )
