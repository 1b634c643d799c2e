"""Nodes as plain windows: each part fills evenly spaced pixels of the output.

The reference does without; hardware and the compiled evaluator compute parts, as both know windows only.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Conv2d,
    Dense,
    IntWeights,
    MaxPool2d,
    Node,
    Pair,
    Shape,
    average_multiplier,
)
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
    interpolation_taps,
)

Kind = TypeVar("Kind", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A window whose result at (y, x) is the output's pixel (origin + step * (y, x)), of each axis."""

    node: Conv2d | MaxPool2d  # with the whole node's name, source and format
    origin: Pair = (0, 0)
    step: Pair = (1, 1)


def parts_of(node: Node, shape: Shape, banks: int = 0) -> tuple[Part, ...]:
    """Parts that compute a node over a source map of `shape`; none of other nodes.

    Together they write every output pixel exactly once. Where there is a choice, windows of a part are no
    multiple of `banks` apart: pixels in one bank of a memory are read one after the other.
    """
    if isinstance(node, Conv2d | MaxPool2d):
        return (Part(node=node),)
    if isinstance(node, Dense | AvgPool2d):
        return (Part(node=node.as_convolution(shape)),)
    if isinstance(node, ConvTranspose2d):
        return tuple(_phases(node, shape))
    if isinstance(node, Upsample2d):
        return tuple(_copies(node))
    if isinstance(node, PixelShuffle2d):
        return tuple(_shuffled(node, shape))
    if isinstance(node, PixelUnshuffle2d):
        return (_unshuffled(node, shape),)
    if isinstance(node, IntervalPool2d):
        return tuple(_pools(node, shape, banks))
    if isinstance(node, Interpolate2d):
        return tuple(_interpolations(node, shape, banks))
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Windows of one kind at even steps along an axis."""

    origin: int  # first output row
    step: int  # to the next
    count: int
    first: int  # first source row of the first window
    stride: int  # to the next window's

    def together(self, banks: int) -> int:
        """How many of its windows a memory of `banks` can read at once, of any number for 0."""
        return 1 if banks and self.stride % banks == 0 else self.count


def _runs(kinds: Sequence[Kind], firsts: Sequence[int], banks: int) -> Iterator[tuple[Kind, _Run]]:
    """Windows of one axis, by kind, as few runs as a greedy search finds."""
    for kind in dict.fromkeys(kinds):
        waiting = [index for index, other in enumerate(kinds) if other == kind]
        while waiting:
            run = _longest_run(waiting, firsts, banks)
            yield kind, run
            taken = {run.origin + run.step * index for index in range(run.count)}
            waiting = [index for index in waiting if index not in taken]


def _longest_run(waiting: Sequence[int], firsts: Sequence[int], banks: int) -> _Run:
    """The longest run from the first one on, in different banks if there is such a one."""
    origin, left = waiting[0], set(waiting)
    best = _Run(origin=origin, step=1, count=1, first=firsts[origin], stride=1)
    for second in waiting[1:]:
        step, stride = second - origin, firsts[second] - firsts[origin]
        if stride < 1:
            continue
        count = 1
        while (after := origin + step * count) in left and firsts[after] == best.first + stride * count:
            count += 1
        run = _Run(origin=origin, step=step, count=count, first=best.first, stride=stride)
        best = max(best, run, key=lambda run: (run.together(banks), run.count))
    return best


def _placed(
    runs: tuple[_Run, _Run], kernel_size: Pair, size: Pair, make: Callable[..., Conv2d | MaxPool2d]
) -> Part:
    """A part whose windows are those of a run of rows and one of columns, over a source map of `size`."""
    ends = (
        (run.count - 1) * run.stride + run.first + kernel - extent
        for run, kernel, extent in zip(runs, kernel_size, size, strict=True)
    )
    bottom, right = ends
    rows, columns = runs
    return Part(
        node=make(
            stride=(rows.stride, columns.stride),
            padding=(-rows.first, -columns.first),
            end_padding=(bottom, right),
        ),
        origin=(rows.origin, columns.origin),
        step=(rows.step, columns.step),
    )


def _linear(
    node: Node,
    weight: IntWeights,
    *,
    bits: int,
    frac: int,
    groups: int,
    rounding: RoundingMode = RoundingMode.HALF_UP,
) -> "partial[Conv2d]":
    """A convolution of constant weights for a node; its windows are still to come."""
    channels = weight.shape[0]
    return partial(
        Conv2d,
        name=node.name,
        format=node.format,
        source=node.sources[0],
        weight=weight,
        bias=np.zeros(channels, np.int32),
        weight_bits=bits,
        weight_frac=(frac,) * channels,
        groups=groups,
        lo=node.format.lo,
        hi=node.format.hi,
        rounding=rounding,
    )


def _depthwise(
    node: IntervalPool2d | Interpolate2d, kernel: npt.NDArray[np.int64], frac: int, channels: int
) -> "partial[Conv2d]":
    weight = np.broadcast_to(kernel, (channels, 1, *kernel.shape)).astype(np.int16)
    return _linear(node, weight, bits=node.WEIGHT_BITS, frac=frac, groups=channels, rounding=node.rounding)


def _phases(node: ConvTranspose2d, shape: Shape) -> Iterator[Part]:
    """The outputs of each remainder of the stride: a convolution with every stride-th tap, in reverse."""
    size = node.output_shape((shape,))[1:]
    axes = [
        [_phase(axis, node, size[axis], remainder) for remainder in range(min(node.stride[axis], size[axis]))]
        for axis in range(2)
    ]
    for (rows, row_taps), (columns, column_taps) in product(*axes):
        taken = node.weight[:, :, row_taps][:, :, :, column_taps]
        kernel_size = (max(len(row_taps), 1), max(len(column_taps), 1))
        weight = np.zeros((*node.weight.shape[:2], *kernel_size), node.weight.dtype)
        weight[:, :, : len(row_taps), : len(column_taps)] = taken
        make = partial(
            Conv2d,
            name=node.name,
            format=node.format,
            source=node.source,
            weight=weight,
            bias=node.bias,
            weight_bits=node.weight_bits,
            weight_frac=node.weight_frac,
            groups=node.groups,
            lo=node.lo,
            hi=node.hi,
            rounding=node.rounding,
        )
        yield _placed((rows, columns), kernel_size, (shape[1], shape[2]), make)


def _phase(axis: int, node: ConvTranspose2d, size: int, remainder: int) -> tuple[_Run, list[int]]:
    """Outputs remainder, remainder + stride, ... of an axis, and the taps that meet them, last one first."""
    stride, padding, kernel = node.stride[axis], node.padding[axis], node.kernel_size[axis]
    taps = [tap for tap in reversed(range(kernel)) if (remainder + padding - tap) % stride == 0]
    first = (remainder + padding - taps[0]) // stride if taps else 0
    count = -(-(size - remainder) // stride)
    return _Run(origin=remainder, step=stride, count=count, first=first, stride=1), taps


def _copies(node: Upsample2d) -> Iterator[Part]:
    for origin in np.ndindex(*node.factors):
        copy = MaxPool2d(
            name=node.name, format=node.format, source=node.source, kernel_size=(1, 1), stride=(1, 1)
        )
        yield Part(node=copy, origin=(origin[0], origin[1]), step=node.factors)


def _shuffled(node: PixelShuffle2d, shape: Shape) -> Iterator[Part]:
    """For each pixel of a block a selection of the channels that become it."""
    channels = shape[0] // node.factor**2
    for row, column in np.ndindex(node.factor, node.factor):
        weight = np.zeros((channels, shape[0], 1, 1), np.int8)
        outputs = np.arange(channels)
        weight[outputs, (outputs * node.factor + row) * node.factor + column] = 1
        make = _linear(node, weight, bits=2, frac=0, groups=1)
        yield Part(node=make(), origin=(row, column), step=(node.factor, node.factor))


def _unshuffled(node: PixelUnshuffle2d, shape: Shape) -> Part:
    """A convolution of each channel whose kernels have one 1."""
    factor, channels = node.factor, shape[0]
    kernels = np.eye(factor**2, dtype=np.int8).reshape(-1, 1, factor, factor)
    weight = np.tile(kernels, (channels, 1, 1, 1))
    make = _linear(node, weight, bits=2, frac=0, groups=channels)
    return Part(node=make(stride=(factor, factor)))


def _pools(node: IntervalPool2d, shape: Shape, banks: int) -> Iterator[Part]:
    channels, height, width = shape
    axes = [
        list(_runs([(w.end - w.first, w.counted) for w in intervals], [w.first for w in intervals], banks))
        for intervals in (node.rows, node.columns)
    ]
    for (row_kind, rows), (column_kind, columns) in product(*axes):
        (kernel_h, counted_h), (kernel_w, counted_w) = row_kind, column_kind
        kernel_size = (kernel_h, kernel_w)
        if node.is_max:
            make: Callable[..., Conv2d | MaxPool2d] = partial(
                MaxPool2d, name=node.name, format=node.format, source=node.source, kernel_size=kernel_size
            )
        else:
            multiplier, frac = average_multiplier(counted_h * counted_w)
            make = _depthwise(node, np.full(kernel_size, multiplier), frac, channels)
        yield _placed((rows, columns), kernel_size, (height, width), make)


def _interpolations(node: Interpolate2d, shape: Shape, banks: int) -> Iterator[Part]:
    axes = []
    for size, factor in zip(shape[1:], node.factors, strict=True):
        taps = interpolation_taps(size, factor, node.align_corners)
        kinds = [tuple(tap.weight for tap in each) for each in taps]
        axes.append(list(_runs(kinds, [each[0].place for each in taps], banks)))
    for (row_weights, rows), (column_weights, columns) in product(*axes):
        kernel = np.outer(np.array(row_weights), np.array(column_weights))
        make = _depthwise(node, kernel, node.weight_frac, shape[0])
        kernel_size = (kernel.shape[0], kernel.shape[1])
        yield _placed((rows, columns), kernel_size, (shape[1], shape[2]), make)


def trimmed(node: Conv2d | MaxPool2d, source: Pair) -> Conv2d | MaxPool2d:
    """A dilated window without the outer rows and columns of taps that meet nothing but padding."""
    for axis, extent in enumerate(source):
        if node.dilation[axis] > 1:
            node = _trimmed_along(node, axis, extent, node.windows.size(node.name, *source)[axis])
    return node


def _trimmed_along(node: Conv2d | MaxPool2d, axis: int, extent: int, places: int) -> Conv2d | MaxPool2d:
    kernel, stride, dilation = node.kernel_size[axis], node.stride[axis], node.dilation[axis]
    origins = range(-node.padding[axis], -node.padding[axis] + places * stride, stride)
    taps = [tap for tap in range(kernel) if any(0 <= at + tap * dilation < extent for at in origins)]
    first, last = (taps[0], taps[-1]) if taps else (0, 0)
    if last - first + 1 == kernel:
        return node
    padding, ends = list(node.padding), list(node.windows.end_padding)
    padding[axis] -= first * dilation
    ends[axis] -= (kernel - 1 - last) * dilation
    cut = replace(node, padding=(padding[0], padding[1]), end_padding=(ends[0], ends[1]))
    if isinstance(cut, MaxPool2d):
        size = list(cut.kernel_size)
        size[axis] = last - first + 1
        return replace(cut, kernel_size=(size[0], size[1]))
    kept = (slice(None),) * (2 + axis) + (slice(first, last + 1),)
    return replace(cut, weight=cut.weight[kept], codebook=None)
