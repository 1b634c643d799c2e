"""Which tensors lie packed: 4-bit codes two to a byte, which a dense convolution takes at twice the rate."""

from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.datapath import PACKED_BITS
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, Node


def packed_tensors(
    graph: Graph, nodes: tuple[Node, ...], configuration: EngineConfiguration
) -> frozenset[str]:
    """Tensors of at most 4 bits whose readers all take them packed; never the graph's ends."""
    if configuration.pp < 2 or configuration.sub_tiles not in (1, 2, 4):
        return frozenset()
    inner = [node for node in nodes if node.name not in (graph.input.name, graph.output)]
    return frozenset(node.name for node in inner if _is_packable(graph, node, nodes))


def _is_packable(graph: Graph, node: Node, nodes: tuple[Node, ...]) -> bool:
    readers = [reader for reader in nodes if node.name in reader.sources]
    if not isinstance(node, Conv2d | Dense | AvgPool2d) or node.format.bits > PACKED_BITS:
        return False
    return all(_takes_packed(graph, reader, node.name) for reader in readers)


def _takes_packed(graph: Graph, reader: Node, tensor: str) -> bool:
    if not isinstance(reader, Conv2d | Dense):
        return False
    conv = graph.convolution(reader)
    return not conv.is_depthwise and (conv.source != tensor or conv.weight_bits <= PACKED_BITS)
