"""Limits of the engine's fields and 8-bit lanes, checked before anything is laid out."""

from bitlathe.hls.datapath import LANE_BITS
from bitlathe.model.graph import proof
from bitlathe.model.graph.errors import CapacityError, UnsupportedLayer
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Pair

LARGEST_MAP = 2047  # rows or columns, padding included: signed 12-bit coordinates
LARGEST_KERNEL = 255
LARGEST_STRIDE = 15
SUPPORTED = (Input, Conv2d, Dense, MaxPool2d, AvgPool2d, Concat)


def check_graph(graph: Graph) -> None:
    """Raise UnsupportedLayer, CapacityError or OverflowRisk, naming the node that the engine cannot hold."""
    proof.check(graph)
    for node in graph.nodes:
        _check_class(node)
        _check_bits(node)
        _check_map(graph, node)
        if isinstance(node, Conv2d | Dense | AvgPool2d):
            _check_convolution(graph, graph.convolution(node))
        if isinstance(node, MaxPool2d):
            _check_window(node.name, node.kernel_size, effective_stride(graph, node))


def _check_class(node: Node) -> None:
    if not isinstance(node, SUPPORTED):
        raise UnsupportedLayer(
            f"{node.name}: the engine has no {type(node).__name__}; rewrite it as a convolution or a pool"
        )


def _check_bits(node: Node) -> None:
    if node.format.bits > LANE_BITS:
        raise UnsupportedLayer(
            f"{node.name}: codes of {node.format.bits} bits; the engine's lanes hold {LANE_BITS}: "
            "quantize the layer to at most that"
        )


def _check_map(graph: Graph, node: Node) -> None:
    _, height, width = graph.shapes[node.name]
    if max(height, width) > LARGEST_MAP:
        raise CapacityError(
            f"{node.name}: a map of {height}x{width} pixels; the engine counts to {LARGEST_MAP} rows and "
            "columns: use smaller images"
        )


def _check_convolution(graph: Graph, conv: Conv2d) -> None:
    if conv.weight_bits > LANE_BITS:
        raise UnsupportedLayer(
            f"{conv.name}: weights of {conv.weight_bits} bits; the engine multiplies {LANE_BITS}: "
            "quantize the layer to at most that"
        )
    _check_window(conv.name, conv.kernel_size, effective_stride(graph, conv))


def effective_stride(graph: Graph, node: Conv2d | MaxPool2d) -> Pair:
    """Stride of a window, 1 along an axis that it takes a single place on."""
    _, height, width = graph.shapes[node.name]
    return node.stride[0] if height > 1 else 1, node.stride[1] if width > 1 else 1


def _check_window(name: str, kernel: Pair, stride: Pair) -> None:
    for what, (vertical, horizontal), limit in (
        ("kernel", kernel, LARGEST_KERNEL),
        ("stride", stride, LARGEST_STRIDE),
    ):
        if max(vertical, horizontal) > limit:
            raise CapacityError(
                f"{name}: a {what} of {vertical}x{horizontal}; the engine's limit is {limit}: "
                "choose a smaller one"
            )
