"""Windows of convolutions and pools along the axes of a map: sizes, steps, and what is around the map.

A padding is written as ONNX does: what is before each axis, then what is behind each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from bitlathe.model.onnx.importer import NO_PADDING, AxisOrder, Importer, OnnxValue, Padding
from bitlathe.model.onnx.network import Pad
from bitlathe.model.onnx.proto import OnnxNode

Sizes = tuple[int, ...]  # one for each axis behind the channels


def layer_of(kinds: Sequence[type[nn.Module]], axes: int) -> Any:
    """The layer of PyTorch for maps of one axis or two."""
    return kinds[axes - 1]


def map_axes(node: OnnxNode, x: OnnxValue) -> int:
    """How many axes a map has behind its channels; refuses what is not a map with channels first."""
    axes = x.example.ndim - 2
    if axes not in (1, 2) or x.layout is not AxisOrder.SAME:
        raise node.refusal(
            f"works on a tensor of shape {x.shape}", "only maps (N, C, H, W) and (N, C, L) are read"
        )
    return axes


def window_of(node: OnnxNode, x: OnnxValue) -> Sizes:
    """Sizes of a pool's window."""
    axes, kernel = map_axes(node, x), tuple(int(size) for size in node.attributes["kernel_shape"])
    if len(kernel) != axes:
        raise node.refusal(f"has a window of shape {kernel} over {x.shape}", "give it one size an axis")
    return kernel


def per_axis(node: OnnxNode, attribute: str, axes: int) -> Sizes:
    """An attribute with a number for each axis; ones if it is left out."""
    values = node.attributes.get(attribute) or (1,) * axes
    if len(values) != axes:
        raise node.refusal(f"has {attribute} {list(values)}", f"give it {axes} of them, one an axis")
    return tuple(int(value) for value in values)


def padding_of(node: OnnxNode, x: OnnxValue, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Padding:
    """What a node itself pads around a map."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return per_axis(node, "pads", 2 * len(kernel)) if node.attributes.get("pads") else NO_PADDING
    if auto == "VALID":
        return NO_PADDING
    before, after = [], []
    for size, window, step, spread in zip(x.shape[2:], kernel, stride, dilation, strict=True):
        amount = max((-(-size // step) - 1) * step + (window - 1) * spread + 1 - size, 0)
        smaller, larger = amount // 2, amount - amount // 2
        before.append(smaller if auto == "SAME_UPPER" else larger)
        after.append(larger if auto == "SAME_UPPER" else smaller)
    return (*before, *after)


def ends(padding: Padding, axes: int) -> tuple[Sizes, Sizes]:
    """What is before each axis, and what is behind it."""
    return padding[:axes] or (0,) * axes, padding[axes:] or (0,) * axes


def both(one: Padding, other: Padding) -> Padding:
    """Two paddings, one around the other."""
    return tuple(a + b for a, b in zip(one, other, strict=True)) if one and other else one or other


def padded(
    importer: Importer, node: OnnxNode, x: OnnxValue, padding: Padding, value: float = 0.0
) -> OnnxValue:
    """A map, without the zeros that its reader has taken over, in a frame of its own."""
    bare = OnnxValue(key=x.key, example=x.example, layout=x.layout, map=x.map)
    if not any(padding):
        return bare
    return importer.emit(node, Pad.around(padding, value), [bare], stem=f"{node.stem}_pad")
