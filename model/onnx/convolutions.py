"""Convolutions and transposed convolutions, over maps of one axis or two."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bitlathe.model.onnx.importer import NO_PADDING, AxisOrder, Importer, NodeImporter, OnnxValue, Padding
from bitlathe.model.onnx.layouts import loaded
from bitlathe.model.onnx.network import Pad
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode
from bitlathe.model.onnx.windows import Sizes, both, ends, layer_of, map_axes, padded, padding_of, per_axis


def convolution(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Conv of any groups and dilation; what is uneven of its padding is a layer before it."""
    x = importer.pending(node)
    weight, axes = _weight(importer, node, x), map_axes(node, x)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    around = both(padding_of(node, x, weight.shape[2:], stride, dilation), x.padding)
    before, behind = ends(around, axes)
    even = tuple(max(min(first, last), 0) for first, last in zip(before, behind, strict=True))
    rest = tuple(amount - each for amount, each in zip((*before, *behind), even * 2, strict=True))
    groups, bias = int(node.attributes.get("group", 1)), importer.constant(node, 2)
    layer = layer_of((nn.Conv1d, nn.Conv2d), axes)(
        weight.shape[1] * groups,
        weight.shape[0],
        weight.shape[2:],
        stride,
        even,
        dilation,
        groups,
        bias=bias is not None,
    )
    source = padded(importer, node, x, rest)
    importer.tie(loaded(layer, weight, bias), *node.inputs[1:3])
    return importer.emit(node, layer, [source], layout=AxisOrder.SAME)


def transposed(importer: Importer, node: OnnxNode) -> OnnxValue:
    """ConvTranspose; rows and columns that no padding of PyTorch's takes off are cropped behind it."""
    x = importer.value(node)
    weight, axes = _weight(importer, node, x), map_axes(node, x)
    stride, dilation = per_axis(node, "strides", axes), per_axis(node, "dilations", axes)
    groups, bias = int(node.attributes.get("group", 1)), importer.constant(node, 2)
    cropped = _crops(node, x, weight.shape[2:], stride, dilation)
    reach = [max(pair) - 1 for pair in zip(stride, dilation, strict=True)]  # most that can be added behind
    padding, more = [], []
    for before, behind, most in zip(*ends(cropped, axes), reach, strict=True):
        padding.append(min(before, behind + most))
        more.append(max(padding[-1] - behind, 0))
    if min(padding) < 0:
        raise node.refusal(f"adds {list(cropped)} around its sums", "give output_padding below the stride")
    layer = layer_of((nn.ConvTranspose1d, nn.ConvTranspose2d), axes)(
        weight.shape[0],
        weight.shape[1] * groups,
        weight.shape[2:],
        stride,
        tuple(padding),
        tuple(more),
        groups,
        bias is not None,
        dilation,
    )
    importer.tie(loaded(layer, weight, bias), *node.inputs[1:3])
    made = importer.emit(node, layer, [x], layout=AxisOrder.SAME)
    taken = (*padding, *(first - last for first, last in zip(padding, more, strict=True)))
    rest = tuple(done - wanted for done, wanted in zip(taken, cropped, strict=True))
    return importer.emit(node, Pad.around(rest), [made], stem=f"{node.stem}_crop") if any(rest) else made


def _weight(importer: Importer, node: OnnxNode, x: OnnxValue) -> OnnxArray:
    weight = importer.constant(node, 1)
    assert weight is not None
    if weight.ndim != x.example.ndim or x.layout is not AxisOrder.SAME:
        raise node.refusal(
            f"has weights of shape {weight.shape} for a tensor of shape {x.shape}",
            "only convolutions over (N, C, H, W) and (N, C, L) are read",
        )
    return weight


def _crops(node: OnnxNode, x: OnnxValue, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Padding:
    """How much a transposed convolution takes off the whole sums, before and behind each axis.

    Source: the operator's page in the ONNX specification.
    """
    axes, auto = len(kernel), node.attributes.get("auto_pad", "NOTSET")
    more = node.attributes.get("output_padding") or (0,) * axes
    whole = [
        (size - 1) * step + (window - 1) * spread + 1
        for size, window, step, spread in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    asked: Sequence[int] | None = node.attributes.get("output_shape")
    if asked is None and auto.startswith("SAME"):
        asked = [size * step for size, step in zip(x.shape[2:], stride, strict=True)]
    if asked is None:
        given = NO_PADDING if auto == "VALID" else tuple(node.attributes.get("pads") or NO_PADDING)
        before, behind = ends(given, axes)
        return (*before, *(amount - extra for amount, extra in zip(behind, more, strict=True)))
    total = [
        max(size + extra - wanted, 0) for size, extra, wanted in zip(whole, more, asked[-axes:], strict=True)
    ]
    before = tuple(amount // 2 if auto == "SAME_UPPER" else amount - amount // 2 for amount in total)
    left = zip(whole, asked[-axes:], before, strict=True)
    return (*before, *(size - wanted - first for size, wanted, first in left))


CONVOLUTIONS: dict[str, NodeImporter] = {"Conv": convolution, "ConvTranspose": transposed}
