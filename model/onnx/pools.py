"""Pools: windows, and where their padding is."""

from __future__ import annotations

from torch import nn

from bitlathe.model.graph.nodes import Pair
from bitlathe.model.onnx.importer import NO_PADDING, AxisOrder, Importer, NodeImporter, OnnxValue, Padding
from bitlathe.model.onnx.network import (
    IMAGE,
    Clip,
    Concatenate,
    Mean,
    Pad,
    Reshape,
    RoundToCodes,
    SelectChannels,
    Slice,
    Total,
)
from bitlathe.model.onnx.proto import OnnxNode

NON_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid)
KEEP_SIGN = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, Concatenate, Mean, Pad, Reshape, RoundToCodes),
    *(SelectChannels, Slice, Total),
)


def max_pool(importer: Importer, node: OnnxNode) -> OnnxValue:
    """MaxPool: uneven padding, and zeros that a Pad put around, of values that are nowhere negative."""
    x, dilation = importer.pending(node), pair(node, "dilations")
    is_positive = _is_non_negative(importer, x.key)
    if not is_positive:
        x = importer.value(node)  # zeros around it may be the largest values
    kernel, stride = _window(node, x)
    before, behind, sizes = _reached(node, x, kernel, stride, dilation)
    spans = [(size - 1) * spread + 1 for size, spread in zip(kernel, dilation, strict=True)]
    even = [
        (size + 2 * first - span) // step + 1
        for size, first, span, step in zip(x.example.shape[2:], before, spans, stride, strict=True)
    ]
    if tuple(even) != sizes:
        if not is_positive or min(behind) < 0:
            raise node.refusal(
                f"pads unevenly, by {(*before, *behind)}",
                "pad evenly, pool with a window that divides the map, or put a ReLU before it",
            )
        rows, columns = (max(last - first, 0) for first, last in zip(before, behind, strict=True))
        x = importer.emit(node, Pad((0, columns, 0, rows)), [_bare(x)], stem=f"{node.stem}_pad")
    return importer.emit(node, nn.MaxPool2d(kernel, stride, before, dilation), [_bare(x)])


def average_pool(importer: Importer, node: OnnxNode) -> OnnxValue:
    """AveragePool: zeros around that are counted, evenly or not; zeros that are not, evenly."""
    x = importer.pending(node)
    kernel, stride = _window(node, x)
    if set(pair(node, "dilations")) != {1}:
        raise node.refusal("is dilated", "use dilation 1")
    ceil_mode, asked = bool(node.attributes.get("ceil_mode", 0)), padding_of(node, x, kernel, stride, (1, 1))
    if node.attributes.get("count_include_pad", 0):
        around = _sum(asked, x.padding)
        if around[:2] == around[2:]:
            return importer.emit(node, nn.AvgPool2d(kernel, stride, around[:2], ceil_mode, True), [_bare(x)])
        top, left, bottom, right = around
        x = importer.emit(node, Pad((left, right, top, bottom)), [_bare(x)], stem=f"{node.stem}_pad")
        return importer.emit(node, nn.AvgPool2d(kernel, stride, 0, ceil_mode), [x])
    x = importer.value(node)
    before, behind, _ = _reached(node, x, kernel, stride, (1, 1))
    if before == (0, 0) and max(behind) <= 0:  # no window reaches beyond the map
        return importer.emit(node, nn.AvgPool2d(kernel, stride, 0), [x])
    if asked[:2] != asked[2:]:
        raise node.refusal(
            f"pads unevenly, by {asked}", "pad evenly, or pool with a window that divides the map"
        )
    return importer.emit(node, nn.AvgPool2d(kernel, stride, asked[:2], ceil_mode, False), [x])


def global_average(importer: Importer, node: OnnxNode) -> OnnxValue:
    """GlobalAveragePool."""
    return importer.emit(node, nn.AdaptiveAvgPool2d(1), [importer.value(node)])


def global_maximum(importer: Importer, node: OnnxNode) -> OnnxValue:
    """GlobalMaxPool."""
    x = importer.value(node)
    return importer.emit(node, nn.MaxPool2d((x.example.shape[2], x.example.shape[3])), [x])


def pair(node: OnnxNode, attribute: str) -> Pair:
    """An attribute of two axes; ones if it is left out."""
    values = node.attributes.get(attribute) or (1, 1)
    if len(values) != 2:
        raise node.refusal(f"has {attribute} {list(values)}", "only maps of two axes are read")
    return int(values[0]), int(values[1])


def padding_of(
    node: OnnxNode, x: OnnxValue, kernel: tuple[int, ...], stride: Pair, dilation: Pair
) -> Padding:
    """What a node itself pads above, left, below and right of a map."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        top, left, bottom, right = (int(amount) for amount in node.attributes.get("pads") or NO_PADDING)
        return top, left, bottom, right
    if auto == "VALID":
        return NO_PADDING
    before, after = [], []
    for size, window, step, spread in zip(x.shape[2:], kernel, stride, dilation, strict=True):
        amount = max((-(-size // step) - 1) * step + (window - 1) * spread + 1 - size, 0)
        smaller, larger = amount // 2, amount - amount // 2
        before.append(smaller if auto == "SAME_UPPER" else larger)
        after.append(larger if auto == "SAME_UPPER" else smaller)
    return before[0], before[1], after[0], after[1]


def _window(node: OnnxNode, x: OnnxValue) -> tuple[Pair, Pair]:
    """Sizes and strides of a pool's window."""
    kernel = tuple(int(size) for size in node.attributes["kernel_shape"])
    if len(kernel) != 2 or x.layout is not AxisOrder.SAME:
        raise node.refusal(f"has a window of shape {kernel}", "only pools over (N, C, H, W) are read")
    return (kernel[0], kernel[1]), pair(node, "strides")


def _reached(
    node: OnnxNode, x: OnnxValue, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Pair, Pair, Pair]:
    """Padding before a map, how far the last window goes beyond it, and sizes of the output, by axis."""
    around = _sum(padding_of(node, x, kernel, stride, dilation), x.padding)
    before, behind, sizes = [], [], []
    for axis in (0, 1):
        size, first, last = x.example.shape[2 + axis], around[axis], around[2 + axis]
        span = (kernel[axis] - 1) * dilation[axis] + 1
        room = size + first + last - span
        count = room // stride[axis] + 1
        if node.attributes.get("ceil_mode", 0):
            count = -(-room // stride[axis]) + 1
            count -= (count - 1) * stride[axis] >= size + first  # no window starts behind the map
        before.append(first)
        behind.append((count - 1) * stride[axis] + span - size - first)
        sizes.append(count)
    return (before[0], before[1]), (behind[0], behind[1]), (sizes[0], sizes[1])


def _sum(one: Padding, other: Padding) -> Padding:
    top, left, bottom, right = (a + b for a, b in zip(one, other, strict=True))
    return top, left, bottom, right


def _bare(x: OnnxValue) -> OnnxValue:
    """A tensor without the zeros around it, which its reader has taken over."""
    return OnnxValue(key=x.key, example=x.example, layout=x.layout, map=x.map)


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
}
