"""Handlers of pools."""

from __future__ import annotations

from math import prod

from bitlathe.model.capture.calls import Call, Made
from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatIntervalPool2d,
    FloatMaxPool2d,
    FloatNode,
)
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
        return average_of_windows(call, x, kernel_size, stride, padding)
    if divisor is not None:
        axes[0] = [row._replace(counted=call.integer("divisor_override")) for row in axes[0]]
        axes[1] = [column._replace(counted=1) for column in axes[1]]
    return interval_pool(call, x, False, axes)


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


def interval_pool(call: Call, x: FloatNode, is_max: bool, axes: list[list[Interval]]) -> FloatIntervalPool2d:
    """A pool whose windows are products of rows and columns."""
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
        return (
            maximum_of_windows(call, x, window)
            if is_max
            else average_of_windows(call, x, window, window, (0, 0))
        )
    axes = []
    for size, wanted in ((height, rows), (width, columns)):
        bounds = [(index * size // wanted, -(-(index + 1) * size // wanted)) for index in range(wanted)]
        axes.append([Interval(first, end, end - first) for first, end in bounds])
    return interval_pool(call, x, is_max, axes)


def maximum_of_windows(call: Call, x: FloatNode, window: Pair) -> Made:
    """A maximum of windows side by side."""
    channels, height, width = x.shape
    return FloatMaxPool2d(
        name=call.name,
        shape=(channels, height // window[0], width // window[1]),
        source=x.name,
        kernel_size=window,
        stride=window,
    )


def average_of_windows(call: Call, x: FloatNode, kernel_size: Pair, stride: Pair, padding: Pair) -> Made:
    """An average of windows, zeros around the map counted."""
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
