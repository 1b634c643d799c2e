"""Size of a network: parameters, multiply-accumulates, bytes of its compact file."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bitlathe.model.graph import graph as integer_graph
from bitlathe.model.graph.files.compact import encode_compact, encoded_arrays
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense, Node

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Size of an integer network; a layer that only selects channels counts only with its bytes."""

    parameters: int  # weights and biases, whatever their value
    nonzero: int  # those that are not 0
    macs: int  # multiply-accumulates of one image, zeros included: a dense engine computes them
    file_bytes: int  # of the compact file: weights, masks, codebooks, indices, biases, fracs, all
    parts: Mapping[str, int]  # `file_bytes` by kind of content

    @classmethod
    def of(cls, graph: Graph) -> "Account":
        """Account of a graph."""
        arrays = [array for node in _computing(graph) for array in (node.weight, node.bias)]
        total = len(encode_compact(graph))
        parts = _parts(graph)
        return cls(
            parameters=sum(array.size for array in arrays),
            nonzero=sum(int(np.count_nonzero(array)) for array in arrays),
            macs=sum(macs_by_layer(graph).values()),
            file_bytes=total,
            parts={**parts, "structure and formats": total - sum(parts.values())},
        )

    @property
    def float_bytes(self) -> int:
        """Bytes of the parameters as float32, zeros included."""
        return FLOAT_BYTES * self.parameters


def layer_widths(graph: Graph) -> dict[str, int]:
    """Output channels of each layer with multiply-accumulates."""
    return {node.name: len(node.weight) for node in _computing(graph)}


def layer_bits(graph: Graph) -> dict[str, tuple[int, int]]:
    """Bits of the weights and of the output of each layer with multiply-accumulates."""
    return {node.name: (node.weight_bits, node.format.bits) for node in _computing(graph)}


def _computing(graph: Graph) -> Iterator[Conv2d | Dense]:
    return (node for node in graph.nodes if isinstance(node, Conv2d | Dense) and not selects(node))


def selects(node: Node) -> bool:
    """Whether every output channel of a layer has at most one nonzero weight.

    Such a layer selects or scales channels: a shortcut that is free in the original network.
    """
    if not isinstance(node, Conv2d):
        return False
    return bool((np.count_nonzero(node.weight.reshape(len(node.weight), -1), axis=1) <= 1).all())


def useful_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of a node, 0 if it only selects channels."""
    return 0 if selects(node) else integer_graph.macs(graph, node)


def macs_by_layer(graph: Graph) -> dict[str, int]:
    """Useful multiply-accumulates of each node that the output needs; other nodes are not run."""
    return {node.name: useful_macs(graph, node) for node in graph.needed}


def _parts(graph: Graph) -> dict[str, int]:
    """Bytes of the arrays by field: `weight`, `bias`, `codebook.indices`, ..."""
    sizes: Counter[str] = Counter()
    for name, data in encoded_arrays(graph).items():
        sizes[name.split(".", 1)[1].removesuffix(".npy")] += len(data)
    return dict(sizes)
