"""Winograd's F(4x4, 3x3) in integers: weights of winograd.hpp, and when they give exact sums."""

from __future__ import annotations

import numpy as np

from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import CodeRange, product_range
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.nodes import Conv2d, IntWeights, Pair

LEAST_CHANNELS = 12  # with fewer, transforming a tile's codes takes as long as their products save
LEAST_SIDE = 4  # of a map; whole tiles cover a smaller one
_G = np.array([[6, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 6]])  # rows scaled to integers
_GROWTH = 10 * 10  # of a code, by the largest sum of magnitudes in a row of Bt, on both axes
_PLACES = 3 + 3  # to which sums are shifted to the left, at most


def pays(conv: Conv2d, size: Pair) -> bool:
    """Whether a convolution with an output map of `size` is one that gets faster by tiles of 4x4 outputs."""
    is_plain = (conv.kernel_size, conv.stride, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
    return is_plain and conv.weight.shape[1] >= LEAST_CHANNELS and min(size) >= LEAST_SIDE


def is_exact(conv: Conv2d, codes: CodeRange) -> bool:
    """Whether int16 holds transformed source codes (in `codes`) and weights, and int32 each shifted sum."""
    limit = np.iinfo(np.int16).max
    codes_fit = _GROWTH * max(codes.hi, -codes.lo) <= limit
    weights_fit = np.abs(transformed(conv.weight)).max() <= limit
    sums_fit = product_range(conv.weight, codes).max_abs << _PLACES < INT32_EXACT
    return bool(codes_fit and weights_fit and sums_fit)


def transformed(weight: IntWeights) -> Int64s:
    """G g Gt, (out_channels, in_channels, 6, 6), of 3x3 weights g."""
    made: Int64s = _G @ weight.astype(np.int64) @ _G.T
    return made
