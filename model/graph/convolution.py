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
from bitlathe.model.graph.nodes import Conv2d, Windows

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
    window = Window(windows=conv.windows)
    if conv.is_depthwise:
        taps: IntArray = conv.weight[:, 0].transpose(1, 2, 0).astype(sum_type)
        return partial(_depthwise_products, taps=taps, window=window)
    kernels = np.split(conv.weight, conv.groups)
    float_type = _float_type(conv, codes)
    matrices: list[FloatArray] = [
        k.transpose(2, 3, 1, 0).reshape(-1, k.shape[0]).astype(float_type) for k in kernels
    ]
    return partial(_matrix_products, matrices=matrices, window=window, sum_type=sum_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that moves over padded maps."""

    windows: Windows

    def views(self, x: IntArray, value: int, dtype: np.dtype[Element]) -> npt.NDArray[Element]:
        """Windows (N, out_height, out_width, kernel_height, kernel_width, C) over codes (N, H, W, C).

        They are views of a padded copy of type `dtype`, with `value` in the padding.
        """
        windows = self.windows
        padded = self._pad(x, value, dtype)
        by_image, by_row, by_column, by_channel = padded.strides
        steps = (
            by_row * windows.stride[0],
            by_column * windows.stride[1],
            by_row * windows.dilation[0],
            by_column * windows.dilation[1],
        )
        return np.lib.stride_tricks.as_strided(
            padded,
            (x.shape[0], *windows.size("window", *x.shape[1:3]), *windows.kernel_size, x.shape[3]),
            (by_image, *steps, by_channel),
            writeable=False,
        )

    def _pad(self, x: IntArray, value: int, dtype: np.dtype[Element]) -> npt.NDArray[Element]:
        """Codes with padding; negative padding leaves out what it says."""
        (top, left), (bottom, right) = self.windows.padding, self.windows.end_padding
        kept = x[:, max(-top, 0) : x.shape[1] - max(-bottom, 0), max(-left, 0) : x.shape[2] - max(-right, 0)]
        count, height, width, channels = kept.shape
        top, left, bottom, right = (max(amount, 0) for amount in (top, left, bottom, right))
        padded = np.empty((count, height + top + bottom, width + left + right, channels), dtype=dtype)
        if any((top, left, bottom, right)):
            padded.fill(value)
        padded[:, top : top + height, left : left + width] = kept
        return padded


def _float_type(conv: Conv2d, codes: CodeRange) -> FloatType:
    bound = product_range(conv.weight, codes).max_abs
    if bound >= FLOAT64_EXACT:
        raise OverflowRisk(
            f"{conv.name}: sums may reach {bound}, beyond the exact 2**53; narrow weights or activations"
        )
    return np.float32 if bound < FLOAT32_EXACT else np.float64


def _matrix_products(
    x: IntArray, *, matrices: list[FloatArray], window: Window, sum_type: IntType
) -> IntArray:
    taken = window.views(x, 0, matrices[0].dtype)
    groups = np.split(taken, len(matrices), axis=-1)
    sums = [group.reshape(-1, len(matrix)) @ matrix for group, matrix in zip(groups, matrices, strict=True)]
    exact: IntArray = np.concatenate(sums, axis=-1).astype(sum_type)
    return exact.reshape(*taken.shape[:3], -1)


def _depthwise_products(x: IntArray, *, taps: IntArray, window: Window) -> IntArray:
    taken = window.views(x, 0, taps.dtype)
    sums = np.zeros((*taken.shape[:3], taken.shape[5]), dtype=taps.dtype)
    product = np.empty_like(sums)
    for row, column in np.ndindex(window.windows.kernel_size):
        sums += np.multiply(taken[:, :, :, row, column], taps[row, column], out=product)
    return sums
