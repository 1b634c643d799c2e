"""How the reference computes nodes that are no windows: transposed convolution, resampling, tables, products.

By their definitions, not by `parts`, which it checks. Arrays are int64 sums and codes (N, H, W, C).
"""

from collections.abc import Callable
from itertools import product

import numpy as np

from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import IntArray, requantize_in_place
from bitlathe.model.graph.graph import Graph, product_shift
from bitlathe.model.graph.nodes import Node, average_multiplier
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Tap,
    Upsample2d,
    interpolation_taps,
)

Kernel = Callable[[tuple[IntArray, ...]], IntArray]  # sources (N, H, W, C) -> output (N, H, W, C)


def kernel_of(graph: Graph, node: Node) -> Kernel:
    """Function from the sources' codes to the node's; the identity for the input."""
    if isinstance(node, ConvTranspose2d):
        return lambda sources: _transposed(graph, node, sources[0])
    if isinstance(node, Upsample2d):
        return lambda sources: sources[0].repeat(node.factors[0], axis=1).repeat(node.factors[1], axis=2)
    if isinstance(node, PixelShuffle2d):
        return lambda sources: _shuffled(node.factor, sources[0])
    if isinstance(node, PixelUnshuffle2d):
        return lambda sources: _unshuffled(node.factor, sources[0])
    if isinstance(node, IntervalPool2d):
        return lambda sources: _pooled(graph, node, sources[0])
    if isinstance(node, Interpolate2d):
        return lambda sources: _interpolated(graph, node, sources[0])
    if isinstance(node, Product):
        return lambda sources: _product(graph, node, *sources)
    if isinstance(node, Lookup):
        table, first = np.array(node.codes, np.int32), graph.format_of(node.source).lo
        return lambda sources: table[sources[0] - first]
    return lambda sources: sources[0]


def _transposed(graph: Graph, node: ConvTranspose2d, codes: IntArray) -> IntArray:
    """Every code's products are added where its taps are; padding is cut off at the end."""
    count, height, width, _ = codes.shape
    _, rows, columns = graph.shapes[node.name]
    (stride_h, stride_w), (top, left) = node.stride, node.padding
    reach = ((height - 1) * stride_h + node.kernel_size[0], (width - 1) * stride_w + node.kernel_size[1])
    sums = np.zeros(
        (count, max(reach[0], top + rows), max(reach[1], left + columns), node.out_channels), np.int64
    )
    kernels = np.split(node.weight.astype(np.int64), node.groups)
    for row, column in np.ndindex(*node.kernel_size):
        parts = [
            group @ kernel[:, :, row, column].T
            for group, kernel in zip(
                np.split(codes.astype(np.int64), node.groups, axis=-1), kernels, strict=True
            )
        ]
        places = (
            slice(row, row + (height - 1) * stride_h + 1, stride_h),
            slice(column, column + (width - 1) * stride_w + 1, stride_w),
        )
        sums[:, places[0], places[1]] += np.concatenate(parts, axis=-1)
    kept = sums[:, top : top + rows, left : left + columns] + node.bias.astype(np.int64)
    base = graph.format_of(node.source).frac - node.format.frac
    return _rounded(kept, np.add(node.weight_frac, base), node)


def _rounded(
    sums: Int64s,
    shift: IntArray | int,
    node: ConvTranspose2d | IntervalPool2d | Interpolate2d | Product,
) -> IntArray:
    clamped = node if isinstance(node, ConvTranspose2d | Product) else node.format
    return requantize_in_place(sums, shift, clamped.lo, clamped.hi, node.rounding).astype(np.int32)


def _shuffled(factor: int, codes: IntArray) -> IntArray:
    count, height, width, channels = codes.shape
    blocks = codes.reshape(count, height, width, channels // factor**2, factor, factor)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(count, height * factor, width * factor, -1)


def _unshuffled(factor: int, codes: IntArray) -> IntArray:
    count, height, width, channels = codes.shape
    blocks = codes.reshape(count, height // factor, factor, width // factor, factor, channels)
    return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(count, height // factor, width // factor, -1)


def _pooled(graph: Graph, node: IntervalPool2d, codes: IntArray) -> IntArray:
    pooled = np.empty((len(codes), len(node.rows), len(node.columns), codes.shape[3]), np.int32)
    base = graph.format_of(node.source).frac - node.format.frac
    for (i, rows), (j, columns) in product(enumerate(node.rows), enumerate(node.columns)):
        window = codes[:, rows.first : rows.end, columns.first : columns.end]
        if node.is_max:
            pooled[:, i, j] = window.max(axis=(1, 2))
        else:
            multiplier, frac = average_multiplier(rows.counted * columns.counted)
            sums = window.sum(axis=(1, 2), dtype=np.int64) * multiplier
            pooled[:, i, j] = _rounded(sums, base + frac, node)
    return pooled


def _interpolated(graph: Graph, node: Interpolate2d, codes: IntArray) -> IntArray:
    sums = codes.astype(np.int64)
    for axis, (size, factor) in enumerate(zip(codes.shape[1:3], node.factors, strict=True), start=1):
        taps = interpolation_taps(size, factor, node.align_corners)
        sums = np.stack([_weighted(sums, each, axis) for each in taps], axis=axis)
    shift = graph.format_of(node.source).frac + node.weight_frac - node.format.frac
    return _rounded(sums, shift, node)


def _weighted(codes: Int64s, taps: tuple[Tap, ...], axis: int) -> Int64s:
    total = np.zeros((), np.int64)
    for tap in taps:
        total = total + tap.weight * codes.take(tap.place, axis=axis)
    return np.asarray(total)


def _product(graph: Graph, node: Product, codes: IntArray, factor: IntArray) -> IntArray:
    return _rounded(codes.astype(np.int64) * factor, product_shift(graph, node), node)
