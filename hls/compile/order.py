"""The order of channels in maps that are joined and then cut another way, as a channel shuffle does.

A layer that reads some channels of a concatenation takes all tiles from the first that holds one to the last.
So the operands on both sides of a joint have those channels next to it.
"""

from bitlathe.model.graph.aliases import channels_of
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Concat, Node


def apart(graph: Graph, tensor: str) -> tuple[frozenset[int], bool]:
    """Channels of a tensor that are best beside each other, and whether at its end; none if it is not joined.

    They are those that a layer takes of the concatenation that alone reads it.
    """
    readers = [node for node in graph.needed if tensor in node.sources]
    join = readers[0] if len(readers) == 1 else None
    if not isinstance(join, Concat) or join.operands.count(tensor) > 1:
        return frozenset(), False
    first = 0
    for operand in join.operands:
        if operand == tensor:
            break
        first += graph.shapes[operand][0]
    taken = _taken(graph, join)
    own = range(first, first + graph.shapes[tensor][0])
    return frozenset(channel - first for channel in taken if channel in own), tensor == join.operands[0]


def _taken(graph: Graph, join: Concat) -> frozenset[int]:
    """Channels of a concatenation that a selection takes, if no other of its readers computes."""
    readers = [node for node in graph.needed if join.name in node.sources]
    chosen = [channels_of(graph, node) for node in readers if _is_computed_with(graph, node)]
    return frozenset(chosen[0] or ()) if len(chosen) == 1 else frozenset()


def _is_computed_with(graph: Graph, selection: Node) -> bool:
    readers = [node for node in graph.needed if selection.name in node.sources]
    return not readers or any(not isinstance(reader, Concat) for reader in readers)
