"""Layers of the training forward pass: codes in, codes out, with a live module's weights.

Tensors hold codes, not values, and weights are scaled by powers of two so that a convolution makes output
codes directly: only a floor and a clamp remain of a requantize. Scaling by powers of two is exact, so this
is the integer graph's arithmetic, within float32's 24 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.capture.float_network import Origin
from bitlathe.model.capture.formula import Evaluation
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, MaxPool2d
from bitlathe.model.qat.tqt import codes, rounded, weight_codes
from bitlathe.model.quantize.exact_layers import padded


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounding:
    """Rounds output codes with fractions to codes."""

    lo: int
    hi: int
    clips: bool  # whether each bound is 0 or that of the format, which a threshold moves
    log2_t: Tensor
    mode: RoundingMode = RoundingMode.HALF_UP

    half: float = 0.5  # the rounding constant, which a layer adds with its bias

    def __call__(self, total: Tensor) -> Tensor:
        """Codes of sums that include `half`."""
        return codes(total, self.log2_t, self.lo, self.hi, clips=self.clips, mode=self.mode)


@dataclass(frozen=True, kw_only=True, eq=False)
class Limit:
    """Replaces rounding for a tensor that stays real."""

    low: float
    high: float
    half: float = 0.0

    def __call__(self, total: Tensor) -> Tensor:
        """Values within the layer's own clamp."""
        return total.clamp(self.low, self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightRounding:
    """Turns real weights and biases into those that make output codes."""

    steps: Tensor  # (out_channels, 1, 1, 1), codes per unit of weight
    bias_steps: Tensor  # (out_channels,), accumulator codes per unit
    to_output: Tensor  # (out_channels, 1, 1, 1), output codes per accumulator code
    limit: int
    log2_t: Tensor

    def __call__(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution from source codes to output codes."""
        quantized = weight_codes(weight, self.log2_t, self.steps, self.limit) * self.to_output
        return quantized, rounded(bias * self.bias_steps) * self.to_output.view(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightScale:
    """Replaces rounding for weights that stay real."""

    weight: float
    bias: float

    def __call__(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution from source codes to output codes."""
        return weight * self.weight, bias * self.bias


@dataclass(kw_only=True, eq=False)
class LiveProducts:
    """A convolution or dense layer with its residual and clamp."""

    conv: Conv2d  # as the hardware computes it
    origin: Origin
    prepare: WeightRounding | WeightScale
    residual_scale: float  # output codes per residual code
    finish: Rounding | Limit | None  # None: a selection, which copies codes
    fixed: tuple[Tensor, Tensor] | None = None  # weight and bias that never change

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        weight, bias = self._parameters(at)
        total = self._products(sources[0], weight, bias)
        if len(sources) > 1:
            total = torch.add(total, sources[1], alpha=self.residual_scale)
        return total if self.finish is None else self.finish(total)

    def _parameters(self, at: Evaluation) -> tuple[Tensor, Tensor]:
        if self.fixed is not None:
            return self.fixed
        weight, bias = at(self.origin.weight).view(self.conv.weight.shape), at(self.origin.bias)
        weight, bias = self.prepare(weight, bias)
        ready = weight, bias if self.finish is None else bias + self.finish.half
        if self.origin.is_constant:
            self.fixed = ready
        return ready

    def _products(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        conv = self.conv
        if weight.shape[2:] == x.shape[2:] and conv.groups == 1 and conv.padding == (0, 0):
            return functional.linear(x.flatten(1), weight.flatten(1), bias)[:, :, None, None]
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class Average:
    """An average pool."""

    node: AvgPool2d
    scale: float  # output codes per summed source code
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        x = padded(sources[0], self.node.padding, 0.0)
        total = functional.avg_pool2d(x, self.node.kernel_size, self.node.stride, divisor_override=1)
        return self.finish(total * self.scale + self.finish.half)


@dataclass(frozen=True, kw_only=True, eq=False)
class Maximum:
    """A max pool."""

    node: MaxPool2d
    lowest: float

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        x = padded(sources[0], self.node.padding, self.lowest)
        return functional.max_pool2d(x, self.node.kernel_size, self.node.stride)


class LiveConcatenation:
    """A concatenation along channels."""

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        return torch.cat(sources, dim=1)


TrainingLayer = LiveProducts | Average | Maximum | LiveConcatenation


def powers(exponents: list[int], like: Evaluation) -> Tensor:
    """Powers of two (C,) on an evaluation's device."""
    return torch.from_numpy(np.ldexp(1.0, exponents)).to(device=like.device, dtype=like.dtype)
