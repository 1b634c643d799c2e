"""Ranges of codes and of accumulators, from the weights and clamps of a graph.

Every range of codes is widened to include 0, so a bound holds for each partial sum, whatever the order of
additions, and for windows that overlap the zero padding.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import rounding_constant
from bitlathe.model.graph.graph import Graph, is_copy, product_shift, residual_shifts, shifts
from bitlathe.model.graph.nodes import Conv2d, Dense, IntWeights, Node
from bitlathe.model.graph.resampling import ConvTranspose2d


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """Codes a tensor can hold, lo <= 0 <= hi."""

    lo: int
    hi: int

    def union(self, other: "CodeRange") -> "CodeRange":
        """Smallest range that holds both."""
        return CodeRange(lo=min(self.lo, other.lo), hi=max(self.hi, other.hi))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SumRange:
    """Smallest and largest sum of each output channel."""

    lowest: Int64s  # (out_channels,), <= 0
    highest: Int64s  # (out_channels,), >= 0

    @property
    def max_abs(self) -> int:
        """Largest magnitude of any channel."""
        return int(max(self.highest.max(), -self.lowest.min()))


def code_ranges(graph: Graph) -> dict[str, CodeRange]:
    """Range of codes of each tensor: what its clamp, or else its format, lets through."""
    ranges: dict[str, CodeRange] = {}
    for node in graph.nodes:
        ranges[node.name] = _code_range(graph, node, tuple(ranges[source] for source in node.sources))
    return ranges


def product_range(weight: IntWeights, codes: CodeRange) -> SumRange:
    """Range of sum(x * w) of each output channel of `weight` (out_channels, ...) for x in `codes`."""
    rows = weight.reshape(weight.shape[0], -1).astype(np.int64)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    return SumRange(
        lowest=positive * codes.lo + negative * codes.hi,
        highest=positive * codes.hi + negative * codes.lo,
    )


def accumulator_range(graph: Graph, conv: Conv2d, ranges: dict[str, CodeRange]) -> SumRange:
    """Range of bias + sum(x * w) + (residual << shift) + rounding constant of each output channel."""
    products = product_range(conv.weight, ranges[conv.source])
    bias = conv.bias.astype(np.int64)
    residual = _residual_range(graph, conv, ranges)
    half = rounding_constant(np.array(shifts(graph, conv)))
    return SumRange(
        lowest=products.lowest + np.minimum(bias, 0) + residual.lowest,
        highest=products.highest + np.maximum(bias, 0) + residual.highest + half,
    )


def product_codes(graph: Graph, node: Product, ranges: dict[str, CodeRange]) -> CodeRange:
    """Range of x * f + rounding constant of a product."""
    x, factor = ranges[node.source], ranges[node.factor]
    ends = [a * b for a in (x.lo, x.hi) for b in (factor.lo, factor.hi)]
    half = int(rounding_constant(product_shift(graph, node)))
    return CodeRange(lo=min(ends), hi=max(ends) + half)


def _code_range(graph: Graph, node: Node, sources: tuple[CodeRange, ...]) -> CodeRange:
    if is_copy(node):
        return reduce(CodeRange.union, sources)
    if isinstance(node, Lookup):
        first = graph.format_of(node.source).lo
        taken = node.codes[sources[0].lo - first : sources[0].hi - first + 1]
        return CodeRange(lo=min(0, *taken), hi=max(0, *taken))
    limits = node if isinstance(node, Conv2d | Dense | ConvTranspose2d | Product) else node.format
    return CodeRange(lo=min(limits.lo, 0), hi=max(limits.hi, 0))


def _residual_range(graph: Graph, conv: Conv2d, ranges: dict[str, CodeRange]) -> SumRange:
    if conv.residual is None:
        nothing = np.zeros(conv.out_channels, dtype=np.int64)
        return SumRange(lowest=nothing, highest=nothing)
    places = np.array(residual_shifts(graph, conv), dtype=np.int64)
    codes = ranges[conv.residual]
    return SumRange(lowest=np.left_shift(codes.lo, places), highest=np.left_shift(codes.hi, places))
