"""Nodes that bring a map's values into another order: slices, pads, shuffles, repetitions.

Reshapes, permutations and slices are followed value by value, as the places where each value was before; only
what reads the result as a map needs nodes. A place is (channel * height + row) * width + column, or -1 for
a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from bitlathe.model.capture.float_network import (
    FloatConv2d,
    FloatConvTranspose2d,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatUpsample2d,
)
from bitlathe.model.capture.folding import identity
from bitlathe.model.graph.nodes import Pair, Shape, Windows

Order = npt.NDArray[np.int64]
Namer = Callable[[str], str]


def made_of_images(places: Order, shape: Shape, images: int) -> bool:
    """Whether each image's values come from that image alone, in one order for all."""
    if len(places) != images:
        return False
    count = int(np.prod(shape))
    later = np.where(
        places[0] < 0, -1, places[0] + np.arange(images).reshape(-1, *[1] * (places.ndim - 1)) * count
    )
    return bool((places[0] < count).all()) and np.array_equal(places, later)


def common_name(first: str, second: str, taken: Container[str]) -> str:
    """The words that two names begin with, unless that name is taken: x for x_slice and x_pad."""
    words = zip(first.split("_"), second.split("_"), strict=False)
    shared = "_".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], words))
    return shared if shared and shared not in taken else first


Step = Callable[[str, FloatNode], FloatNode]  # a node of a name, on its source


def steps_to(shape: Shape, places: Order) -> list[Step] | None:
    """Steps from a map of `shape` to one of `places` (C, H, W); None if nothing here makes it."""
    if np.array_equal(places.ravel(), np.arange(np.prod(shape))) and places.shape == shape:
        return []
    attempts = (attempt(shape, places) for attempt in (_taken, _spread, _gathered))
    return next((steps for steps in attempts if steps is not None), None)


def chained(source: FloatNode, steps: Sequence[Step], name: str, namer: Namer) -> tuple[FloatNode, ...]:
    """Nodes, one a step, the last one `name`."""
    nodes: list[FloatNode] = []
    for step in steps:
        is_last = step is steps[-1]
        own = name if is_last else namer(f"{name}_part{len(nodes) + 1}")
        nodes.append(step(own, nodes[-1] if nodes else source))
    return tuple(nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """Rows (or columns) taken: `first`, `first + step`, ..., each `repeats` times, between zeros."""

    first: int
    step: int
    count: int
    repeats: int
    before: int
    behind: int

    @classmethod
    def of(cls, places: Order) -> _Axis | None:
        """Of the row that each row comes from; None for any other order."""
        (taken,) = np.nonzero(places >= 0)
        if len(taken) == 0:
            return None
        core = places[taken[0] : taken[-1] + 1]
        repeats = int(np.argmax(core != core[0])) if (core != core[0]).any() else len(core)
        chosen = core[::repeats]
        step = int(chosen[1] - chosen[0]) if len(chosen) > 1 else 1
        line = chosen[0] + step * (np.arange(len(core)) // repeats)
        if step < 1 or len(core) % repeats or not np.array_equal(core, line):
            return None
        return cls(
            first=int(chosen[0]),
            step=step,
            count=len(chosen),
            repeats=repeats,
            before=int(taken[0]),
            behind=len(places) - 1 - int(taken[-1]),
        )

    def window(self, size: int, before: int, behind: int) -> tuple[int, int, int] | None:
        """Stride, padding and end padding of a 1-wide window that takes them with zeros around, or None."""
        padding = self.step * before - self.first
        total = before + self.count + behind
        visited = self.step * np.arange(total) - padding
        inside = (visited >= 0) & (visited < size)
        if inside.sum() != self.count or not inside[before : before + self.count].all():
            return None
        return self.step, padding, self.step * (total - 1) + 1 - size - padding


def _separated(shape: Shape, places: Order) -> tuple[Order, Order, Order] | None:
    """Channel, row and column that each channel, row and column comes from, where they are independent."""
    _, height, width = shape
    parts = (places // (height * width), places // width % height, places % width)
    channels, rows, columns = (
        np.where(places >= 0, part, -1).max(axis=tuple({0, 1, 2} - {axis})) for axis, part in enumerate(parts)
    )
    grid = np.ix_(channels, rows, columns)
    made = np.where(np.minimum(np.minimum(grid[0], grid[1]), grid[2]) < 0, -1, 0)
    made = np.where(made < 0, -1, (grid[0] * height + grid[1]) * width + grid[2])
    return (channels, rows, columns) if np.array_equal(made, places) else None


def _taken(shape: Shape, places: Order) -> list[Step] | None:
    """Channels, evenly spaced rows and columns, repeated rows and columns, zeros around."""
    separated = _separated(shape, places)
    axes = None if separated is None else (_Axis.of(separated[1]), _Axis.of(separated[2]))
    if separated is None or axes is None or axes[0] is None or axes[1] is None:
        return None
    channels, rows, columns = separated[0], axes[0], axes[1]
    repeats = (rows.repeats, columns.repeats)
    whole = [
        axis.window(size, axis.before, axis.behind)
        for axis, size in zip((rows, columns), shape[1:], strict=True)
    ]
    if repeats == (1, 1) and whole[0] is not None and whole[1] is not None:
        return [_selecting(channels, whole[0], whole[1])]
    steps: list[Step] = []
    inner = [axis.window(size, 0, 0) for axis, size in zip((rows, columns), shape[1:], strict=True)]
    assert inner[0] is not None and inner[1] is not None
    if not _is_all(channels, shape[0]) or inner != [(1, 0, 0), (1, 0, 0)]:
        steps.append(_selecting(channels, inner[0], inner[1]))
    if repeats != (1, 1):
        steps.append(_repeating(repeats))
    if rows.before or rows.behind or columns.before or columns.behind:
        around = ((1, rows.before, rows.behind), (1, columns.before, columns.behind))
        steps.append(_selecting(np.arange(len(channels)), *around))
    return steps


def only_around(shape: Shape, places: Order) -> tuple[Pair, Pair] | None:
    """Zeros around a map, before and behind, negative where rows or columns are cut off; else None."""
    separated = _separated(shape, places)
    if separated is None or not _is_all(separated[0], shape[0]):
        return None
    pairs = []
    for taken, size in zip(separated[1:], shape[1:], strict=True):
        axis = _Axis.of(taken)
        if axis is None or axis.repeats > 1 or axis.step != 1:
            return None
        window = axis.window(size, axis.before, axis.behind)
        if window is None:
            return None
        pairs.append(window[1:])
    return (pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1])


def _is_all(channels: Order, count: int) -> bool:
    return np.array_equal(channels, np.arange(count))


def _selecting(channels: Order, rows: tuple[int, int, int], columns: tuple[int, int, int]) -> Step:
    """A 1x1 convolution that passes on channels exactly, and zeros for -1; stride, paddings of each axis."""
    stride, padding, end = zip(rows, columns, strict=True)

    def make(name: str, source: FloatNode) -> FloatNode:
        windows = Windows(kernel_size=(1, 1), stride=stride, padding=padding, end_padding=end)
        if _is_all(channels, source.shape[0]) and stride == (1, 1):
            shape = (len(channels), *windows.size(name, *source.shape[1:]))
            return moving(identity(name, source.name, shape), windows)
        weight = np.zeros((len(channels), source.shape[0], 1, 1), dtype=np.float32)
        taken = np.flatnonzero(channels >= 0)
        weight[taken, channels[taken]] = 1
        return _one_hot(name, source, weight, windows)

    return make


def moving(layer: FloatConv2d, windows: Windows) -> FloatConv2d:
    """The layer with kernels that move so."""
    even = windows.end_padding == windows.padding
    return replace(
        layer,
        stride=windows.stride,
        padding=windows.padding,
        end_padding=None if even else windows.end_padding,
        dilation=windows.dilation,
    )


def _one_hot(name: str, source: FloatNode, weight: npt.NDArray[np.float32], windows: Windows) -> FloatConv2d:
    layer = FloatConv2d(
        name=name,
        shape=(len(weight), *windows.size(name, *source.shape[1:])),
        source=source.name,
        weight=weight,
        bias=np.zeros(len(weight)),
        groups=source.shape[0] // weight.shape[1],
    )
    return moving(layer, windows)


def _repeating(factors: Pair) -> Step:
    def make(name: str, source: FloatNode) -> FloatNode:
        channels, height, width = source.shape
        shape = (channels, height * factors[0], width * factors[1])
        return FloatUpsample2d(name=name, shape=shape, source=source.name, factors=factors)

    return make


def _spread(shape: Shape, places: Order) -> list[Step] | None:
    """Channels that become pixels of blocks."""
    (_, height, width), (count, rows, columns) = shape, places.shape
    if rows % height or columns % width or (rows, columns) == (height, width):
        return None
    factors = (rows // height, columns // width)
    blocks = places.reshape(count, height, factors[0], width, factors[1]).transpose(0, 2, 4, 1, 3)
    separated = _separated(shape, np.ascontiguousarray(blocks).reshape(-1, height, width))
    if separated is None or not (_is_all(separated[1], height) and _is_all(separated[2], width)):
        return None
    channels = separated[0]
    if factors[0] != factors[1]:
        return [_placing(channels, factors)]
    steps = [] if _is_all(channels, shape[0]) else [_selecting(channels, (1, 0, 0), (1, 0, 0))]
    return [*steps, _shuffling(factors[0])]


def _shuffling(factor: int) -> Step:
    def make(name: str, source: FloatNode) -> FloatNode:
        channels, height, width = source.shape
        shape = (channels // factor**2, height * factor, width * factor)
        return FloatPixelShuffle2d(name=name, shape=shape, source=source.name, factor=factor)

    return make


def _placing(channels: Order, factors: Pair) -> Step:
    """A transposed convolution that puts each channel at a pixel of a block, of any height and width."""

    def make(name: str, source: FloatNode) -> FloatNode:
        count, area = len(channels) // (factors[0] * factors[1]), factors[0] * factors[1]
        weight = np.zeros((count, source.shape[0], area), dtype=np.float32)
        taken = np.flatnonzero(channels >= 0)
        weight[taken // area, channels[taken], taken % area] = 1
        return FloatConvTranspose2d(
            name=name,
            shape=(count, source.shape[1] * factors[0], source.shape[2] * factors[1]),
            source=source.name,
            weight=weight.reshape(count, -1, *factors),
            bias=np.zeros(count),
            stride=factors,
        )

    return make


def _gathered(shape: Shape, places: Order) -> list[Step] | None:
    """Pixels that become channels: each channel of the result has an offset of its own, all one stride."""
    channels, height, width = shape
    if (places < 0).any():
        return None
    starts = places[:, 0, 0]
    chosen, rows, columns = starts // (height * width), starts // width % height, starts % width
    kernel = (int(rows.max()) + 1, int(columns.max()) + 1)
    stride = (
        int(places[0, 1, 0] - places[0, 0, 0]) // width if places.shape[1] > 1 else kernel[0],
        int(places[0, 0, 1] - places[0, 0, 0]) if places.shape[2] > 1 else kernel[1],
    )
    down, right = stride[0] * np.arange(places.shape[1]), stride[1] * np.arange(places.shape[2])
    made = starts[:, None, None] + down[:, None] * width + right
    inside = rows.max() + down[-1] < height and columns.max() + right[-1] < width
    if min(stride) < 1 or not inside or not np.array_equal(made, places):
        return None
    factor = stride[0]
    if stride == (factor, factor) and (height, width) == (places.shape[1] * factor, places.shape[2] * factor):
        taken = (chosen * factor + rows) * factor + columns
        rest = [] if _is_all(taken, channels * factor**2) else [_selecting(taken, (1, 0, 0), (1, 0, 0))]
        return [_unshuffling(factor), *rest]
    ends = (int(down[-1]) + kernel[0] - height, int(right[-1]) + kernel[1] - width)
    windows = Windows(kernel_size=kernel, stride=stride, end_padding=ends)
    return [_fetching(chosen, rows, columns, windows)]


def _unshuffling(factor: int) -> Step:
    def make(name: str, source: FloatNode) -> FloatNode:
        channels, height, width = source.shape
        shape = (channels * factor**2, height // factor, width // factor)
        return FloatPixelUnshuffle2d(name=name, shape=shape, source=source.name, factor=factor)

    return make


def _fetching(chosen: Order, rows: Order, columns: Order, windows: Windows) -> Step:
    """A convolution whose kernels have one 1 each."""

    def make(name: str, source: FloatNode) -> FloatNode:
        channels, count = source.shape[0], len(chosen)
        by_channel = np.repeat(np.arange(channels), count // channels)
        apart = np.array_equal(chosen, by_channel)
        weight = np.zeros((count, 1 if apart else channels, *windows.kernel_size), dtype=np.float32)
        weight[np.arange(count), 0 if apart else chosen, rows, columns] = 1
        return _one_hot(name, source, weight, windows)

    return make
