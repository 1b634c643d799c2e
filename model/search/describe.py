"""What an integer graph says of a network's layers."""

from __future__ import annotations

from collections.abc import Iterator

from bitlathe.model.graph.account import selects
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense


def layer_widths(graph: Graph) -> dict[str, int]:
    """Output channels of each layer that computes."""
    return {node.name: len(node.weight) for node in _computing(graph)}


def layer_bits(graph: Graph) -> dict[str, tuple[int, int]]:
    """Bits of the weights and of the output of each layer that computes."""
    return {node.name: (node.weight_bits, node.format.bits) for node in _computing(graph)}


def _computing(graph: Graph) -> Iterator[Conv2d | Dense]:
    return (node for node in graph.nodes if isinstance(node, Conv2d | Dense) and not selects(node))
