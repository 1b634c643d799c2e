"""Trained thresholds: rounding to integer codes with gradients to the values and to log2 of the threshold.

A threshold t puts the binary point where 2**ceil(log2 t) is the end of the codes' range. With step s and
y = s * clip(round(x / s)), the gradient of y by log2 t is s * ln 2 * (round(x / s) - x / s) inside the range,
s * ln 2 * bound outside. Tensors hold codes, y / s, so that s cancels. Source: Jain et al. 2019,
arXiv:1903.08066, equations 6 to 8.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from bitlathe.model.graph.fixed_point import RoundingMode

_LN2 = log(2.0)
_inside = torch.ops.aten.hardtanh_backward  # of (gradient, x, low, high): the gradient where low < x < high


class _Codes(torch.autograd.Function):
    """floor(v), or the integer nearest to v - 1/2, within [lo, hi]; `v` includes the rounding constant."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, log2_t: Tensor, lo: int, hi: int, clips: bool, half_even: bool
    ) -> Tensor:
        nearest = (v - 0.5).round_() if half_even else v.floor()
        codes = nearest.clamp_(lo, hi)
        ctx.lo, ctx.hi, ctx.clips = lo, hi, clips
        ctx.save_for_backward(v, codes if ctx.needs_input_grad[1] else None)
        return codes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        (gradient,), (v, codes) = gradients, ctx.saved_tensors
        inside: Tensor = _inside(gradient, v, ctx.lo, ctx.hi + 1)
        if codes is None:
            return inside, None, None, None, None, None
        moved = _dot(gradient if ctx.clips else inside, codes) - _dot(inside, v) + 0.5 * inside.sum()
        return inside, _LN2 * moved, None, None, None, None


class _WeightCodes(torch.autograd.Function):
    """Nearest codes within [-limit, limit] of w * steps, halves upwards; one threshold per output channel."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, log2_t: Tensor, steps: Tensor, limit: int) -> Tensor:
        v = weight * steps
        codes = (v + 0.5).floor_().clamp_(-limit, limit)
        ctx.limit, ctx.size = limit, log2_t.numel()
        ctx.save_for_backward(v, codes, steps)
        return codes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (gradient,), (v, codes, steps) = gradients, ctx.saved_tensors
        inside: Tensor = _inside(gradient, v, -ctx.limit - 0.5, ctx.limit + 0.5)
        moved = None
        if ctx.needs_input_grad[1]:
            by_channel = (gradient * codes - inside * v).flatten(1).sum(1) * _LN2
            moved = by_channel if ctx.size > 1 else by_channel.sum(0, keepdim=True)
        return inside * steps, moved, None, None


class _Rounded(torch.autograd.Function):
    """Nearest integers, halves upwards; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return (v + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Tabled(torch.autograd.Function):
    """values[x - first] of codes x; the gradient to x is slopes[x - first] times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: int, values: Tensor, slopes: Tensor) -> Tensor:
        places = (x - first).long()
        ctx.save_for_backward(places, slopes)
        return values[places]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        (gradient,), (places, slopes) = gradients, ctx.saved_tensors
        of_values = None
        if ctx.needs_input_grad[2]:
            flat = gradient.reshape(-1).to(slopes.dtype)
            of_values = torch.zeros_like(slopes).index_add_(0, places.reshape(-1), flat)
        return gradient * slopes[places], None, of_values, None


def codes(
    v: Tensor, log2_t: Tensor, lo: int, hi: int, *, clips: bool, mode: RoundingMode = RoundingMode.HALF_UP
) -> Tensor:
    """Codes floor(v) within [lo, hi] of v = x / s + 1/2, with gradients to `v` and the scalar `log2_t`.

    `clips` says whether each bound is 0 or that of the format, which a threshold moves. Halves may round to
    even instead of up.
    """
    half_even = mode is RoundingMode.HALF_EVEN
    result: Tensor = _Codes.apply(v, log2_t, lo, hi, clips, half_even)  # type: ignore[no-untyped-call]
    return result


def weight_codes(weight: Tensor, log2_t: Tensor, steps: Tensor, limit: int) -> Tensor:
    """Codes of `weight` (out_channels, ...) at `steps` (out_channels, 1, ...) per unit.

    Gradients go to `weight` and to `log2_t`, (out_channels,) or (1,).
    """
    result: Tensor = _WeightCodes.apply(weight, log2_t, steps, limit)  # type: ignore[no-untyped-call]
    return result


def rounded(v: Tensor) -> Tensor:
    """Nearest integers, halves upwards, with the gradient of the identity."""
    result: Tensor = _Rounded.apply(v)  # type: ignore[no-untyped-call]
    return result


def tabled(x: Tensor, first: int, values: Tensor, slopes: Tensor) -> Tensor:
    """The values of codes `x`, from that of `first` on; gradients go to `values`, and by slopes to `x`."""
    result: Tensor = _Tabled.apply(x, first, values, slopes)  # type: ignore[no-untyped-call]
    return result


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Sum of products in float32, in memory order, so that channels_last maps are not copied."""
    if one.ndim == 4 and one.is_contiguous(memory_format=torch.channels_last):
        one, other = one.permute(0, 2, 3, 1), other.permute(0, 2, 3, 1)
    return torch.dot(one.reshape(-1).float(), other.reshape(-1).float())
