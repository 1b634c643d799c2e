"""Layers of an integer graph in PyTorch floats, one class per kind of node."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import CodeRange, SumRange, accumulator_range, product_codes, product_range
from bitlathe.model.graph.convolution import FLOAT32_EXACT, INT32_EXACT
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, MaxPool2d, average_multiplier
from bitlathe.model.graph.resampling import ConvTranspose2d, Interpolate2d, IntervalPool2d
from bitlathe.model.quantize.resampled import (
    MovingNode,
    averages_of_intervals,
    interpolated,
    largest_of_intervals,
    maximum,
    moved,
    padded,
    shares_of_intervals,
    sums_of_products,
)

_FLOAT32_FRACS = range(-64, 65)  # far from float32's smallest and largest powers of two


def quantize(
    x: Tensor, scale: Tensor | float, lo: int, hi: int, mode: RoundingMode = RoundingMode.HALF_UP
) -> Tensor:
    """`x` rounded to multiples of `scale`, a power of two, between lo * scale and hi * scale."""
    steps = x / scale
    nearest = steps.round_() if mode is RoundingMode.HALF_EVEN else steps.add_(0.5).floor_()
    return nearest.clamp_(lo, hi).mul_(scale)


class ExactProducts(nn.Module):
    """A convolution of either direction or a dense layer, this as a convolution whose kernel covers the map.

    It computes in float32 if that holds every partial sum, or the sums of the weights' upper and lower digits
    separately, which is faster than float64; else in float64. On other devices than the CPU, where a library
    may transform a convolution, float64 sums are rounded to the integers that they must be.
    """

    weight: Tensor  # (out_channels, in_channels, height, width) float32
    bias: Tensor  # (out_channels,) float64
    weight_scale: Tensor  # (out_channels, 1, 1, 1) float64
    sum_scale: Tensor  # (out_channels,) float64, of the accumulator

    def __init__(
        self, graph: Graph, node: Conv2d | Dense | ConvTranspose2d, ranges: dict[str, CodeRange]
    ) -> None:
        super().__init__()
        part = graph.parts(node)[0].node
        assert isinstance(part, Conv2d)
        self.node, self.conv = node, node if isinstance(node, ConvTranspose2d) else part
        bare = replace(part, weight=np.zeros_like(part.weight), bias=np.zeros_like(part.bias))
        self.source_range, self.rest = ranges[node.source], accumulator_range(graph, bare, ranges)
        fracs = np.array(self.conv.weight_frac)
        self.sum_fracs = fracs + graph.format_of(node.source).frac
        scales = _powers(-fracs).view(-1, 1, 1, 1), _powers(-self.sum_fracs)
        values = (torch.from_numpy(codes.astype(np.float64)) for codes in (self.conv.weight, self.conv.bias))
        weight, bias = (codes * scale for codes, scale in zip(values, scales, strict=True))
        held = {"weight": weight.float(), "bias": bias, "weight_scale": scales[0], "sum_scale": scales[1]}
        for name, tensor in held.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, *sources: Tensor) -> Tensor:
        """Output (N, C, H, W) for the source and the residual, if any."""
        return self.requantized(self.accumulate(*sources))

    def requantized(self, total: Tensor) -> Tensor:
        """Output (N, C, H, W) for an accumulator."""
        node = self.node
        return quantize(total, node.format.scale, node.lo, node.hi, node.rounding).float()

    def accumulate(self, *sources: Tensor) -> Tensor:
        """Accumulator (N, C, H, W) before it is requantized."""
        total = self._sums(sources[0])
        return total + sources[1].to(total.dtype) if len(sources) > 1 else total

    def set_bias(self, real: Tensor) -> Tensor:
        """Set the biases nearest to `real` (C,) and return how much the accumulators change, (C,) float64."""
        before, self.bias = self.bias, quantize(real, self.sum_scale, -INT32_EXACT, INT32_EXACT - 1)
        return self.bias - before

    def fits_float32(self) -> bool:
        """Whether float32 holds every partial sum, in any order, and the rounding constant."""
        products = product_range(self.conv.weight.astype(np.int64), self.source_range)
        bias = (self.bias / self.sum_scale).cpu().numpy().astype(np.int64)
        highest = products.highest + np.maximum(bias, 0) + self.rest.highest
        lowest = products.lowest + np.minimum(bias, 0) + self.rest.lowest
        return self._in_float32(SumRange(lowest=lowest, highest=highest))

    def _sums(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            step = self.sum_scale.view(-1, 1, 1)
            return torch.round(self._convolved(x, self.weight, self.bias, torch.float64) / step) * step
        if self.fits_float32():
            return self._convolved(x, self.weight, self.bias, torch.float32)
        step = self.weight_scale * (1 << self.node.weight_bits // 2)
        upper = torch.floor(self.weight / step + 0.5) * step
        lower = self.weight - upper
        if not (self._products_fit(upper / step) and self._products_fit(lower / self.weight_scale)):
            return self._convolved(x, self.weight, self.bias, torch.float64)
        total = self._convolved(x, upper, None, torch.float32).double()
        total += self._convolved(x, lower, None, torch.float32)
        return total.add_(self.bias.view(-1, 1, 1))

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        bias = None if bias is None else bias.to(dtype)
        return sums_of_products(self.conv, x.to(dtype), weight.to(dtype), bias)

    def _products_fit(self, digits: Tensor) -> bool:
        """Whether float32 holds every partial sum of products with these digits of the weights' codes."""
        return self._in_float32(product_range(digits.numpy().astype(np.int64), self.source_range))

    def _in_float32(self, sums: SumRange) -> bool:
        exact = max(int(sums.highest.max()), -int(sums.lowest.min())) < FLOAT32_EXACT
        return exact and all(frac in _FLOAT32_FRACS for frac in self.sum_fracs.tolist())


class AveragePool(nn.Module):
    """Average by multiplier * 2**-multiplier_frac, with padding counted."""

    def __init__(self, node: AvgPool2d, source_range: CodeRange) -> None:
        super().__init__()
        self.node = node
        self.factor = node.multiplier * 2.0**-node.multiplier_frac
        largest = prod(node.kernel_size) * max(-source_range.lo, source_range.hi) * node.multiplier
        self.dtype = _type_for(largest + (1 << node.multiplier_frac), node.format)

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node, form = self.node, self.node.format
        x = padded(x.to(self.dtype), node.padding, node.padding, 0.0)
        total = functional.avg_pool2d(x, node.kernel_size, node.stride, divisor_override=1)
        return quantize(total * self.factor, form.scale, form.lo, form.hi, node.rounding).float()


class MaximumPool(nn.Module):
    """Maximum over a window; padding holds the smallest code."""

    def __init__(self, node: MaxPool2d) -> None:
        super().__init__()
        self.node = node

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        return maximum(self.node, x, self.node.format.lo * self.node.format.scale)


class IntervalPool(nn.Module):
    """A pool whose windows differ from place to place."""

    def __init__(self, node: IntervalPool2d, source_range: CodeRange) -> None:
        super().__init__()
        self.node, self.shares = node, shares_of_intervals(node)
        self.dtype = torch.float32 if node.is_max else _type_for(self._largest(source_range), node.format)

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node, form = self.node, self.node.format
        if node.is_max:
            return largest_of_intervals(node, x)
        total = averages_of_intervals(node, x.to(self.dtype), self.shares)
        return quantize(total, form.scale, form.lo, form.hi, node.rounding).float()

    def _largest(self, codes: CodeRange) -> int:
        """Largest sum of any window, with the rounding constant."""
        sizes = [
            ((rows.end - rows.first) * (columns.end - columns.first), rows.counted * columns.counted)
            for rows in self.node.rows
            for columns in self.node.columns
        ]
        each = ((size, average_multiplier(counted)) for size, counted in set(sizes))
        code = max(-codes.lo, codes.hi)
        return max(size * code * multiplier + (1 << frac) for size, (multiplier, frac) in each)


class Interpolation(nn.Module):
    """Bilinear upsampling."""

    def __init__(self, node: Interpolate2d, source_range: CodeRange) -> None:
        super().__init__()
        self.node = node
        largest = (max(-source_range.lo, source_range.hi) + 1) << node.weight_frac
        self.dtype = _type_for(largest, node.format)

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node, form = self.node, self.node.format
        total = interpolated(node, x.to(self.dtype))
        return quantize(total, form.scale, form.lo, form.hi, node.rounding).float()


class Movement(nn.Module):
    """Pixels that change their places."""

    def __init__(self, node: MovingNode) -> None:
        super().__init__()
        self.node = node

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        return moved(self.node, x)


class MapProduct(nn.Module):
    """The product of two maps, or of a map and a vector of channels."""

    def __init__(self, graph: Graph, node: Product, ranges: dict[str, CodeRange]) -> None:
        super().__init__()
        self.node, codes = node, product_codes(graph, node, ranges)
        self.dtype = _type_for(max(-codes.lo, codes.hi), node.format)

    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node, total = self.node, x.to(self.dtype) * factor.to(self.dtype)
        return quantize(total, node.format.scale, node.lo, node.hi, node.rounding).float()


class Table(nn.Module):
    """A function of one value, by its table."""

    values: Tensor  # of each code of the source

    def __init__(self, node: Lookup, source: FixedPoint) -> None:
        super().__init__()
        self.source = source
        values = torch.tensor(node.codes, dtype=torch.float64) * node.format.scale
        self.register_buffer("values", values.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        return self.values[(x / self.source.scale - self.source.lo).long()]


class Concatenation(nn.Module):
    """Concatenation along channels."""

    def forward(self, *sources: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        return torch.cat(sources, dim=1)


def _powers(exponents: Int64s) -> Tensor:
    return torch.from_numpy(np.ldexp(1.0, exponents))


def _type_for(largest: int, form: FixedPoint) -> torch.dtype:
    """The type that holds sums of codes up to `largest` exactly."""
    exact = largest < FLOAT32_EXACT and form.frac in _FLOAT32_FRACS
    return torch.float32 if exact else torch.float64
