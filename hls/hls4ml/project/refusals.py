"""Refuses by name, beforehand, what hls4ml cannot compute exactly or would silently compute wrongly."""

from bitlathe.hls.hls4ml.project.ap_fixed import clamping
from bitlathe.model.graph.elementwise import Product
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node
from bitlathe.model.graph.resampling import Upsample2d

SUPPORTED = (Input, Conv2d, Dense, MaxPool2d, AvgPool2d, Concat, Upsample2d, Product)
MOST_READERS = 7  # of one stream: hls4ml's clone layer has at most as many outputs


def check_node(graph: Graph, node: Node) -> None:
    """Raise UnsupportedLayer, with the reason, where hls4ml has no exact form of a node."""
    if not isinstance(node, SUPPORTED):
        raise UnsupportedLayer(
            f"{node.name}: hls4ml projects have no {type(node).__name__}; "
            "rewrite it as a convolution or a pool, or use the engine"
        )
    if isinstance(node, MaxPool2d):
        _check_max_pool(node)
    if isinstance(node, Conv2d):
        _check_window(node)
    if isinstance(node, Conv2d | Dense):
        _check_clamp(node)
    if isinstance(node, Product):
        _check_product(node)
    if isinstance(node, Concat):
        _check_concat(node)
    _check_readers(graph, node)


def check_graph(graph: Graph) -> None:
    """Raise UnsupportedLayer where the graph as a whole has no project."""
    if len(graph.outputs) > 1:
        names = ", ".join(output.name for output in graph.outputs)
        raise UnsupportedLayer(
            f"{graph.name}: has outputs {names}, an hls4ml project here has one: use the engine, or let the "
            "network return one of them"
        )
    if graph.only_output == graph.input.name:
        raise UnsupportedLayer(f"{graph.name}: its output is its input; there is nothing to build")


def _check_max_pool(pool: MaxPool2d) -> None:
    if any(step > 1 and taps > 1 for step, taps in zip(pool.dilation, pool.kernel_size, strict=True)):
        raise UnsupportedLayer(
            f"{pool.name}: dilation {_by(pool.dilation)}; hls4ml pools pixels side by side: "
            "choose dilation 1, or use the engine"
        )
    if pool.kernel_size != pool.stride:
        raise UnsupportedLayer(
            f"{pool.name}: a {_by(pool.kernel_size)} max pool of stride {_by(pool.stride)}; hls4ml's stream "
            "pooling needs stride = window (its C simulation aborts otherwise): change it, or use the engine"
        )
    edges = pool.windows
    padding = pool.padding if edges.padding != (0, 0) else edges.end_padding
    if padding != (0, 0):
        raise UnsupportedLayer(
            f"{pool.name}: a max pool with padding {_by(padding)}; hls4ml's stream pooling takes none "
            "(its C simulation aborts otherwise): change the pool, or use the engine"
        )


def _check_window(conv: Conv2d) -> None:
    edges = (*conv.windows.padding, *conv.windows.end_padding)
    if min(edges) < 0:
        raise UnsupportedLayer(
            f"{conv.name}: leaves out {-min(edges)} rows or columns at an edge of {conv.source}; hls4ml's "
            "convolutions read whole maps: pad instead, or use the engine"
        )


def _check_product(node: Product) -> None:
    _check_clamp(node)
    if node.source == node.factor:
        raise _read_twice(node)


def _check_clamp(node: Conv2d | Dense | Product) -> None:
    is_type = clamping(node.lo, node.hi, node.format.frac, node.rounding) is not None
    if not is_type and (isinstance(node, Dense | Product) or node.lo != 0 or node.hi < 1):
        raise UnsupportedLayer(
            f"{node.name}: a clamp to [{node.lo}, {node.hi}]; ap_fixed saturates to 2**n - 1 above and to 0, "
            "-2**n or 1 - 2**n below: use the full range of codes, or the engine"
        )
    if not is_type and node.rounding is RoundingMode.HALF_EVEN and node.hi % 2 == 0:
        raise UnsupportedLayer(
            f"{node.name}: halves to even and a clamp at {node.hi}; hls4ml would clamp codes raised by an "
            "odd number, whose halves round to odd ones: use the full range of codes, or the engine"
        )


def _check_concat(node: Concat) -> None:
    if len(node.operands) < 2:
        raise UnsupportedLayer(f"{node.name}: a concatenation of one tensor; read the tensor itself")
    if len(set(node.operands)) != len(node.operands):
        raise _read_twice(node)


def _read_twice(node: Node) -> UnsupportedLayer:
    return UnsupportedLayer(
        f"{node.name}: reads a tensor twice; hls4ml connects a stream to one port of a layer: use the engine"
    )


def _check_readers(graph: Graph, node: Node) -> None:
    readers = sum(other.sources.count(node.name) for other in graph.needed) + (graph.output == node.name)
    if readers > MOST_READERS:
        raise UnsupportedLayer(
            f"{node.name}: {readers} layers read it; hls4ml copies a stream at most {MOST_READERS} times: "
            "use the engine"
        )


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"
