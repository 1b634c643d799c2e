"""Functions of one tensor that meet: x * sigmoid(x) is one function of x, as much as silu(x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from bitlathe.model.capture.calls import Call, TracedTensor
from bitlathe.model.capture.constants import ONE, ZERO, affine, kept_order
from bitlathe.model.capture.float_network import Affine, Clamp, FloatLookup, FloatNode
from bitlathe.model.capture.pointwise import lookup
from bitlathe.model.capture.scalar_function import (
    IDENTITY,
    Line,
    ScalarFunction,
    clamp_function,
    followed,
    joined,
    line_function,
)


class Fixed:
    """A number in the place of a tensor."""

    def __init__(self, number: float) -> None:
        self.number = number


def is_same_order(left: TracedTensor, right: TracedTensor) -> bool:
    if left.is_plain and right.is_plain and left.node.shape == right.node.shape:
        return True
    return left.node.shape == right.node.shape and np.array_equal(left.places, right.places)


def one_function(
    call: Call,
    operands: Sequence[TracedTensor | Fixed],
    values: Callable[..., torch.Tensor],
    word: str,
    linear: Callable[[Line, Line], Line | None] = lambda left, right: None,
) -> TracedTensor | None:
    """The operands' function where all are made, value by value, of one tensor in one order; else None."""
    tensors = [operand for operand in operands if isinstance(operand, TracedTensor)]
    if not all(is_same_order(tensors[0], other) for other in tensors):
        return None
    chains = [_functions(call, tensor.node) for tensor in tensors]
    shared = [name for name in chains[0] if all(name in chain for chain in chains)]
    if not shared:
        return None
    base = shared[0]
    source, x = call.made.nodes[base], tensors[0]
    lines = [chain[base][1] for chain in chains]
    if len(lines) == 2 and lines[0] is not None and lines[1] is not None:
        line = linear(lines[0], lines[1])
        if line is not None:
            at_base = TracedTensor(node=source, size=x.size, order=x.order, moved=x.moved)
            return affine(call, at_base, *line)
    parts = iter(chain[base][0] for chain in chains)
    functions = [_constant_function(o.number) if isinstance(o, Fixed) else next(parts) for o in operands]
    name = f"{word}({', '.join(function.name for function in functions)})"
    return kept_order(call, x, lookup(call, source, joined(name, values, *functions)))


def _constant_function(number: float) -> ScalarFunction:
    return ScalarFunction(name=f"{number:g}", apply=lambda x: torch.full_like(x, number))


def _functions(call: Call, node: FloatNode) -> dict[str, tuple[ScalarFunction, Line | None]]:
    """Tensors that a node's values are a function of, nearest first, with the function, and as a line."""
    found: dict[str, tuple[ScalarFunction, Line | None]] = {node.name: (IDENTITY, (ONE, ZERO))}
    function: ScalarFunction = IDENTITY
    line: Line | None = (ONE, ZERO)
    while (step := function_of(node)) is not None:
        inner, inner_line = step
        function = inner if function is IDENTITY else function.of_result(inner)
        line = None if line is None or inner_line is None else followed(inner_line, line)
        node = call.made.nodes[node.sources[0]]
        found[node.name] = (function, line)
    return found


def function_of(node: FloatNode) -> tuple[ScalarFunction, Line | None] | None:
    """What a node makes of each value of its source, and as a line; None if it does anything else."""
    if isinstance(node, FloatLookup):
        return node.function, None
    if isinstance(node, Clamp):
        return clamp_function(node.low, node.high), None
    if isinstance(node, Affine) and node.uniform is not None:
        return line_function(node.uniform), node.uniform
    return None
