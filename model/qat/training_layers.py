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

from bitlathe.model.capture.float_forward import resampled
from bitlathe.model.capture.float_network import FloatNode, Origin
from bitlathe.model.capture.formula import Evaluation
from bitlathe.model.capture.scalar_function import ScalarFunction
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, MaxPool2d
from bitlathe.model.graph.resampling import ConvTranspose2d, Interpolate2d, IntervalPool2d
from bitlathe.model.qat.tqt import codes, rounded, tabled, weight_codes
from bitlathe.model.quantize.resampled import (
    MovingNode,
    averages_of_intervals,
    interpolated,
    largest_of_intervals,
    maximum,
    moved,
    padded,
    sums_of_products,
)
from bitlathe.model.quantize.tables import values_of_codes

_BEYOND = 1 << 20  # codes: more than any format has


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
    """A convolution of either direction or a dense layer, with its residual and clamp."""

    conv: Conv2d | ConvTranspose2d  # as the hardware computes it
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
        if self._covers(x):
            return functional.linear(x.flatten(1), weight.flatten(1), bias)[:, :, None, None]
        return sums_of_products(self.conv, x, weight, bias)

    def _covers(self, x: Tensor) -> bool:
        """Whether the kernel covers the map, as a dense layer's does."""
        conv = self.conv
        if not isinstance(conv, Conv2d) or conv.groups > 1 or conv.kernel_size != x.shape[2:]:
            return False
        windows = conv.windows
        return windows.padding == windows.end_padding == (0, 0) and windows.dilation == (1, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Average:
    """An average pool."""

    node: AvgPool2d
    scale: float  # output codes per summed source code
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        x = padded(sources[0], self.node.padding, self.node.padding, 0.0)
        total = functional.avg_pool2d(x, self.node.kernel_size, self.node.stride, divisor_override=1)
        return self.finish(total * self.scale + self.finish.half)


@dataclass(frozen=True, kw_only=True, eq=False)
class Maximum:
    """A max pool."""

    node: MaxPool2d
    lowest: float

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        return maximum(self.node, sources[0], self.lowest)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalAverage:
    """An average pool whose windows differ from place to place."""

    node: IntervalPool2d
    shares: Tensor  # (rows, columns), output codes per summed source code
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        return self.finish(averages_of_intervals(self.node, sources[0], self.shares) + self.finish.half)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveInterpolation:
    """Bilinear upsampling."""

    node: Interpolate2d
    real: FloatNode | None  # where the output stays real: the node with its real weights
    scale: float  # output codes per source code
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        made = interpolated(self.node, sources[0]) if self.real is None else resampled(self.real, sources[0])
        return self.finish(made * self.scale + self.finish.half)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveMovement:
    """Pixels, or maxima of them, at other places."""

    node: MovingNode | IntervalPool2d

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        if isinstance(self.node, IntervalPool2d):
            return largest_of_intervals(self.node, sources[0])
        return moved(self.node, sources[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveProduct:
    """The product of two maps, or of a map and a vector of channels."""

    scale: float  # output codes per product of codes
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        return self.finish(sources[0] * sources[1] * self.scale + self.finish.half)


@dataclass(kw_only=True, eq=False)
class LiveTable:
    """A function of one value by its table, with the function's gradient at each code of the source."""

    function: ScalarFunction
    source: FixedPoint
    scale: float  # output codes per unit
    finish: Rounding
    fixed: tuple[Tensor, Tensor] | None = None  # values and slopes that never change

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        values, slopes = self.fixed or self._table(at)
        return self.finish(tabled(sources[0], self.source.lo, values, slopes))

    def _table(self, at: Evaluation) -> tuple[Tensor, Tensor]:
        """Of each code of the source: output codes with fractions and `finish.half`, and their derivatives.

        As float64 rounds them, so that the codes are those of the graph's table; a derivative that is not
        finite is 0.
        """
        x = torch.from_numpy(values_of_codes(self.source)).to(at.device).requires_grad_()
        with torch.enable_grad():
            made = self.function.applied(x, at) * self.scale + self.finish.half
            made = made.clamp(-_BEYOND, _BEYOND)
        slopes = torch.zeros_like(x)
        if made.requires_grad:
            (slopes,) = torch.autograd.grad(
                made.sum(), x, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            slopes = slopes.nan_to_num(0.0, 0.0, 0.0)
        values, exact = made.float(), made.detach().floor()
        moved = values.detach().floor() != exact  # by float32's rounding
        values = values + torch.where(moved, exact + self.finish.half - values, 0.0).detach().float()
        ready = values, (slopes * self.source.scale).float()
        if self.function.live is None:
            self.fixed = ready[0].detach(), ready[1]
        return ready


@dataclass(frozen=True, kw_only=True, eq=False)
class RealFunction:
    """A function of one value, of a tensor that stays real."""

    function: ScalarFunction
    value: float  # of a source code
    scale: float  # output codes per unit
    finish: Rounding | Limit

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        made = self.function.applied(sources[0] * self.value, at)
        return self.finish(made * self.scale + self.finish.half)


class LiveConcatenation:
    """A concatenation along channels."""

    def __call__(self, sources: list[Tensor], at: Evaluation) -> Tensor:
        """Output codes (N, C, H, W)."""
        return torch.cat(sources, dim=1)


TrainingLayer = (
    LiveProducts
    | Average
    | Maximum
    | IntervalAverage
    | LiveInterpolation
    | LiveMovement
    | LiveProduct
    | LiveTable
    | RealFunction
    | LiveConcatenation
)


def powers(exponents: list[int], like: Evaluation) -> Tensor:
    """Powers of two (C,) on an evaluation's device."""
    return torch.from_numpy(np.ldexp(1.0, exponents)).to(device=like.device, dtype=like.dtype)
