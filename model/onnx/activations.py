"""Functions of one value, each a layer of PyTorch's where it has one."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from torch import nn

from bitlathe.model.onnx.importer import Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.layouts import loaded
from bitlathe.model.onnx.network import Clip, Function, HardSigmoid, Power, ScaledElu
from bitlathe.model.onnx.proto import OnnxNode


def activation(make: Callable[[OnnxNode], nn.Module]) -> NodeImporter:
    """A function of one value, whatever the layout."""
    return lambda importer, node: importer.emit(node, make(node), [importer.value(node)])


def number(node: OnnxNode, attribute: str, usual: float) -> float:
    """An attribute that is a number."""
    return float(node.attributes.get(attribute, usual))


def clip(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Clip: bounds are attributes up to opset 10 and operands since."""
    low, high = (_bound(importer, node, name, place) for place, name in ((1, "min"), (2, "max")))
    bounds = (-inf if low is None else low, inf if high is None else high)
    layer: nn.Module = {(0.0, 6.0): nn.ReLU6(), (0.0, inf): nn.ReLU()}.get(bounds) or Clip(*bounds)
    return importer.emit(node, layer, [importer.value(node)])


def _bound(importer: Importer, node: OnnxNode, name: str, place: int) -> float | None:
    if name in node.attributes:
        return float(node.attributes[name])
    operand = importer.constant(node, place)
    return None if operand is None else float(operand)


def prelu(importer: Importer, node: OnnxNode) -> OnnxValue:
    """PRelu with one slope, or one per channel."""
    x, slope = importer.value(node), importer.constant(node, 1)
    assert slope is not None
    axis = x.axis_of_channels - len(x.shape) + slope.ndim
    by_channel = all(size == 1 or place == axis for place, size in enumerate(slope.shape))
    if slope.size > 1 and not (by_channel and slope.size == x.example.shape[1]):
        raise node.refusal(f"has slopes of shape {slope.shape} for {x.shape}", "give one, or one a channel")
    layer = nn.PReLU(slope.size)
    return importer.emit(node, loaded(layer, slope.reshape(-1), None), [x])


def power(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Pow by one constant."""
    exponent = importer.constant(node, 1)
    assert exponent is not None
    if exponent.size != 1:
        raise node.refusal(f"has exponents of shape {exponent.shape}", "give one number")
    return importer.emit(node, Power(float(exponent.item())), [importer.value(node)])


def _hard_sigmoid(node: OnnxNode) -> nn.Module:
    slope, offset = number(node, "alpha", 0.2), number(node, "beta", 0.5)
    is_usual = abs(slope * 6 - 1) < 1e-6 and offset == 0.5
    return nn.Hardsigmoid() if is_usual else HardSigmoid(slope, offset)


def _selu(node: OnnxNode) -> nn.Module:
    depth, scale = number(node, "alpha", 1.67326319), number(node, "gamma", 1.05070102)
    is_usual = abs(depth - 1.67326324) < 1e-6 and abs(scale - 1.05070098) < 1e-6
    return nn.SELU() if is_usual else ScaledElu(depth, scale)


def _shrink(node: OnnxNode) -> nn.Module:
    edge, bias = number(node, "lambd", 0.5), number(node, "bias", 0.0)
    if bias not in (0.0, edge):
        raise node.refusal(f"moves values by {bias} beyond {edge}", "move them by 0, or by that edge")
    return nn.Softshrink(edge) if bias else nn.Hardshrink(edge)


def _swish(node: OnnxNode) -> nn.Module:
    if number(node, "alpha", 1.0) != 1.0:
        raise node.refusal(f"has alpha {number(node, 'alpha', 1.0)}", "use 1, or Mul and Sigmoid")
    return nn.SiLU()


_PLAIN = {  # operators that are a function of torch
    name: name.lower()
    for name in (
        *("Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Sign", "Floor", "Ceil", "Round"),
        *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
    )
}


ACTIVATIONS: dict[str, NodeImporter] = {
    "Relu": activation(lambda node: nn.ReLU()),
    "LeakyRelu": activation(lambda node: nn.LeakyReLU(number(node, "alpha", 0.01))),
    "PRelu": prelu,
    "ThresholdedRelu": activation(lambda node: nn.Threshold(number(node, "alpha", 1.0), 0.0)),
    "Clip": clip,
    "Elu": activation(lambda node: nn.ELU(number(node, "alpha", 1.0))),
    "Celu": activation(lambda node: nn.CELU(number(node, "alpha", 1.0))),
    "Selu": activation(_selu),
    "Sigmoid": activation(lambda node: nn.Sigmoid()),
    "HardSigmoid": activation(_hard_sigmoid),
    "Tanh": activation(lambda node: nn.Tanh()),
    "HardSwish": activation(lambda node: nn.Hardswish()),
    "Swish": activation(_swish),
    "Gelu": activation(lambda node: nn.GELU(str(node.attributes.get("approximate", "none")))),
    "Mish": activation(lambda node: nn.Mish()),
    "Softplus": activation(lambda node: nn.Softplus()),
    "Softsign": activation(lambda node: nn.Softsign()),
    "Shrink": activation(_shrink),
    "Pow": power,
    **{name: activation(lambda node: Function(_PLAIN[node.operator])) for name in _PLAIN},
}
