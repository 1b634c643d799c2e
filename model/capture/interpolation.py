"""Handlers of interpolation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitlathe.model.capture.arrangement import Order
from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.float_network import FloatInterpolate2d, FloatNode, FloatUpsample2d
from bitlathe.model.capture.pools import interval_pool
from bitlathe.model.capture.routes import BATCH, taking
from bitlathe.model.graph.nodes import Pair
from bitlathe.model.graph.resampling import Interval, is_interpolated_at_once


def check_scales(call: Call) -> None:
    """Refuse a scale other than that of the two sizes, by which PyTorch then places pixels."""
    given = call.arguments.get("scale_factors")
    names = ("scales",) if "scales" in call.arguments else ("scales_h", "scales_w")
    scales = given if isinstance(given, (list, tuple)) else [call.arguments.get(name) for name in names]
    sizes = call.traced("self" if "self" in call.arguments else "input").size[2:]
    for scale, size, wanted in zip(scales, sizes, call.size[2:], strict=False):
        if scale is not None and scale * size != wanted:
            raise call.refusal(
                f"makes {wanted} rows or columns of {size} by a scale of {scale}",
                "state the output's size, or recompute_scale_factor=True",
            )


def nearest(call: Call) -> Made:
    """interpolate, nearest neighbour: whole factors up or down."""
    x = call.traced("self" if "self" in call.arguments else "input")
    check_scales(call)
    chosen = {}
    for axis in range(2, len(x.size)):
        size, wanted = x.size[axis], call.size[axis]
        if size % wanted and wanted % size:
            raise call.refusal(
                f"makes {wanted} rows or columns of {size}", "interpolate by a whole number, or pad or crop"
            )
        chosen[axis] = np.arange(wanted) * size // wanted
        if "nearest_exact" in call.operator:
            chosen[axis] = (2 * np.arange(wanted) + 1) * size // (2 * wanted)

    def taken(places: Order) -> Order:
        for axis, values in chosen.items():
            places = places.take(values, axis)
        return places

    return call.rearranged(x, taken)


def bilinear(call: Call) -> Made:
    """interpolate, bilinear: whole factors up or down; of one row or column to any size."""
    aligned = bool(call.arguments["align_corners"])
    if not aligned:
        check_scales(call)
    fewer = call.map("self" if "self" in call.arguments else "input")
    if not aligned:
        fewer = _downwards(call, fewer)
    for size, wanted in zip(fewer.size[2:], call.size[2:], strict=True):
        if wanted % size:
            raise call.refusal(
                f"makes {wanted} rows or columns of {size}", "interpolate by a whole number, or pad or crop"
            )
    return fewer if fewer.size == call.size else _upwards(call, call.as_map(fewer).node, aligned)


def _downwards(call: Call, x: TracedTensor) -> TracedTensor:
    """By whole factors: of an odd one the pixel in the middle, of an even one the mean of the middle two."""
    axes = [_middles(*sizes) for sizes in zip(x.size[2:], call.size[2:], strict=True)]
    if all(each.counted == 1 for axis in axes for each in axis):
        for number, axis in enumerate(axes, 2):
            x = call.rearranged(x, taking([each.first for each in axis], number), "middle")
        return x
    step = replace(call, name=call.extra_name("means"))
    node = call.add(interval_pool(step, call.as_map(x).node, False, axes))
    return TracedTensor(node=node, size=(BATCH, *node.shape))


def _middles(size: int, wanted: int) -> list[Interval]:
    """The rows that each row of fewer takes the mean of; each by itself where there are not fewer."""
    factor = size // wanted if wanted < size and size % wanted == 0 else 1
    width = 2 - factor % 2
    return [Interval(first, first + width, width) for first in range((factor - 1) // 2, size, factor)]


def _upwards(call: Call, x: FloatNode, aligned: bool) -> Made:
    factors: Pair = call.size[2] // x.shape[1], call.size[3] // x.shape[2]
    copies = (factors[0] if x.shape[1] == 1 else 1, factors[1] if x.shape[2] == 1 else 1)
    rest = (factors[0] // copies[0], factors[1] // copies[1])
    node = x
    if copies != (1, 1):
        shape = (x.shape[0], x.shape[1] * copies[0], x.shape[2] * copies[1])
        name = call.name if rest == (1, 1) else call.extra_name("copies")
        node = call.add(FloatUpsample2d(name=name, shape=shape, source=x.name, factors=copies))
    each = [rest] if is_interpolated_at_once(rest, aligned) else [(rest[0], 1), (1, rest[1])]
    steps = [pair for pair in each if pair != (1, 1)]
    for number, pair in enumerate(steps, 1):
        name = call.name if number == len(steps) else call.extra_name("rows")
        shape = (x.shape[0], node.shape[1] * pair[0], node.shape[2] * pair[1])
        node = call.add(
            FloatInterpolate2d(name=name, shape=shape, source=node.name, factors=pair, align_corners=aligned)
        )
    return TracedTensor(node=node, size=call.size)
