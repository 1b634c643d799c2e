"""Proof that no accumulator of a graph can leave int32, for any input codes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bitlathe.model.graph.bounds import CodeRange, SumRange, accumulator_range, code_ranges, product_codes
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.elementwise import Product
from bitlathe.model.graph.errors import OverflowRisk, together
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Range that the accumulator of one output channel cannot leave, whatever the order of addition."""

    layer: str
    channel: int
    lowest: int
    highest: int

    @property
    def max_abs(self) -> int:
        """Largest magnitude."""
        return max(-self.lowest, self.highest)

    @property
    def bits(self) -> int:
        """Width of a two's complement accumulator that holds the range.

        >>> Bound(layer="conv", channel=0, lowest=-128, highest=127).bits
        8
        """
        return max((-self.lowest - 1).bit_length(), self.highest.bit_length()) + 1


def prove(graph: Graph) -> tuple[Bound, ...]:
    """Bounds of all accumulators, by node, part and channel; OverflowRisk names layers beyond int32.

    sum(|w|) * max|x| + |bias| + (max|residual| << shift) + 2**(n-1) < 2**31 with the clamps of the
    sources as max|x|, and positive and negative terms summed apart.
    """
    ranges = code_ranges(graph)
    bounds: list[Bound] = []
    for node in graph.nodes:
        for sums in sum_ranges(graph, node, ranges):
            pairs = zip(sums.lowest.tolist(), sums.highest.tolist(), strict=True)
            bounds += [
                Bound(layer=node.name, channel=c, lowest=low, highest=high)
                for c, (low, high) in enumerate(pairs)
            ]
    over = [bound for bound in bounds if bound.max_abs >= INT32_EXACT]
    first = {bound.layer: bound for bound in reversed(over)}
    if over:
        raise together([_overflow(bound) for bound in over if bound is first[bound.layer]], graph.name)
    return tuple(bounds)


def sum_ranges(graph: Graph, node: Node, ranges: dict[str, CodeRange]) -> Iterator[SumRange]:
    """Ranges of a node's accumulators, part by part; a product has one for all its channels."""
    for part in graph.parts(node):
        if isinstance(part.node, Conv2d):
            yield accumulator_range(graph, part.node, ranges)
    if isinstance(node, Product):
        codes = product_codes(graph, node, ranges)
        yield SumRange(lowest=np.array([codes.lo]), highest=np.array([codes.hi]))


def check(graph: Graph) -> None:
    """Raise OverflowRisk unless `prove` succeeds; all code that lowers a graph to hardware calls this first.

    The file loader does not: a graph that overflows is still a graph, and `reference` evaluates it.
    """
    prove(graph)


def _overflow(bound: Bound) -> OverflowRisk:
    return OverflowRisk(
        f"{bound.layer}: the accumulator of channel {bound.channel} may reach {bound.max_abs}, int32 has "
        f"{INT32_EXACT - 1}; use fewer bits for weights or activations, or a smaller residual shift"
    )
