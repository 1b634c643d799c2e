"""Handlers of means, sums and maxima over whole axes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.capture import arithmetic
from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.float_network import FloatConv2d, FloatNode, Origin
from bitlathe.model.capture.formula import constant
from bitlathe.model.capture.pools import average_of_windows, interval_pool, maximum_of_windows
from bitlathe.model.capture.routes import BATCH, taking
from bitlathe.model.graph.nodes import Pair
from bitlathe.model.graph.resampling import Interval


def mean(call: Call) -> Made:
    """mean: over channels, or over height, width or both."""
    if (channels := _of_channels(call)) is not None:
        return _weighted(call, channels, average=True)
    x, window = _reduced(call)
    return average_of_windows(call, x, window, window, (0, 0))


def total(call: Call) -> Made:
    """sum: over channels, or over height, width or both."""
    if (channels := _of_channels(call)) is not None:
        return _weighted(call, channels, average=False)
    x, window = _reduced(call)
    axes = [
        [Interval(first, first + step, 1) for first in range(0, size, step)]
        for size, step in zip(x.shape[1:], window, strict=True)
    ]
    return interval_pool(call, x, False, axes)


def maximum(call: Call) -> Made:
    """amax, max: over channels, or over height, width or both."""
    if (channels := _of_channels(call)) is not None:
        return _largest(call, channels)
    x, window = _reduced(call)
    return maximum_of_windows(call, x, window)


class _Channels(NamedTuple):
    """A map some of whose channels are reduced: the numbers of those that make each result."""

    x: TracedTensor
    rows: NDArray[np.int64]  # (results, channels of each)


def _axes(call: Call, value: TracedTensor) -> set[int]:
    given = call.arguments.get("dim")
    dims = range(len(value.size)) if given is None or given == [] else call.integers("dim")
    return {axis % len(value.size) for axis in dims}


def _of_channels(call: Call) -> _Channels | None:
    """What is reduced, if it is channels alone, which may be several axes."""
    value = call.traced()
    axes, shape = _axes(call, value), value.node.shape
    pixels = 2 if value.size[-2:] == shape[1:] else int(value.size[-1:] == shape[2:])
    lead = value.size[1 : len(value.size) - pixels]
    is_sequence = len(value.size) == 3 and axes == {2}
    if is_sequence or (not pixels and shape[1:] != (1, 1)) or not all(0 < a <= len(lead) for a in axes):
        return None
    size = (BATCH, prod(lead), *value.size[len(value.size) - pixels :])
    x = call.as_map(call.rearranged(value, lambda places: places.reshape(size), "channels"))
    last = [axis - 1 for axis in sorted(axes)]
    rows = np.moveaxis(np.arange(prod(lead)).reshape(lead), last, range(-len(last), 0))
    return _Channels(x, rows.reshape(-1, prod(lead[axis] for axis in last)))


def _reduced(call: Call) -> tuple[FloatNode, Pair]:
    """What is reduced, and the window of each result."""
    value = call.traced()
    axes = _axes(call, value)
    pixels = _sorted_pixels(value) if len(value.size) == 3 and axes == {2} else None
    if pixels is not None:
        value, axes = pixels, {2, 3}
    if axes == {1, 2} and len(value.size) == 4:  # of maps in the order (N, H, W, C)
        turned = call.rearranged(value, lambda places: np.moveaxis(places, 3, 1), "turned")
        value, axes = turned, {2, 3}
    is_map = (len(value.size) == 4 and axes in ({2}, {3}, {2, 3})) or (len(value.size) == 3 and axes == {2})
    if not is_map:
        raise call.refusal(
            f"reduces axes {sorted(axes)} of size {value.size}",
            "reduce height and width, dim=(2, 3), or channels",
        )
    x = call.as_map(value).node
    if len(value.size) == 3:
        return x, (x.shape[1], x.shape[2])
    return x, (x.shape[1] if 2 in axes else 1, x.shape[2] if 3 in axes else 1)


def _sorted_pixels(value: TracedTensor) -> TracedTensor | None:
    """The maps whose pixels a tensor (N, C, H * W) lists in any order, if that is what it lists."""
    if value.size != (BATCH, value.node.shape[0], prod(value.node.shape[1:])):
        return None
    if not np.array_equal(np.sort(value.places, axis=2).ravel(), np.arange(prod(value.size))):
        return None
    return TracedTensor(node=value.node, size=(BATCH, *value.node.shape))


def _weighted(call: Call, channels: _Channels, *, average: bool) -> Made:
    """Sums or means of channels: a 1x1 convolution by fixed weights."""
    x, rows = channels
    weight = np.zeros((len(rows), x.node.shape[0], 1, 1))
    np.put_along_axis(weight[..., 0, 0], rows, 1 / rows.shape[1] if average else 1, axis=1)
    origin = Origin(weight=constant(weight), bias=constant(np.zeros(len(rows))))
    return FloatConv2d(
        name=call.name,
        shape=(len(rows), *x.node.shape[1:]),
        source=x.node.name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        captured=origin,
    )


def _largest(call: Call, channels: _Channels) -> Made:
    """Maxima of channels: of the first and the last half of each result's, until one is left."""
    x, rows = channels
    while rows.shape[1] > 1:
        half = -(-rows.shape[1] // 2)
        halves = [
            call.rearranged(x, taking(part.ravel(), 1), "half") for part in (rows[:, :half], rows[:, -half:])
        ]
        step = replace(call, name=call.extra_name("largest"), size=halves[0].size)
        made = step.result(arithmetic.extremum(step.given({"self": halves[0], "other": halves[1]})))
        assert isinstance(made, TracedTensor)
        x, rows = made, np.arange(len(rows) * half).reshape(-1, half)
    return call.rearranged(x, lambda places: places.reshape(call.size), "result")
