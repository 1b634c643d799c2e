"""Bring the image, constants and weights to channels-first order, whatever the file uses."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.importer import AxisOrder, Importer, OnnxValue
from bitlathe.model.onnx.network import IMAGE, Reshape
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode


def read_image(importer: Importer, path: Path, shape: Shape) -> OnnxValue:
    """The graph's input for images (C, H, W); ShapeError if it takes others."""
    sizes = importer.graph.input_shape
    given, last = tuple(sizes[1:]), (*shape[1:], shape[0])
    example = torch.zeros(1, *shape)
    reader = OnnxNode(operator="input", name="image", inputs=(), outputs=(), attributes={})
    image = importer.made[IMAGE] = OnnxValue(key=IMAGE, example=example)
    if len(sizes) == 4 and _reads_channels_last(importer):
        if _fits(given, last):
            return OnnxValue(key=image.key, example=example, layout=AxisOrder.CHANNELS_LAST)
    elif len(sizes) == 4 and _fits(given, shape):
        return image
    elif len(sizes) == 4 and _fits(given, last):
        return OnnxValue(key=image.key, example=example, layout=AxisOrder.CHANNELS_LAST)
    elif len(sizes) == 3 and shape[0] == 1 and _fits(given, shape[1:]):
        return importer.emit(reader, Reshape(shape[1:]), [image])
    elif len(sizes) == 3 and shape[1] == 1 and _fits(given, (shape[0], shape[2])):
        return importer.emit(reader, Reshape((shape[0], shape[2])), [image])
    elif len(sizes) == 2 and _fits(given, (prod(shape),)):
        return importer.emit(reader, Reshape((prod(shape),)), [image])
    raise ShapeError(
        f"{path}: takes images of {given}, these are {shape}; name its own data set with `dataset`"
    )


def _fits(given: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(given) == len(shape) and all(a in (None, b) for a, b in zip(given, shape, strict=True))


def _reads_channels_last(importer: Importer) -> bool:
    """Whether every reader of the input first moves channels to the front."""
    graph = importer.graph
    readers = [node for node in graph.nodes if graph.input in node.inputs]
    return bool(readers) and all(
        node.operator == "Transpose" and tuple(node.attributes.get("perm", ())) == (0, 3, 1, 2)
        for node in readers
    )


def features(x: OnnxValue, rows: OnnxArray) -> OnnxArray:
    """The last axis of an array over flattened (H, W, C), in the order C, H, W."""
    assert x.map is not None
    channels, height, width = x.map
    apart = rows.reshape(*rows.shape[:-1], height, width, channels)
    return np.moveaxis(apart, -1, -3).reshape(rows.shape)


def arranged(x: OnnxValue, constant: OnnxArray) -> Tensor:
    """A constant operand in the layout of `x`."""
    array = np.asarray(constant, dtype=np.float32)
    if x.layout is AxisOrder.CHANNELS_LAST and array.size > 1:
        array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 3, 1, 2)
    if x.layout is AxisOrder.FLATTENED_LAST and array.size > 1:
        array = features(x, array)
    return tensor(array)


def tensor(array: OnnxArray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))  # a copy, which may be written


def loaded(layer: nn.Module, weight: OnnxArray, bias: OnnxArray | None) -> nn.Module:
    """A layer with its weights, and its bias if it has one."""
    state = {"weight": tensor(weight)} if bias is None else {"weight": tensor(weight), "bias": tensor(bias)}
    layer.load_state_dict(state)
    return layer


def same_layout(node: OnnxNode, operands: Sequence[OnnxValue]) -> None:
    if len({(operand.layout, operand.map) for operand in operands}) > 1:
        raise node.refusal("joins a map whose channels stand last with others", "export with channels first")
