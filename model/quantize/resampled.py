"""Nodes that move or weigh pixels by their places, in PyTorch: of values or codes alike, with gradients."""

from __future__ import annotations

from functools import lru_cache
from math import ldexp

import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.capture.float_forward import surrounded, transposed_convolution
from bitlathe.model.graph.nodes import Conv2d, MaxPool2d, Pair, average_multiplier
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
    interpolation_frac,
    interpolation_taps,
)

MovingNode = Upsample2d | PixelShuffle2d | PixelUnshuffle2d


def sums_of_products(
    conv: Conv2d | ConvTranspose2d, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """bias + sum(x * w) of a convolution, of either direction, with any weights of its shape."""
    if isinstance(conv, ConvTranspose2d):
        return transposed_convolution(x, weight, bias, conv)
    x, padding = surrounded(x, conv.windows, 0.0)
    return functional.conv2d(x, weight, bias, conv.stride, padding, conv.dilation, conv.groups)


def padded(x: Tensor, begin: Pair, end: Pair, value: float) -> Tensor:
    """Maps (N, C, H, W) with a border of `value`; a negative one takes rows or columns away."""
    if begin == end == (0, 0):
        return x
    return functional.pad(x, (begin[1], end[1], begin[0], end[0]), value=value)


def maximum(node: MaxPool2d, x: Tensor, lowest: float) -> Tensor:
    """Maxima over windows; padding holds `lowest`."""
    windows = node.windows
    x = padded(x, windows.padding, windows.end_padding, lowest)
    return functional.max_pool2d(x, windows.kernel_size, windows.stride, 0, windows.dilation)


def moved(node: MovingNode, x: Tensor) -> Tensor:
    """Each pixel at its new places."""
    if isinstance(node, PixelShuffle2d):
        return functional.pixel_shuffle(x, node.factor)
    if isinstance(node, PixelUnshuffle2d):
        return functional.pixel_unshuffle(x, node.factor)
    return x.repeat_interleave(node.factors[0], 2).repeat_interleave(node.factors[1], 3)


def largest_of_intervals(node: IntervalPool2d, x: Tensor) -> Tensor:
    """The maximum of each window."""
    for axis, intervals in ((2, node.rows), (3, node.columns)):
        x = torch.stack([_taken(x, axis, each).amax(axis) for each in intervals], axis)
    return x


def averages_of_intervals(node: IntervalPool2d, x: Tensor, shares: Tensor) -> Tensor:
    """The sum of each window times its share (rows, columns)."""
    for axis, intervals in ((2, node.rows), (3, node.columns)):
        x = torch.stack([_taken(x, axis, each).sum(axis) for each in intervals], axis)
    return x * shares.to(device=x.device, dtype=x.dtype)


def _taken(x: Tensor, axis: int, interval: Interval) -> Tensor:
    return x.narrow(axis, interval.first, interval.end - interval.first)


def shares_of_intervals(node: IntervalPool2d, *, exact: bool = False) -> Tensor:
    """What each window's sum is multiplied by (rows, columns) float64: m * 2**-s, or 1 / area if `exact`."""
    areas = [[rows.counted * columns.counted for columns in node.columns] for rows in node.rows]
    shares = [[1 / area if exact else ldexp(*_negated(area)) for area in row] for row in areas]
    return torch.tensor(shares, dtype=torch.float64)


def _negated(area: int) -> tuple[int, int]:
    multiplier, frac = average_multiplier(area)
    return multiplier, -frac


def interpolated(node: Interpolate2d, x: Tensor) -> Tensor:
    """Sums of taps, each times its weight."""
    for axis, factor in ((2, node.factors[0]), (3, node.factors[1])):
        if factor > 1:
            places, weights = _taps(x.shape[axis], factor, node.align_corners)
            shape = (-1, 1) if axis == 2 else (-1,)
            parts = [
                x.index_select(axis, place.to(x.device)) * weight.to(x.device, x.dtype).view(shape)
                for place, weight in zip(places, weights, strict=True)
            ]
            x = parts[0] + parts[1]
    return x


@lru_cache(maxsize=64)
def _taps(size: int, factor: int, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Places and weights (2, size * factor) of the two taps of each output row; one may weigh nothing."""
    pairs = [(each[0], each[-1]) for each in interpolation_taps(size, factor, align_corners)]
    one = ldexp(1.0, -interpolation_frac(factor, align_corners))
    weights = [(one * first.weight, one * second.weight * (first != second)) for first, second in pairs]
    places = [(first.place, second.place) for first, second in pairs]
    return torch.tensor(places).T.contiguous(), torch.tensor(weights, dtype=torch.float64).T.contiguous()
