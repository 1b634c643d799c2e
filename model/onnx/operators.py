"""One handler per ONNX operator: from a node to a layer of the module.

Sizes, attributes and their history: the operators' pages of the ONNX specification, opsets 7 to 21.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
from torch import Tensor, nn

from bitlathe.model.onnx.activations import ACTIVATIONS
from bitlathe.model.onnx.convolutions import CONVOLUTIONS
from bitlathe.model.onnx.importer import AxisOrder, Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.layouts import arranged, features, loaded, same_layout, tensor
from bitlathe.model.onnx.network import (
    AddConstant,
    Clip,
    Combine,
    MultiplyConstant,
    Reshape,
    ReverseSubtract,
    Total,
)
from bitlathe.model.onnx.pools import POOLS
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode
from bitlathe.model.onnx.quantized import QUANTIZERS
from bitlathe.model.onnx.resizing import RESIZES
from bitlathe.model.onnx.shapes import SHAPES

# ---- Layers with weights


def gemm(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Gemm of a vector and constant weights, in all its forms."""
    x, weight, bias = importer.value(node), importer.constant(node, 1), importer.constant(node, 2)
    if weight is None or node.attributes.get("transA", 0):
        raise node.refusal("transposes the image's vectors", "multiply vectors by constant weights")
    rows = weight if node.attributes.get("transB", 0) else weight.T
    rows = rows * np.float32(node.attributes.get("alpha", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias * np.float32(node.attributes.get("beta", 1.0)), (1, len(rows)))[0]
    return _linear(importer, node, x, rows, bias)


def matmul(importer: Importer, node: OnnxNode) -> OnnxValue:
    """MatMul of a vector and constant weights."""
    x, weight = importer.value(node), importer.constant(node, 1)
    if weight is None or weight.ndim != 2:
        raise node.refusal("multiplies by other than a constant matrix", "use dense layers and convolutions")
    return _linear(importer, node, x, weight.T, None)


def _linear(
    importer: Importer, node: OnnxNode, x: OnnxValue, rows: OnnxArray, bias: OnnxArray | None
) -> OnnxValue:
    if x.example.ndim == 4 and x.example.shape[2:] == (1, 1):
        x = importer.emit(
            node, Reshape((x.example.shape[1],)), [x], stem=f"{node.stem}_flat", layout=AxisOrder.SAME
        )
    if x.example.ndim != 2:
        raise node.refusal(f"works on a tensor of shape {x.shape}", "flatten to (N, features) before it")
    if x.layout is AxisOrder.FLATTENED_LAST:
        rows = features(x, rows)
    layer = nn.Linear(rows.shape[1], rows.shape[0], bias=bias is not None)
    importer.tie(loaded(layer, rows, bias), *node.inputs[1:3])
    return importer.emit(node, layer, [x], layout=AxisOrder.SAME)


def batch_normalization(importer: Importer, node: OnnxNode) -> OnnxValue:
    """BatchNormalization of channels by stored statistics."""
    x = importer.value(node)
    scale, bias, mean, variance = (importer.constant(node, place) for place in range(1, 5))
    assert scale is not None and bias is not None and mean is not None and variance is not None
    if not node.attributes.get("spatial", 1):
        raise node.refusal("normalises each pixel by itself", "normalise channels")
    kind = nn.BatchNorm2d if x.example.ndim == 4 else nn.BatchNorm1d
    layer = kind(len(scale), eps=float(node.attributes.get("epsilon", 1e-5)))
    if x.layout is not AxisOrder.SAME:
        raise node.refusal("works on channels that stand last", "export with channels first")
    state = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": variance}
    layer.load_state_dict({name: tensor(array) for name, array in state.items()}, strict=False)
    return importer.emit(node, layer, [x])


# ---- Arithmetic


def arithmetic(operator: str) -> NodeImporter:
    """Add, Sub, Mul, Div: of two tensors, or of a tensor and a constant, which is trained."""

    def read(importer: Importer, node: OnnxNode) -> OnnxValue:
        operands = [importer.operand(name) for name in node.inputs]
        places = [place for place, operand in enumerate(operands) if isinstance(operand, OnnxValue)]
        if len(places) == 2:
            left, right = importer.value(node, 0), importer.value(node, 1)
            same_layout(node, (left, right))
            return importer.emit(node, Combine(operator), [left, right])
        x, constant = importer.value(node, places[0]), importer.constant(node, 1 - places[0])
        assert constant is not None
        value, is_first = arranged(x, constant), places[0] == 0
        if operator == "add" or (operator == "sub" and is_first):
            name = node.inputs[1 - places[0]]
            biased = _biased(importer, x, value if operator == "add" else -value, name)
            if biased is not None:
                return biased
        return importer.emit(node, _with_constant(node, operator, value, is_first), [x])

    return read


def extremum(function: str, bound: Callable[[float], tuple[float, float]]) -> NodeImporter:
    """Max or Min of any number of tensors and numbers, as older converters write ReLU6 with numbers."""

    def read(importer: Importer, node: OnnxNode) -> OnnxValue:
        operands = [importer.operand(name) for name in node.inputs]
        tensors = [importer.value(node, at) for at, x in enumerate(operands) if isinstance(x, OnnxValue)]
        same_layout(node, tensors)
        made = tensors[0]
        for other in tensors[1:]:
            made = importer.emit(node, Combine(function), [made, other])
        for constant in (operand for operand in operands if isinstance(operand, np.ndarray)):
            if constant.size != 1:
                raise node.refusal(f"has a constant of shape {constant.shape}", "give one number")
            made = importer.emit(node, Clip(*bound(float(constant.item()))), [made])
        return made

    return read


def _biased(importer: Importer, x: OnnxValue, value: Tensor, name: str) -> OnnxValue | None:
    """A sum of a layer and constants as the layer with a bias; None where that is not the same."""
    layer, _ = importer.origin(x)
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is not None or importer.is_read_again(x):
        return None
    channels = len(layer.weight)
    by_channel = (1, channels) + (1,) * (x.example.ndim - 2)
    given = (1,) * (x.example.ndim - value.ndim) + tuple(value.shape)
    if value.numel() != 1 and given != by_channel:
        return None
    layer.bias = nn.Parameter(value.reshape(-1).expand(channels).clone())
    importer.tie(layer, "", name)
    return replace(x, example=x.example + value)


def _with_constant(node: OnnxNode, operator: str, value: Tensor, is_first: bool) -> nn.Module:
    """A layer of a tensor, the first operand or the second, and a constant."""
    if operator == "add":
        return AddConstant(value)
    if operator == "sub":
        return AddConstant(-value) if is_first else ReverseSubtract(value)
    if operator == "mul":
        return MultiplyConstant(value)
    if not is_first:
        raise node.refusal("divides a constant by the image's values", "divide by constants alone")
    return MultiplyConstant(1 / value)


def total(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Sum of any number of tensors."""
    operands = [importer.value(node, place) for place in range(len(node.inputs))]
    same_layout(node, operands)
    return importer.emit(node, Total(), operands)


HANDLERS: dict[str, NodeImporter] = {
    **CONVOLUTIONS,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_normalization,
    **ACTIVATIONS,
    "Max": extremum("maximum", lambda bound: (bound, inf)),
    "Min": extremum("minimum", lambda bound: (-inf, bound)),
    "Add": arithmetic("add"),
    "Sub": arithmetic("sub"),
    "Mul": arithmetic("mul"),
    "Div": arithmetic("div"),
    "Sum": total,
    **POOLS,
    **RESIZES,
    **SHAPES,
    **QUANTIZERS,
}
