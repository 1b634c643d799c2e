"""Layers of the fake-quantized network, one class a node of the integer graph."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import CodeRange, SumRange, accumulator_range, product_range
from bitlathe.model.graph.convolution import FLOAT32_EXACT, INT32_EXACT
from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, MaxPool2d, Pair

_FLOAT32_FRACS = range(-64, 65)  # far from float32's smallest and largest powers of two


class _Quantize(torch.autograd.Function):
    """Value of the nearest code within [lo, hi], halves towards +inf; gradient 1 inside the clamp, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor | float, lo: int, hi: int) -> Tensor:
        codes = (x / scale).add_(0.5).floor_()
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((codes >= lo) & (codes <= hi))
        return codes.clamp_(lo, hi).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def quantize(x: Tensor, scale: Tensor | float, lo: int, hi: int) -> Tensor:
    """`x` rounded to multiples of `scale`, a power of two, between lo * scale and hi * scale."""
    result: Tensor = _Quantize.apply(x, scale, lo, hi)  # type: ignore[no-untyped-call]
    return result


class Weighted(nn.Module):
    """A convolution or dense layer, the latter as a convolution whose kernel covers the map.

    In evaluation mode exact: float32 where it holds every partial sum, or those of the weights' upper and
    lower digits apart, which is faster than float64; else float64. Off the CPU, where a library may
    transform a convolution, float64 sums are rounded to the integers they must be. In training mode float32,
    whatever the accumulator's range.
    """

    weight_scale: Tensor  # (out_channels, 1, 1, 1) float64
    sum_scale: Tensor  # (out_channels,) float64, of the accumulator

    def __init__(self, graph: Graph, node: Conv2d | Dense, ranges: dict[str, CodeRange]) -> None:
        super().__init__()
        self.node, self.conv = node, graph.convolution(node)
        bare = replace(self.conv, weight=np.zeros_like(self.conv.weight), bias=np.zeros_like(self.conv.bias))
        self.source_range, self.rest = ranges[node.source], accumulator_range(graph, bare, ranges)
        fracs = np.array(self.conv.weight_frac)
        self.sum_fracs = fracs + graph.format_of(node.source).frac
        self.register_buffer("weight_scale", _powers(-fracs).view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("sum_scale", _powers(-self.sum_fracs), persistent=False)
        self.weight = nn.Parameter(
            (torch.from_numpy(self.conv.weight.astype(np.float64)) * self.weight_scale).float()
        )
        self.bias = nn.Parameter(torch.from_numpy(self.conv.bias.astype(np.float64)) * self.sum_scale)

    def forward(self, *sources: Tensor) -> Tensor:
        """Output (N, C, H, W) of the source and, if there is one, the residual."""
        return self.requantized(self.accumulate(*sources))

    def requantized(self, total: Tensor) -> Tensor:
        """Output (N, C, H, W) of an accumulator."""
        return quantize(total, self.node.format.scale, self.node.lo, self.node.hi).float()

    @torch.no_grad()
    def add_to_bias(self, change: Tensor) -> Tensor:
        """Change the bias by `change` (C,); by how much the accumulators change, (C,) float64."""
        _, before = self._quantized()
        self.bias.add_(change)
        return self._quantized()[1] - before

    def accumulate(self, *sources: Tensor) -> Tensor:
        """Accumulator before it is requantized, (N, C, H, W)."""
        total = self._sums(sources[0], *self._quantized())
        return total + sources[1].to(total.dtype) if len(sources) > 1 else total

    def _sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.training:
            return self._convolved(x, weight, bias, torch.float32)
        if x.device.type == "cpu":
            return self._exact(x, weight, bias)
        step = self.sum_scale.view(-1, 1, 1)
        return torch.round(self._convolved(x, weight, bias, torch.float64) / step) * step

    def _exact(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.fits_float32():
            return self._convolved(x, weight, bias, torch.float32)
        step = self.weight_scale * (1 << self.node.weight_bits // 2)
        upper = torch.floor(weight.detach() / step + 0.5) * step
        lower = weight - upper
        if not (self._products_fit(upper / step) and self._products_fit(lower / self.weight_scale)):
            return self._convolved(x, weight, bias, torch.float64)
        total = self._convolved(x, upper, None, torch.float32).double()
        total += self._convolved(x, lower, None, torch.float32)
        return total.add_(bias.view(-1, 1, 1))

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        conv, bias = self.conv, None if bias is None else bias.to(dtype)
        return functional.conv2d(
            x.to(dtype), weight.to(dtype), bias, conv.stride, conv.padding, groups=conv.groups
        )

    @torch.no_grad()
    def integers(self) -> tuple[Int64s, Int64s]:
        """Codes of weights (out_channels, ...) and bias (out_channels,)."""
        weight, bias = self._quantized()
        codes = (weight / self.weight_scale, bias / self.sum_scale)
        return codes[0].cpu().numpy().astype(np.int64), codes[1].cpu().numpy().astype(np.int64)

    def to_node(self) -> Conv2d | Dense:
        """The layer with its present weights as a node of the integer graph."""
        weight, bias = self.integers()
        dtype = self.node.weight.dtype
        return replace(
            self.node,
            weight=weight.reshape(self.node.weight.shape).astype(dtype),
            bias=bias.astype(np.int32),
            codebook=None,  # its weights may have left it
        )

    def _quantized(self) -> tuple[Tensor, Tensor]:
        limit = weight_limit(self.node.weight_bits)
        weight = quantize(self.weight.double(), self.weight_scale, -limit, limit)
        return weight, quantize(self.bias, self.sum_scale, -INT32_EXACT, INT32_EXACT - 1)

    def fits_float32(self) -> bool:
        """Whether float32 holds every partial sum, in any order, and the rounding constant."""
        weight, bias = self.integers()
        products = product_range(weight, self.source_range)
        highest = products.highest + np.maximum(bias, 0) + self.rest.highest
        lowest = products.lowest + np.minimum(bias, 0) + self.rest.lowest
        return self._in_float32(SumRange(lowest=lowest, highest=highest))

    def _products_fit(self, digits: Tensor) -> bool:
        """Whether float32 holds every partial sum of products with these digits of the weights' codes."""
        codes = digits.detach().numpy().astype(np.int64)
        return self._in_float32(product_range(codes, self.source_range))

    def _in_float32(self, sums: SumRange) -> bool:
        exact = max(int(sums.highest.max()), -int(sums.lowest.min())) < FLOAT32_EXACT
        return exact and all(frac in _FLOAT32_FRACS for frac in self.sum_fracs.tolist())


class AveragePool(nn.Module):
    """Average by multiplier * 2**-multiplier_frac, padding counted."""

    def __init__(self, node: AvgPool2d, source_range: CodeRange) -> None:
        super().__init__()
        self.node = node
        self.factor = node.multiplier * 2.0**-node.multiplier_frac
        largest = prod(node.kernel_size) * max(-source_range.lo, source_range.hi) * node.multiplier
        fits = largest + (1 << node.multiplier_frac) < FLOAT32_EXACT
        self.dtype = torch.float32 if fits and node.format.frac in _FLOAT32_FRACS else torch.float64

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node, form = self.node, self.node.format
        x = padded(x.to(self.dtype), node.padding, 0.0)
        total = functional.avg_pool2d(x, node.kernel_size, node.stride, divisor_override=1)
        return quantize(total * self.factor, form.scale, form.lo, form.hi).float()


class MaximumPool(nn.Module):
    """Maximum over a window; padding holds the smallest code."""

    def __init__(self, node: MaxPool2d) -> None:
        super().__init__()
        self.node = node

    def forward(self, x: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        node = self.node
        x = padded(x, node.padding, node.format.lo * node.format.scale)
        return functional.max_pool2d(x, node.kernel_size, node.stride)


class Join(nn.Module):
    """Concatenation along channels."""

    def forward(self, *sources: Tensor) -> Tensor:
        """Output (N, C, H, W)."""
        return torch.cat(sources, dim=1)


def _powers(exponents: Int64s) -> Tensor:
    return torch.from_numpy(np.ldexp(1.0, exponents))


def padded(x: Tensor, padding: Pair, value: float) -> Tensor:
    """Maps (N, C, H, W) with a border of `value`."""
    vertical, horizontal = padding
    if padding == (0, 0):
        return x
    return functional.pad(x, (horizontal, horizontal, vertical, vertical), value=value)
