"""One handler per ONNX operator: from a node to a layer of the module.

Sizes, attributes and their history: the operators' pages of the ONNX specification, opsets 7 to 21.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
from torch import Tensor, nn

from bitlathe.model.onnx.importer import AxisOrder, Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.layouts import arranged, features, same_layout, tensor
from bitlathe.model.onnx.network import (
    AddConstant,
    Clip,
    Combine,
    Mean,
    MultiplyConstant,
    Reshape,
    ReverseSubtract,
    Total,
)
from bitlathe.model.onnx.pools import POOLS, global_maximum, padding_of, pair
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode
from bitlathe.model.onnx.quantized import QUANTIZERS
from bitlathe.model.onnx.shapes import SHAPES

# ---- Layers with weights


def convolution(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Conv of maps; uneven padding becomes zeros in the kernel, which does not change the sums."""
    x, weight = importer.pending(node), importer.constant(node, 1)
    assert weight is not None
    if weight.ndim != 4 or x.layout is not AxisOrder.SAME:
        raise node.refusal(
            f"has weights of shape {weight.shape}", "only convolutions over (N, C, H, W) are read"
        )
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    asked = padding_of(node, x, weight.shape[2:], stride, dilation)
    top, left, bottom, right = (a + b for a, b in zip(asked, x.padding, strict=True))
    padding = max(top, bottom), max(left, right)
    if (top, left) != (bottom, right):
        if set(dilation) != {1}:
            raise node.refusal("pads unevenly with a dilation", "pad evenly")
        around = ((padding[0] - top, padding[0] - bottom), (padding[1] - left, padding[1] - right))
        weight = np.pad(weight, ((0, 0), (0, 0), *around))
    groups, bias = int(node.attributes.get("group", 1)), importer.constant(node, 2)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride,
        padding,
        dilation,
        groups,
        bias=bias is not None,
    )
    return importer.emit(node, _loaded(layer, weight, bias), [x], layout=AxisOrder.SAME)


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
    return importer.emit(node, _loaded(layer, rows, bias), [x], layout=AxisOrder.SAME)


def _loaded(layer: nn.Module, weight: OnnxArray, bias: OnnxArray | None) -> nn.Module:
    state = {"weight": tensor(weight)} if bias is None else {"weight": tensor(weight), "bias": tensor(bias)}
    layer.load_state_dict(state)
    return layer


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


# ---- Activations


def activation(make: Callable[[OnnxNode], nn.Module]) -> NodeImporter:
    """A function of one value, whatever the layout."""
    return lambda importer, node: importer.emit(node, make(node), [importer.value(node)])


def clip(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Clip: bounds are attributes up to opset 10 and operands since."""
    low, high = (_bound(importer, node, name, place) for place, name in ((1, "min"), (2, "max")))
    bounds = (-inf if low is None else low, inf if high is None else high)
    layer: nn.Module = {(0.0, 6.0): nn.ReLU6(), (0.0, inf): nn.ReLU()}.get(bounds) or Clip(*bounds)
    return importer.emit(node, layer, [importer.value(node)])


def extremum(bound: Callable[[float], tuple[float, float]]) -> NodeImporter:
    """Min or Max of a tensor and one constant, as older converters write ReLU6."""

    def read(importer: Importer, node: OnnxNode) -> OnnxValue:
        operands = [importer.operand(name) for name in node.inputs]
        tensors = [place for place, operand in enumerate(operands) if isinstance(operand, OnnxValue)]
        if len(tensors) != 1 or len(operands) != 2:
            raise node.refusal(f"compares {len(tensors)} tensors", "compare one with a constant")
        constant = importer.constant(node, 1 - tensors[0])
        assert constant is not None
        if constant.size != 1:
            raise node.refusal(f"has a constant of shape {constant.shape}", "give one number")
        return importer.emit(node, Clip(*bound(float(constant.item()))), [importer.value(node, tensors[0])])

    return read


def _bound(importer: Importer, node: OnnxNode, name: str, place: int) -> float | None:
    if name in node.attributes:
        return float(node.attributes[name])
    operand = importer.constant(node, place)
    return None if operand is None else float(operand)


def prelu(importer: Importer, node: OnnxNode) -> OnnxValue:
    """PRelu with one slope, or one per channel."""
    x, slope = importer.value(node), importer.constant(node, 1)
    assert slope is not None
    layer = nn.PReLU(slope.size)
    return importer.emit(node, _loaded(layer, slope.reshape(-1), None), [x])


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
            biased = _biased(importer, x, value if operator == "add" else -value)
            if biased is not None:
                return biased
        return importer.emit(node, _with_constant(node, operator, value, is_first), [x])

    return read


def _biased(importer: Importer, x: OnnxValue, value: Tensor) -> OnnxValue | None:
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


# ---- Reductions


def reduce_max(importer: Importer, node: OnnxNode) -> OnnxValue:
    """ReduceMax over height and width, which is a GlobalMaxPool."""
    x = importer.value(node)
    axes = {x.axis(axis) for axis in importer.integers(node, "axes", 1) or ()}
    if x.example.ndim != 4 or axes != {2, 3}:
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


HANDLERS: dict[str, NodeImporter] = {
    "Conv": convolution,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_normalization,
    "Relu": activation(lambda node: nn.ReLU()),
    "LeakyRelu": activation(lambda node: nn.LeakyReLU(float(node.attributes.get("alpha", 0.01)))),
    "Sigmoid": activation(lambda node: nn.Sigmoid()),
    "Tanh": activation(lambda node: nn.Tanh()),
    "HardSwish": activation(lambda node: nn.Hardswish()),
    "Elu": activation(lambda node: nn.ELU(float(node.attributes.get("alpha", 1.0)))),
    "Softplus": activation(lambda node: nn.Softplus()),
    "Gelu": activation(lambda node: nn.GELU(str(node.attributes.get("approximate", "none")))),
    "Mish": activation(lambda node: nn.Mish()),
    "PRelu": prelu,
    "Max": extremum(lambda bound: (bound, inf)),
    "Min": extremum(lambda bound: (-inf, bound)),
    "Clip": clip,
    "Add": arithmetic("add"),
    "Sub": arithmetic("sub"),
    "Mul": arithmetic("mul"),
    "Div": arithmetic("div"),
    "Sum": total,
    "ReduceMax": reduce_max,
    "ReduceMean": reduce_mean,
    **POOLS,
    **SHAPES,
    **QUANTIZERS,
}
