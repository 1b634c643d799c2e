"""Handlers of functions of one value: clamps and roundings, and whatever becomes a table of codes."""

from __future__ import annotations

from math import inf

import torch

from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.constants import kept_order
from bitlathe.model.capture.float_network import Clamp, CodeGrid, FloatLookup, FloatNode, OntoGrid
from bitlathe.model.capture.formula import Formula
from bitlathe.model.capture.scalar_function import ScalarFunction


def table(call: Call) -> Made:
    """leaky_relu, tanh, ...: a function of one value; several that meet, as x * sigmoid(x), are one."""
    x = call.values()
    others = {name: value for name, value in call.arguments.items() if name != "self"}
    for name, value in others.items():
        if isinstance(value, TracedTensor):
            raise call.refusal(f"takes two tensors, the second as {name}", "give it one tensor and numbers")
        if isinstance(value, Formula):
            others[name] = float(call.constant(name).value)
    changed = [value for name, value in others.items() if value is not None and name != "memory_format"]
    name = _base_name(call) + (f"({', '.join(map(_told, changed))})" if changed else "")
    target = call.target
    function = ScalarFunction(name=name, apply=lambda values: target(values, **others))
    return kept_order(call, x, lookup(call, x.node, function))


def _base_name(call: Call) -> str:
    return call.operator.split(".")[1].strip("_")


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def compared(call: Call) -> Made:
    """gt, ge, lt, le, eq, ne with a number: 1 where it holds."""
    x, bound, target = call.values(), call.number("other"), call.target
    function = ScalarFunction(
        name=f"{_base_name(call)}({bound:g})", apply=lambda values: target(values, bound).to(values.dtype)
    )
    return kept_order(call, x, lookup(call, x.node, function))


def lookup(call: Call, source: FloatNode, function: ScalarFunction) -> FloatLookup:
    """A function of one tensor as a node."""
    return FloatLookup(name=call.name, shape=source.shape, source=source.name, function=function)


def rrelu(call: Call) -> Made:
    """rrelu as it is in evaluation: a leaky ReLU of the mean slope."""
    slope = (call.number("lower") + call.number("upper")) / 2
    if call.arguments["training"]:
        raise call.refusal("draws its slopes", "build it so that eval() turns that off")
    x, function = (
        call.values(),
        ScalarFunction(
            name=f"leaky_relu({slope:g})", apply=lambda values: torch.nn.functional.leaky_relu(values, slope)
        ),
    )
    return kept_order(call, x, lookup(call, x.node, function))


def clamp(call: Call) -> Made:
    """clamp, hardtanh: any bounds."""
    low, high = ("min", "max") if "min" in call.arguments else ("min_val", "max_val")
    return clamped_to(call, call.number(low, -inf), call.number(high, inf))


def clamped_to(call: Call, low: float, high: float) -> Made:
    """An argument within bounds."""
    x = call.values()
    if low > high:
        raise call.refusal(f"clamps to [{low}, {high}]", "give a lower bound that is not above the upper one")
    return kept_order(
        call, x, Clamp(name=call.name, shape=x.node.shape, source=x.node.name, low=low, high=high)
    )


def fake_quantize(call: Call) -> Made:
    """fake_quantize_per_tensor_affine: halves to even, zero among the values."""
    x, zero = call.values(), int(_scalar(call, "zero_point"))
    lo, hi = call.integer("quant_min") - zero, call.integer("quant_max") - zero
    grid = CodeGrid(step=_scalar(call, "scale"), lo=lo, hi=hi)
    return kept_order(call, x, OntoGrid(name=call.name, shape=x.node.shape, source=x.node.name, grid=grid))


def _scalar(call: Call, name: str) -> float:
    """A number, or a constant tensor of one."""
    given = call.arguments[name]
    return float(call.constant(name).value) if isinstance(given, Formula) else call.number(name)
