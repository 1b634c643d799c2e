"""What is made of a tensor at once, by the layers that make it: tables of codes, a pixel shuffle.

It must be the tensor's only reader, and the tensor no output; then nothing is written in between.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bitlathe.hls.compile.network import Parameters, Placement, Window
from bitlathe.model.graph.elementwise import Lookup
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Node
from bitlathe.model.graph.resampling import PixelShuffle2d


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The tensor that layers write, and what they do to their codes on the way."""

    name: str
    format: FixedPoint
    table: bytes | None = None
    factor: int = 1  # of a pixel shuffle
    nodes: tuple[str, ...] = ()  # that are done with it

    def preceded_by(self, table: bytes) -> "Behind":
        """The same behind codes of a table."""
        return replace(self, table=table if self.table is None else _composed(table, self.table))

    def placed(self, windows: tuple[Window, ...]) -> Iterator[Window]:
        """Windows, each shared out to the pixels of a block where a shuffle follows."""
        if self.factor == 1:
            yield from windows
            return
        for row, column in np.ndindex(self.factor, self.factor):
            taken: dict[int, Parameters] = {}  # windows that share their integers still do
            for window in windows:
                parameters = window.parameters
                assert parameters is not None
                if id(parameters) not in taken:
                    taken[id(parameters)] = _every(parameters, row * self.factor + column, self.factor**2)
                yield replace(
                    window,
                    parameters=taken[id(parameters)],
                    placed=_shuffled(window.placed, (row, column), self.factor),
                )


def _every(parameters: Parameters, first: int, step: int) -> Parameters:
    """Every so manyth output channel."""
    kept = slice(first, None, step)
    return replace(
        parameters,
        weight=parameters.weight[kept],
        bias=parameters.bias[kept],
        shifts=parameters.shifts[kept],
        residual_shifts=parameters.residual_shifts[kept],
    )


def _shuffled(placed: Placement, phase: tuple[int, int], factor: int) -> Placement:
    return replace(
        placed,
        origin=(placed.origin[0] * factor + phase[0], placed.origin[1] * factor + phase[1]),
        step=(placed.step[0] * factor, placed.step[1] * factor),
    )


def behind(graph: Graph, node: Node, takes: Callable[[PixelShuffle2d], bool]) -> Behind:
    """What is made of a node's codes at once: any tables, and a shuffle that it `takes`."""
    found = Behind(name=node.name, format=node.format)
    while (reader := _only_reader(graph, found.name)) is not None:
        if isinstance(reader, Lookup):
            table = table_of(graph, reader)
            found = replace(found, table=table if found.table is None else _composed(found.table, table))
        elif isinstance(reader, PixelShuffle2d) and found.factor == 1 and takes(reader):
            found = replace(found, factor=reader.factor)
        else:
            break
        found = replace(found, name=reader.name, format=reader.format, nodes=(*found.nodes, reader.name))
    return found


def _only_reader(graph: Graph, tensor: str) -> Node | None:
    readers = [node for node in graph.needed if tensor in node.sources]
    is_lone = len(readers) == 1 and readers[0].sources.count(tensor) == 1
    return readers[0] if is_lone and tensor not in graph.output_tensors else None


def table_of(graph: Graph, node: Lookup) -> bytes:
    """The codes for each byte that a code of the source can be; zeros for the others."""
    source = graph.format_of(node.source)
    table = np.zeros(256, np.uint8)
    table[np.arange(source.lo, source.hi + 1) % 256] = np.array(node.codes) % 256
    return table.tobytes()


def _composed(first: bytes, second: bytes) -> bytes:
    return bytes(second[code] for code in first)
