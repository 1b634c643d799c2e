"""Exact sums of products of integer codes, on floating-point BLAS where a bound proves them exact.

A float holds every integer below 2**24 (float32) or 2**53 (float64), so a matrix product whose every
partial sum stays below that is an integer product, whatever the order of its additions. Arrays are
channels-last, (N, H, W, C), so that the columns of a window are runs of memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.bounds import CodeRange, product_range
from bitlathe.model.graph.errors import OverflowRisk
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.nodes import Conv2d, Pair, window_size

Products = Callable[
    [IntArray], IntArray
]  # codes (N, H, W, C) -> sums (N, out_height, out_width, out_channels)
Element = TypeVar("Element", bound=np.generic)
FloatArray = npt.NDArray[np.floating[Any]]
FloatType = type[np.float32] | type[np.float64]
IntType = type[np.int32] | type[np.int64]

FLOAT32_EXACT, FLOAT64_EXACT, INT32_EXACT = 1 << 24, 1 << 53, 1 << 31


def products_of(conv: Conv2d, codes: CodeRange, sum_type: IntType) -> Products:
    """Function from codes in the range `codes` to sum(x * w) of a convolution, as `sum_type`.

    Raises OverflowRisk if a sum could reach 2**53, beyond which floats are not exact.
    """
    window = Window(kernel_size=conv.kernel_size, stride=conv.stride, padding=conv.padding)
    if conv.is_depthwise:
        taps: IntArray = conv.weight[:, 0].transpose(1, 2, 0).astype(sum_type)
        return partial(_depthwise_products, taps=taps, window=window)
    rows = conv.weight.transpose(2, 3, 1, 0).reshape(-1, conv.out_channels)
    matrix: FloatArray = rows.astype(_float_type(conv, codes))
    return partial(_matrix_products, matrix=matrix, window=window, sum_type=sum_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that moves over zero-padded maps."""

    kernel_size: Pair
    stride: Pair
    padding: Pair

    def views(self, x: IntArray, value: int, dtype: np.dtype[Element]) -> npt.NDArray[Element]:
        """Windows (N, out_height, out_width, kernel_height, kernel_width, C) over codes (N, H, W, C).

        They are views of a padded copy of type `dtype`, with `value` in the padding.
        """
        padded = self._pad(x, value, dtype)
        by_image, by_row, by_column, by_channel = padded.strides
        rows, columns = (
            window_size(*axis, 0)
            for axis in zip(padded.shape[1:3], self.kernel_size, self.stride, strict=True)
        )
        return np.lib.stride_tricks.as_strided(
            padded,
            (x.shape[0], rows, columns, *self.kernel_size, x.shape[3]),
            (by_image, by_row * self.stride[0], by_column * self.stride[1], by_row, by_column, by_channel),
            writeable=False,
        )

    def _pad(self, x: IntArray, value: int, dtype: np.dtype[Element]) -> npt.NDArray[Element]:
        count, height, width, channels = x.shape
        top, left = self.padding
        padded = np.empty((count, height + 2 * top, width + 2 * left, channels), dtype=dtype)
        if self.padding != (0, 0):
            padded.fill(value)
        padded[:, top : top + height, left : left + width] = x
        return padded


def _float_type(conv: Conv2d, codes: CodeRange) -> FloatType:
    bound = product_range(conv.weight, codes).max_abs
    if bound >= FLOAT64_EXACT:
        raise OverflowRisk(
            f"{conv.name}: sums may reach {bound}, beyond the exact 2**53; narrow weights or activations"
        )
    return np.float32 if bound < FLOAT32_EXACT else np.float64


def _matrix_products(x: IntArray, *, matrix: FloatArray, window: Window, sum_type: IntType) -> IntArray:
    taken = window.views(x, 0, matrix.dtype)
    sums = taken.reshape(-1, matrix.shape[0]) @ matrix
    exact: IntArray = sums.astype(sum_type)
    return exact.reshape(*taken.shape[:3], -1)


def _depthwise_products(x: IntArray, *, taps: IntArray, window: Window) -> IntArray:
    taken = window.views(x, 0, taps.dtype)
    sums = np.zeros((*taken.shape[:3], taken.shape[5]), dtype=taps.dtype)
    product = np.empty_like(sums)
    for row, column in np.ndindex(window.kernel_size):
        sums += np.multiply(taken[:, :, :, row, column], taps[row, column], out=product)
    return sums
