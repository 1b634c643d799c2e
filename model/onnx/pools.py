"""Pools over maps of one axis or two: windows, and where their padding is."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from torch import nn

from bitlathe.model.onnx.importer import AxisOrder, Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.network import (
    IMAGE,
    Clip,
    Concatenate,
    HardSigmoid,
    Mean,
    Pad,
    Reshape,
    RoundToCodes,
    SelectChannels,
    Slice,
    Total,
)
from bitlathe.model.onnx.proto import OnnxNode
from bitlathe.model.onnx.windows import (
    Sizes,
    both,
    ends,
    layer_of,
    map_axes,
    padded,
    padding_of,
    per_axis,
    window_of,
)

NON_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus, HardSigmoid)
MAX_POOLS, AVERAGE_POOLS = (nn.MaxPool1d, nn.MaxPool2d), (nn.AvgPool1d, nn.AvgPool2d)
KEEP_SIGN = (
    *(*MAX_POOLS, *AVERAGE_POOLS, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    *(Concatenate, Mean, Pad, Reshape, RoundToCodes, SelectChannels, Slice, Total),
)
MakePool = Callable[[Sizes, bool], nn.Module]  # of a padding before and behind each axis, and its ceil mode


def max_pool(importer: Importer, node: OnnxNode) -> OnnxValue:
    """MaxPool: values that padding can never exceed, or zeros where a Pad put them."""
    x = importer.pending(node)
    if not _is_non_negative(importer, x.key):
        x = importer.value(node)  # zeros around it may be the largest values
    kernel, axes = window_of(node, x), map_axes(node, x)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)

    def pool(padding: Sizes, ceil_mode: bool) -> nn.Module:
        made: nn.Module = layer_of(MAX_POOLS, axes)(
            kernel, stride, padding, dilation=dilation, ceil_mode=ceil_mode
        )
        return made

    windows = _Windows(node, x, kernel, stride, dilation)
    if (made := _pooled(importer, node, x, windows, pool)) is not None:
        return made
    behind = tuple(max(amount, 0) for amount in windows.reach)
    least = 0.0 if _is_non_negative(importer, x.key) else -inf
    wide = padded(importer, node, x, (*windows.before, *behind), least)
    return importer.emit(node, pool((0,) * axes, False), [wide])


def average_pool(importer: Importer, node: OnnxNode) -> OnnxValue:
    """AveragePool: zeros around that are counted, or padding that is not."""
    x = importer.pending(node)
    kernel, axes = window_of(node, x), map_axes(node, x)
    stride, ones = per_axis(node, "strides", axes), (1,) * axes
    if set(per_axis(node, "dilations", axes)) != {1}:
        raise node.refusal("is dilated", "use dilation 1")
    kind, ceil_mode = layer_of(AVERAGE_POOLS, axes), bool(node.attributes.get("ceil_mode", 0))
    if node.attributes.get("count_include_pad", 0):
        before, behind = ends(both(padding_of(node, x, kernel, stride, ones), x.padding), axes)
        is_even = before == behind and all(2 * a <= size for a, size in zip(before, kernel, strict=True))
        source = padded(importer, node, x, () if is_even else (*before, *behind))
        padding = before if is_even else (0,) * axes
        return importer.emit(node, kind(kernel, stride, padding, ceil_mode, True), [source])
    x = importer.value(node)
    windows = _Windows(node, x, kernel, stride, ones)
    made = _pooled(importer, node, x, windows, lambda p, ceil: kind(kernel, stride, p, ceil, not any(p)))
    if made is None:
        raise node.refusal(
            f"pads unevenly, by {(*windows.before, *windows.reach)}",
            "pad by at most half a window, or pool with a window that divides the map",
        )
    return made


class _Windows:
    """Windows along each axis of a map: what a pool pads before it, where the last one ends, how many."""

    def __init__(self, node: OnnxNode, x: OnnxValue, kernel: Sizes, stride: Sizes, dilation: Sizes) -> None:
        self.kernel, self.stride = kernel, stride
        self.span = tuple((size - 1) * spread + 1 for size, spread in zip(kernel, dilation, strict=True))
        around = both(padding_of(node, x, kernel, stride, dilation), x.padding)
        self.before, behind = ends(around, len(kernel))
        self.sizes: Sizes = tuple(x.example.shape[2:])
        is_ceil = bool(node.attributes.get("ceil_mode", 0))
        self.count = tuple(
            self.along(axis, first, last, is_ceil)
            for axis, (first, last) in enumerate(zip(self.before, behind, strict=True))
        )
        self.reach = tuple(
            (count - 1) * step + span - size - first
            for count, step, span, size, first in zip(
                self.count, stride, self.span, self.sizes, self.before, strict=True
            )
        )

    def along(self, axis: int, before: int, behind: int, is_ceil: bool) -> int:
        """How many windows an axis has; none starts behind the map."""
        size, step = self.sizes[axis], self.stride[axis]
        room = size + before + behind - self.span[axis]
        if not is_ceil:
            return room // step + 1
        count = -(-room // step) + 1
        return count - ((count - 1) * step >= size + before)

    def even(self, axis: int) -> tuple[int, bool] | None:
        """An even padding, and its ceil mode, whose windows are these and perhaps others around them."""
        before = self.before[axis]
        for padding in range(before, self.kernel[axis] // 2 + 1, self.stride[axis]):  # PyTorch's limit
            skipped = (padding - before) // self.stride[axis]
            for is_ceil in (False, True):
                if self.along(axis, padding, padding, is_ceil) >= skipped + self.count[axis]:
                    return padding, is_ceil
        return None


def _pooled(
    importer: Importer, node: OnnxNode, x: OnnxValue, windows: _Windows, pool: MakePool
) -> OnnxValue | None:
    """A pool that leaves its padding out, evenly padded, less the windows too many; None if none fits."""
    axes = range(len(windows.count))
    if max(windows.reach) <= 0 and not any(windows.before):  # no window reaches beyond the map
        return importer.emit(node, pool((0,) * len(axes), False), [padded(importer, node, x, ())])
    found = [even for axis in axes if (even := windows.even(axis)) is not None]
    if len(found) < len(axes):
        return None
    padding, is_ceil = tuple(amount for amount, _ in found), any(ceil for _, ceil in found)
    made = importer.emit(node, pool(padding, is_ceil), [padded(importer, node, x, ())])
    for axis, amount in enumerate(padding):
        first = (amount - windows.before[axis]) // windows.stride[axis]
        wanted = range(first, first + windows.count[axis])
        if wanted != range(made.example.shape[2 + axis]):
            part = Slice(2 + axis, wanted.start, wanted.stop, 1)
            made = importer.emit(node, part, [made], stem=f"{node.stem}_part")
    return made


def global_average(importer: Importer, node: OnnxNode) -> OnnxValue:
    """GlobalAveragePool."""
    x = importer.value(node)
    kind = layer_of((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), x.example.ndim - 2)
    return importer.emit(node, kind(1), [x])


def global_maximum(importer: Importer, node: OnnxNode) -> OnnxValue:
    """GlobalMaxPool."""
    x = importer.value(node)
    return importer.emit(node, layer_of(MAX_POOLS, x.example.ndim - 2)(tuple(x.example.shape[2:])), [x])


def reduce_max(importer: Importer, node: OnnxNode) -> OnnxValue:
    """ReduceMax over height and width, which is a GlobalMaxPool."""
    x = importer.value(node)
    axes = {x.axis(axis) for axis in importer.integers(node, "axes", 1) or ()}
    if x.example.ndim not in (3, 4) or axes != set(range(2, x.example.ndim)):
        raise node.refusal(f"is over axes {sorted(axes)} of {x.shape}", "take it over height and width")
    pooled = global_maximum(importer, node)
    if node.attributes.get("keepdims", 1):
        return pooled
    flat = Reshape((x.example.shape[1],))
    return importer.emit(node, flat, [pooled], stem=f"{node.stem}_flat", layout=AxisOrder.SAME)


def reduce_mean(importer: Importer, node: OnnxNode) -> OnnxValue:
    """ReduceMean; if it drops the reduced axes, the layout no longer matters."""
    x = importer.value(node)
    named = importer.integers(node, "axes", 1)
    if not named and node.attributes.get("noop_with_empty_axes", 0):
        return x
    named = named or tuple(range(1, x.example.ndim))
    axes, keep = sorted(x.axis(axis) for axis in named), bool(node.attributes.get("keepdims", 1))
    layout = x.layout if keep else AxisOrder.SAME
    return importer.emit(node, Mean(axes, keep), [x], layout=layout)


def _is_non_negative(importer: Importer, key: str) -> bool:
    """Whether the layers that make a tensor cannot make negative values."""
    if key == IMAGE:
        return False
    step = next(step for step in importer.steps if step.result == key)
    layer = importer.layers[step.layer]
    if isinstance(layer, NON_NEGATIVE) or (isinstance(layer, Clip) and layer.low >= 0):
        return True
    return isinstance(layer, KEEP_SIGN) and all(_is_non_negative(importer, source) for source in step.sources)


POOLS: dict[str, NodeImporter] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_maximum,
    "ReduceMax": reduce_max,
    "ReduceMean": reduce_mean,
}
