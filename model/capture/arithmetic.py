"""Handlers of arithmetic: of a tensor and constants, and of two tensors.

What is made of one tensor alone becomes a function of it; what stays linear remains so, for a convolution to
absorb.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod

import numpy as np
import torch

from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.constants import (
    ONE,
    ZERO,
    affine,
    along_channels,
    by_channel,
    flat,
    kept_order,
)
from bitlathe.model.capture.float_network import Clamp, FloatNode, FloatProduct, Sum
from bitlathe.model.capture.formula import Formula, Real, constant
from bitlathe.model.capture.joined_functions import Fixed, is_same_order, one_function
from bitlathe.model.capture.pointwise import clamped_to, lookup
from bitlathe.model.capture.routes import BATCH
from bitlathe.model.capture.scalar_function import Line, ScalarFunction


def _operands(call: Call) -> tuple[object, object]:
    """The two operands of a call, each a tensor or a formula."""
    return tuple(  # type: ignore[return-value]
        value if isinstance(value, (TracedTensor, Formula)) else constant(np.full(1, call.number(name)))
        for name, value in ((name, call.arguments[name]) for name in ("self", "other"))
    )


def _real(values: object) -> Formula:
    assert isinstance(values, Formula)
    return Real(values)


def _with_constant(
    call: Call, x: TracedTensor, values: Formula, make: Callable[[Formula], tuple[Formula, Formula]]
) -> Made:
    """x * scale + offset by what `make` says of the constant."""
    x = _ready(call, x)
    x, (fitted,) = by_channel(call, x, values)
    return affine(call, x, *make(fitted))


def _ready(call: Call, x: TracedTensor) -> TracedTensor:
    """An operand in the size of the result, as a node's own values where a node can have them."""
    return call.ready(call.broadcast(x))


def add(call: Call) -> Made:
    """add: two tensors, or a tensor and a constant for each channel; broadcast."""
    left, right = _operands(call)
    alpha = call.number("alpha", 1.0) if "alpha" in call.arguments else 1.0
    return _combined(call, left, right, alpha)


def subtract(call: Call) -> Made:
    """sub: two tensors, or a tensor and a constant for each channel; broadcast."""
    left, right = _operands(call)
    if call.operator.startswith("aten.rsub"):
        left, right = right, left
    alpha = call.number("alpha", 1.0) if "alpha" in call.arguments else 1.0
    return _combined(call, left, right, -alpha)


def _combined(call: Call, left: object, right: object, factor: float) -> Made:
    """left + factor * right."""
    share = constant(np.full(1, factor))
    if isinstance(left, TracedTensor) and isinstance(right, TracedTensor):
        return _of_two(call, left, right, _Weighted(factor))
    if isinstance(left, TracedTensor):
        return _with_constant(call, left, _real(right), lambda c: (ONE, c * share))
    assert isinstance(right, TracedTensor)
    return _with_constant(call, right, _real(left), lambda c: (share, c))


def multiply(call: Call) -> Made:
    """mul: two tensors, or a tensor and a constant for each channel; broadcast."""
    left, right = _operands(call)
    if isinstance(left, TracedTensor) and isinstance(right, TracedTensor):
        return _of_two(call, left, right, _Product())
    x, values = (left, right) if isinstance(left, TracedTensor) else (right, left)
    assert isinstance(x, TracedTensor)
    return _with_constant(call, x, _real(values), lambda c: (c, ZERO))


def divide(call: Call) -> Made:
    """div: by a constant for each channel; by what is made of the same tensor, as a function of it."""
    left, right = _operands(call)
    if call.arguments.get("rounding_mode") is not None:
        raise call.refusal("rounds its quotient", "leave rounding to quantization")
    if not isinstance(right, TracedTensor):
        assert isinstance(left, TracedTensor)
        return _with_constant(call, left, _real(right), lambda c: (ONE / c, ZERO))
    if isinstance(left, TracedTensor):
        return _of_two(call, left, right, _Quotient())
    number = _real(left)
    if prod(number.value.shape) != 1:
        raise call.refusal("divides a constant of each channel by a tensor", "divide one number")
    function = ScalarFunction.of(f"{float(number.value):g} / x", lambda v, n: n / v, number)
    x = call.values("other")
    return kept_order(call, x, lookup(call, x.node, function))


def extremum(call: Call) -> Made:
    """maximum, minimum: two tensors, b + relu(a - b) or a - relu(a - b), or a tensor and a number."""
    is_max = "max" in call.operator
    left, right = _operands(call)
    if isinstance(left, TracedTensor) and isinstance(right, TracedTensor):
        return _of_two(call, left, right, _Extremum(is_max))
    x, bound = (left, right) if isinstance(left, TracedTensor) else (right, left)
    bound = _real(bound)
    if prod(bound.value.shape) != 1 or not bound.is_constant:
        raise call.refusal("takes a tensor and constants", "give two tensors, or one number")
    number = float(bound.value)
    given = call.given({"self": x})
    return clamped_to(given, number, inf) if is_max else clamped_to(given, -inf, number)


def where(call: Call) -> Made:
    """where: a choice between functions of one tensor."""
    names = ("condition", "self", "other")
    tensors = [call.arguments[name] for name in names]
    if not isinstance(tensors[0], TracedTensor):
        raise call.refusal("chooses by a constant", "multiply by it")
    x = _ready(call, tensors[0])
    operands: list[TracedTensor | Fixed] = []
    for value in tensors[1:]:
        if isinstance(value, TracedTensor):
            operands.append(_ready(call, value))
        elif prod(_real(value).value.shape) == 1:
            number = float(_real(value).value)
            operands.append(Fixed(number))
        else:
            raise call.refusal("takes constants of each channel", "give tensors or numbers")
    made = one_function(call, [x, *operands], lambda c, a, b: torch.where(c.bool(), a, b), "where")
    if made is None:
        raise call.refusal("chooses by another tensor", "choose by the tensor that is chosen from")
    return made


def prelu(call: Call) -> Made:
    """prelu: of one slope a function; of a slope for each channel x + (slope - 1) * min(x, 0), exact."""
    x, slope = call.values(), call.constant("weight")
    if prod(slope.value.shape) == 1:
        name = f"prelu({float(slope.value):g})"
        function = ScalarFunction.of(name, lambda v, a: torch.where(v > 0, v, a * v), slope)
        return kept_order(call, x, lookup(call, x.node, function))
    negative = call.add(
        Clamp(name=call.extra_name("negative"), shape=x.node.shape, source=x.node.name, low=-inf, high=0.0)
    )
    below = TracedTensor(node=negative, size=x.size, order=x.order, moved=x.moved)
    below, (less,) = by_channel(call, below, along_channels(slope - ONE, x))
    scaled = affine(call, below, less, ZERO, name=call.extra_name("slopes"))
    return _of_two(call, x, scaled, _Weighted(1.0))


def negate(call: Call) -> Made:
    """neg: folded into the weights beside it, or a layer of its own."""
    return affine(call, call.values(), constant(np.full(1, -1.0)), ZERO)


class _Operation:
    """What is made of two tensors of one size."""

    word: str

    def values(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """By PyTorch."""
        raise NotImplementedError

    def linear(self, left: Line, right: Line) -> Line | None:
        """Of two linear functions of one tensor, where that is linear."""
        return None

    def node(self, call: Call, left: FloatNode, right: FloatNode) -> FloatNode:
        """Of two nodes of one shape, the second possibly (C, 1, 1) for a product."""
        raise NotImplementedError


class _Weighted(_Operation):
    """left + factor * right."""

    def __init__(self, factor: float) -> None:
        self.factor, self.word = (
            factor,
            "add" if factor == 1 else "sub" if factor == -1 else f"add {factor:g} times",
        )

    def values(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.add(left, right, alpha=self.factor)

    def linear(self, left: Line, right: Line) -> Line:
        share = constant(np.full(1, self.factor))
        return left[0] + share * right[0], left[1] + share * right[1]

    def node(self, call: Call, left: FloatNode, right: FloatNode) -> FloatNode:
        if self.factor != 1:
            right = _scaled(call, right, self.factor)
        return _sum_of(call, left, right)


class _Product(_Operation):
    word = "mul"

    def values(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left * right

    def node(self, call: Call, left: FloatNode, right: FloatNode) -> FloatNode:
        return FloatProduct(name=call.name, shape=left.shape, source=left.name, factor=right.name)


class _Quotient(_Operation):
    word = "div"

    def values(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left / right

    def node(self, call: Call, left: FloatNode, right: FloatNode) -> FloatNode:
        raise call.refusal(
            "divides a tensor by another",
            "multiply, or divide by a constant or a function of the same tensor",
        )


class _Extremum(_Operation):
    """max(a, b) = b + relu(a - b), min(a, b) = a - relu(a - b)."""

    def __init__(self, is_max: bool) -> None:
        self.is_max, self.word = is_max, "max" if is_max else "min"

    def values(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.maximum(left, right) if self.is_max else torch.minimum(left, right)

    def node(self, call: Call, left: FloatNode, right: FloatNode) -> FloatNode:
        less = _scaled(call, right, -1.0)
        apart = call.add(_sum_of(call, left, less, call.extra_name("difference")))
        excess = Clamp(name=call.extra_name("excess"), shape=left.shape, source=apart.name, low=0.0, high=inf)
        call.add(excess)
        if self.is_max:
            return _sum_of(call, right, excess)
        return _sum_of(call, left, _scaled(call, excess, -1.0))


def _scaled(call: Call, node: FloatNode, factor: float) -> FloatNode:
    x = TracedTensor(node=node, size=(BATCH, *node.shape))
    return affine(call, x, constant(np.full(1, factor)), ZERO, name=call.extra_name("scaled")).node


def _sum_of(call: Call, left: FloatNode, right: FloatNode, name: str | None = None) -> FloatNode:
    return Sum(name=name or call.name, shape=left.shape, left=left.name, right=right.name)


def _of_two(call: Call, left: TracedTensor, right: TracedTensor, way: _Operation) -> Made:
    if isinstance(way, _Product):
        left, right, is_vector = _product_operands(call, left, right)
        if is_vector:
            return way.node(call, left.node, right.node)
    else:
        left, right = _ready(call, left), _ready(call, right)
    if not is_same_order(left, right):
        left, right = call.as_map(left), call.as_map(right)
    if left.node.shape != right.node.shape:
        left, right = flat(call, left), flat(call, right)
    made = one_function(call, [left, right], way.values, way.word, way.linear)
    return kept_order(call, left, way.node(call, left.node, right.node)) if made is None else made


def _product_operands(
    call: Call, left: TracedTensor, right: TracedTensor
) -> tuple[TracedTensor, TracedTensor, bool]:
    """Map and factor; the factor a vector (C, 1, 1) where PyTorch broadcasts one to a larger map."""
    for one, other in ((left, right), (right, left)):
        vector = _vector(call, other)
        if vector is not None and one.size == call.size and len(one.size) in (3, 4):
            x = call.as_map(one)
            if x.node.shape[1:] != (1, 1):
                return x, vector, True
    return _ready(call, left), _ready(call, right), False


def _vector(call: Call, x: TracedTensor) -> TracedTensor | None:
    """The vector (C, 1, 1) that a tensor is, or is broadcast from."""
    channels = x.node.shape[0]
    if x.node.shape[1:] != (1, 1) or len(x.size) not in (3, 4) or x.size[:2] != (BATCH, channels):
        return None
    wanted = np.arange(BATCH * channels).reshape(BATCH, channels, *[1] * (len(x.size) - 2))
    if not np.array_equal(x.places, np.broadcast_to(wanted, x.size)):
        return None
    return TracedTensor(node=x.node, size=(BATCH, channels, 1, 1))
