"""Functions of one value that become tables of codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.formula import Evaluation, Formula

ValueFunction = Callable[[Tensor], Tensor]
LiveFunction = Callable[[Tensor, Evaluation], Tensor]
Line = tuple[Formula, Formula]  # scale and offset, (1,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarFunction:
    """An elementwise function: its name, such as "leaky_relu(0.1)", and how PyTorch computes it."""

    name: str
    apply: ValueFunction  # any shape; differentiable almost everywhere; parameters as they were captured
    live: LiveFunction | None = None  # the same with the parameters at a state; None: it has none that train

    @classmethod
    def of(cls, name: str, function: Callable[..., Tensor], *parameters: Formula) -> ScalarFunction:
        """`function` of x and of parameters that are one number each."""
        numbers = [parameter.value.reshape(()) for parameter in parameters]

        def live(x: Tensor, at: Evaluation) -> Tensor:
            return function(x, *(at(parameter).reshape(()).to(x.dtype) for parameter in parameters))

        return cls(
            name=name,
            apply=lambda x: function(x, *(number.to(x.device, x.dtype) for number in numbers)),
            live=None if all(parameter.is_constant for parameter in parameters) else live,
        )

    def applied(self, x: Tensor, at: Evaluation) -> Tensor:
        """The function with its parameters at a state of the module, and with gradients to them."""
        return self.apply(x) if self.live is None else self.live(x, at)

    def present(self, at: Evaluation) -> ScalarFunction:
        """The function with its parameters at a state of the module, for a table."""
        return (
            self if self.live is None else ScalarFunction(name=self.name, apply=lambda x: self.applied(x, at))
        )

    def values(self, x: Float64s) -> Float64s:
        """The function in float64, for a table."""
        with torch.no_grad():
            made: Float64s = self.apply(torch.from_numpy(x)).numpy()
        return made

    def of_result(self, inner: ScalarFunction) -> ScalarFunction:
        """This function of what another one makes."""
        return joined(f"{self.name} of {inner.name}", lambda x: x, inner, then=self)


IDENTITY = ScalarFunction(name="x", apply=lambda x: x)


def joined(
    name: str,
    function: Callable[..., Tensor],
    *operands: ScalarFunction,
    then: ScalarFunction = IDENTITY,
) -> ScalarFunction:
    """x -> then(function(operand(x), ...))."""

    def live(x: Tensor, at: Evaluation) -> Tensor:
        return then.applied(function(*(operand.applied(x, at) for operand in operands)), at)

    return ScalarFunction(
        name=name,
        apply=lambda x: then.apply(function(*(operand.apply(x) for operand in operands))),
        live=None if all(each.live is None for each in (*operands, then)) else live,
    )


def clamp_function(low: float, high: float) -> ScalarFunction:
    """min(max(x, low), high)."""
    name = {(0.0, inf): "relu", (0.0, 6.0): "relu6"}.get((low, high), f"clamp({low:g}, {high:g})")
    return ScalarFunction(name=name, apply=lambda x: torch.clamp(x, low, high))


def followed(first: Line, second: Line) -> Line:
    """One line behind another; of channels one by one where both have several."""
    return first[0] * second[0], first[1] * second[0] + second[1]


def line_function(line: Line) -> ScalarFunction:
    """x * scale + offset."""
    scale, offset = (float(part.value) for part in line)
    return ScalarFunction.of(f"({scale:g} * x + {offset:g})", lambda x, a, b: x * a + b, *line)
