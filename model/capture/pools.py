"""Handlers of pools, means and bilinear interpolation."""

from __future__ import annotations

from math import prod

import numpy as np

from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatMaxPool2d,
    FloatNode,
    FloatUpsample2d,
)
from bitlathe.model.capture.routes import BATCH
from bitlathe.model.graph.nodes import Pair, window_size
from bitlathe.model.graph.resampling import Interval


def sequence_or_map(call: Call, name: str = "self") -> FloatNode:
    """The node of a tensor (N, C, H, W), or (N, C, L) of which it is the one row."""
    value = call.traced(name)
    if len(value.size) not in (3, 4):
        raise call.refusal(f"works on a tensor of size {value.size}", "give it one of size (N, C, H, W)")
    return call.as_map(value).node


def of_axes(call: Call, name: str, own: int, otherwise: Pair | None = None) -> Pair:
    """Vertical and horizontal numbers; of an operator for sequences `own` is the vertical one."""
    vertical, horizontal = call.pair(name, otherwise)
    return (own, horizontal) if len(call.size) == 3 else (vertical, horizontal)


def max_pool(call: Call) -> Made:
    """max_pool: any padding, dilation and ceil mode."""
    x = sequence_or_map(call)
    kernel_size, stride, padding = _window(call)
    dilation = of_axes(call, "dilation", 1)
    ends = tuple(
        (positions - 1) * step + apart * (kernel - 1) + 1 - size - begin
        for positions, step, apart, kernel, size, begin in zip(
            call.shape[1:], stride, dilation, kernel_size, x.shape[1:], padding, strict=True
        )
    )
    axes = zip(x.shape[1:], kernel_size, stride, padding, dilation, strict=True)
    even = tuple(window_size(n, k, s, p, dilation=d) for n, k, s, p, d in axes) == call.shape[1:]
    return FloatMaxPool2d(
        name=call.name,
        shape=call.shape,
        source=x.name,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        end_padding=None if even else (ends[0], ends[1]),
        dilation=dilation,
    )


def average_pool(call: Call) -> Made:
    """avg_pool: ceil mode, padding counted or not, any divisor."""
    x = sequence_or_map(call)
    kernel_size, stride, padding = _window(call)
    counts_padding = bool(call.arguments["count_include_pad"])
    divisor = call.arguments.get("divisor_override")
    axes = [
        _intervals(*axis, counts_padding)
        for axis in zip(x.shape[1:], call.shape[1:], kernel_size, stride, padding, strict=True)
    ]
    counts = {row.counted * column.counted for row in axes[0] for column in axes[1]}
    floor = zip(x.shape[1:], kernel_size, stride, padding, strict=True)
    even = tuple(window_size(*axis) for axis in floor) == call.shape[1:]
    if even and ((divisor is None and counts == {prod(kernel_size)}) or divisor == prod(kernel_size)):
        return _average(call, x, kernel_size, stride, padding)
    if divisor is not None:
        axes[0] = [row._replace(counted=call.integer("divisor_override")) for row in axes[0]]
        axes[1] = [column._replace(counted=1) for column in axes[1]]
    return _interval_pool(call, x, False, axes)


def _intervals(
    size: int, positions: int, kernel: int, stride: int, padding: int, counts_padding: bool
) -> list[Interval]:
    """Windows of one axis, as PyTorch counts them: padding where it is asked for, never what is beyond it."""
    made = []
    for start in range(-padding, positions * stride - padding, stride):
        end = min(start + kernel, size + padding)
        first, last = max(start, 0), min(end, size)
        made.append(Interval(first, last, end - start if counts_padding else last - first))
    return made


def _interval_pool(call: Call, x: FloatNode, is_max: bool, axes: list[list[Interval]]) -> Made:
    return FloatIntervalPool2d(
        name=call.name,
        shape=(x.shape[0], len(axes[0]), len(axes[1])),
        source=x.name,
        is_max=is_max,
        rows=tuple(axes[0]),
        columns=tuple(axes[1]),
    )


def adaptive_average_pool(call: Call) -> Made:
    """adaptive_avg_pool: to any size."""
    return _adaptive(call, is_max=False)


def adaptive_max_pool(call: Call) -> Made:
    """adaptive_max_pool: to any size."""
    return _adaptive(call, is_max=True)


def _adaptive(call: Call, *, is_max: bool) -> Made:
    x = sequence_or_map(call)
    (height, width), (rows, columns) = x.shape[1:], call.shape[1:]
    if height % rows == 0 and width % columns == 0:
        window = (height // rows, width // columns)
        return _maximum(call, x, window) if is_max else _average(call, x, window, window, (0, 0))
    axes = []
    for size, wanted in ((height, rows), (width, columns)):
        bounds = [(index * size // wanted, -(-(index + 1) * size // wanted)) for index in range(wanted)]
        axes.append([Interval(first, end, end - first) for first, end in bounds])
    return _interval_pool(call, x, is_max, axes)


def mean(call: Call) -> Made:
    """mean: over height, width or both."""
    x, window = _reduced(call)
    return _average(call, x, window, window, (0, 0))


def total(call: Call) -> Made:
    """sum: over height, width or both."""
    x, window = _reduced(call)
    axes = [
        [Interval(first, first + step, 1) for first in range(0, size, step)]
        for size, step in zip(x.shape[1:], window, strict=True)
    ]
    return _interval_pool(call, x, False, axes)


def maximum(call: Call) -> Made:
    """amax, max: over height, width or both."""
    x, window = _reduced(call)
    return _maximum(call, x, window)


def _reduced(call: Call) -> tuple[FloatNode, Pair]:
    """What is reduced, and the window of each result."""
    value = call.traced()
    given = call.arguments.get("dim")
    dims = range(len(value.size)) if given is None or given == [] else call.integers("dim")
    axes = {axis % len(value.size) for axis in dims}
    pixels = _sorted_pixels(value) if len(value.size) == 3 and axes == {2} else None
    if pixels is not None:
        value, axes = pixels, {2, 3}
    if axes == {1, 2} and len(value.size) == 4:  # of maps in the order (N, H, W, C)
        turned = call.rearranged(value, lambda places: np.moveaxis(places, 3, 1), "turned")
        value, axes = turned, {2, 3}
    is_map = (len(value.size) == 4 and axes in ({2}, {3}, {2, 3})) or (len(value.size) == 3 and axes == {2})
    if not is_map:
        raise call.refusal(
            f"reduces axes {sorted(axes)} of size {value.size}", "reduce height and width, dim=(2, 3)"
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


def _maximum(call: Call, x: FloatNode, window: Pair) -> Made:
    channels, height, width = x.shape
    return FloatMaxPool2d(
        name=call.name,
        shape=(channels, height // window[0], width // window[1]),
        source=x.name,
        kernel_size=window,
        stride=window,
    )


def _average(call: Call, x: FloatNode, kernel_size: Pair, stride: Pair, padding: Pair) -> Made:
    rows, columns = (
        window_size(*axis) for axis in zip(x.shape[1:], kernel_size, stride, padding, strict=True)
    )
    return FloatAvgPool2d(
        name=call.name,
        shape=(x.shape[0], rows, columns),
        source=x.name,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
    )


def _window(call: Call) -> tuple[Pair, Pair, Pair]:
    """Kernel size, stride and padding of a pool."""
    kernel_size = of_axes(call, "kernel_size", 1)
    return kernel_size, of_axes(call, "stride", 1, kernel_size), of_axes(call, "padding", 0)


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


def bilinear(call: Call) -> Made:
    """interpolate, bilinear: by 2 or 4 along each axis; of one row or column to any size."""
    x = sequence_or_map(call, "self" if "self" in call.arguments else "input")
    aligned = bool(call.arguments["align_corners"])
    node, factors = x, [1, 1]
    if not aligned:
        check_scales(call)
    for axis, (size, wanted) in enumerate(zip(x.shape[1:], call.shape[1:], strict=True)):
        if size > 1 and wanted not in (size, 2 * size, 4 * size):
            raise call.refusal(
                f"makes {wanted} rows or columns of {size}", "interpolate by 2 or 4, or use mode='nearest'"
            )
        factors[axis] = wanted // size
    copies = (factors[0] if x.shape[1] == 1 else 1, factors[1] if x.shape[2] == 1 else 1)
    rest = (factors[0] // copies[0], factors[1] // copies[1])
    if copies != (1, 1):
        shape = (x.shape[0], x.shape[1] * copies[0], x.shape[2] * copies[1])
        name = call.name if rest == (1, 1) else call.extra_name("copies")
        node = call.add(FloatUpsample2d(name=name, shape=shape, source=x.name, factors=copies))
    each = [(rest[0], 1), (1, rest[1])] if aligned and min(rest) > 1 else [rest]
    for number, pair in enumerate(pair for pair in each if pair != (1, 1)):
        name = call.name if number == len(each) - 1 else call.extra_name("rows")
        shape = (x.shape[0], node.shape[1] * pair[0], node.shape[2] * pair[1])
        node = call.add(
            FloatInterpolate2d(name=name, shape=shape, source=node.name, factors=pair, align_corners=aligned)
        )
    return TracedTensor(node=node, size=call.size)
