"""Weights as kernels.cpp reads them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Int32s
from bitlathe.model.graph.nodes import Conv2d, IntWeights

Int16s = npt.NDArray[np.int16]

BLOCK = 16  # channels that are computed together


class Blocks(NamedTuple):
    """Weights of a convolution, by blocks of output channels."""

    weight: Int16s  # (blocks, kernel_height, kernel_width, pairs of input channels, 16, 2)
    first: Int32s  # input channel that each block's pairs begin with
    pairs: int


def rounded_up(channels: int) -> int:
    """Whole blocks for a number of channels."""
    return -(-channels // BLOCK) * BLOCK


def per_channel(values: Int32s) -> Int32s:
    """A value for each channel and 0 for those that fill the last block."""
    return np.pad(values, (0, rounded_up(len(values)) - len(values)))


def taps(conv: Conv2d, stride: int) -> Int16s:
    """Depthwise weights (kernel_height, kernel_width, stride)."""
    kernels = conv.weight[:, 0].transpose(1, 2, 0).astype(np.int16)
    return np.pad(kernels, ((0, 0), (0, 0), (0, stride - kernels.shape[2])))


def blocks(weight: IntWeights, groups: int = 1) -> Blocks:
    """Weights (out_channels, in_channels / groups, height, width) of the pairs that each block reads.

    Every block has as many pairs as the one of the widest range of channels needs: few where channels are
    grouped or selected.
    """
    weight = weight.astype(np.int16)
    out_channels, inside, *kernel = weight.shape
    even = inside * groups + inside * groups % 2
    group = np.arange(out_channels) // (out_channels // groups)
    channels = group[:, None] * inside + np.arange(inside)  # that each weight meets
    is_read = weight.any(axis=(2, 3))
    first = _by_block(np.where(is_read, channels, even).min(axis=1), even).min(axis=1)
    last = _by_block(np.where(is_read, channels, -1).max(axis=1), -1).max(axis=1)
    pairs = max(1, int((last - first).max()) // 2 + 1)
    first = np.minimum(first, even - 2 * pairs)
    outputs, inputs = is_read.nonzero()
    packed = np.zeros((rounded_up(out_channels), 2 * pairs, *kernel), np.int16)
    packed[outputs, channels[outputs, inputs] - first[outputs // BLOCK]] = weight[outputs, inputs]
    by_pair = packed.reshape(-1, BLOCK, pairs, 2, *kernel).transpose(0, 4, 5, 2, 1, 3)
    return Blocks(by_pair, first.astype(np.int32), pairs)


def _by_block(values: npt.NDArray[np.int64], filler: int) -> npt.NDArray[np.int64]:
    filled = np.pad(values, (0, rounded_up(len(values)) - len(values)), constant_values=filler)
    return filled.reshape(-1, BLOCK)
