"""Formulas: how a captured constant follows from the tensors of a live module, differentiably.

Capture computes every weight and bias by a formula and keeps it, so what capture reads once and what
training evaluates at each step take the same path. Nothing here knows about layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bitlathe.model.capture.float_arrays import Float32s, Float64s

TensorFunction = Callable[..., Tensor]
ModuleTensors = Mapping[str, Tensor]  # the module's parameters and buffers by name


@dataclass(kw_only=True, eq=False)
class Evaluation:
    """Formulas evaluated at one state of the module; common subexpressions are computed once."""

    state: ModuleTensors
    dtype: torch.dtype  # of real numbers: float64 is exact, float32 is fast
    device: torch.device
    done: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, formula: Formula) -> Tensor:
        """Value of a formula, with gradients to the state's tensors."""
        if id(formula) not in self.done:
            self.done[id(formula)] = formula.compute(self)
        return self.done[id(formula)]


class Formula:
    """A tensor as a function of others. `value` is what it was when captured."""

    value: Tensor

    def compute(self, at: Evaluation) -> Tensor:
        """The tensor at a state."""
        raise NotImplementedError

    @property
    def operands(self) -> tuple[Formula, ...]:
        """Formulas it is computed from."""
        return ()

    def names(self) -> Iterator[str]:
        """Tensors of the module it depends on; one may appear twice."""
        for operand in self.operands:
            yield from operand.names()

    @property
    def is_constant(self) -> bool:
        """Whether it depends on no tensor of the module."""
        return next(self.names(), None) is None

    def float64s(self) -> Float64s:
        """The captured value."""
        return np.array(self.value.detach().cpu().double().numpy())

    def float32s(self) -> Float32s:
        """The captured value, rounded to float32."""
        return np.array(self.value.detach().cpu().float().numpy())

    def __mul__(self, other: Formula) -> Formula:
        return operation(torch.mul, self, other)

    def __add__(self, other: Formula) -> Formula:
        return operation(torch.add, self, other)

    def __sub__(self, other: Formula) -> Formula:
        return operation(torch.sub, self, other)

    def __truediv__(self, other: Formula) -> Formula:
        return operation(torch.div, self, other)


class Live(Formula):
    """A parameter or buffer of the module."""

    def __init__(self, name: str, value: Tensor) -> None:
        self.name, self.value = name, value.detach()

    def compute(self, at: Evaluation) -> Tensor:
        """The tensor itself."""
        return at.state[self.name]

    def names(self) -> Iterator[str]:
        """The name of the tensor."""
        yield self.name


class Constant(Formula):
    """A tensor that never changes."""

    def __init__(self, value: Tensor) -> None:
        self.value = value.detach()

    def compute(self, at: Evaluation) -> Tensor:
        """The tensor itself."""
        return self.value.to(at.device)


class Computed(Formula):
    """A function of formulas."""

    def __init__(self, function: TensorFunction, operands: tuple[Formula, ...]) -> None:
        self.function, self._operands = function, operands
        with torch.no_grad():
            self.value = function(*(operand.value for operand in operands))

    @property
    def operands(self) -> tuple[Formula, ...]:
        """Arguments of the function, in order."""
        return self._operands

    def compute(self, at: Evaluation) -> Tensor:
        """The function's value for the operands at the same state."""
        return self.function(*(at(operand) for operand in self._operands))


class Real(Formula):
    """A formula in the evaluation's number type; captured in float64."""

    def __init__(self, operand: Formula) -> None:
        self.operand, self.value = operand, operand.value.double()

    @property
    def operands(self) -> tuple[Formula, ...]:
        """The formula it converts."""
        return (self.operand,)

    def compute(self, at: Evaluation) -> Tensor:
        """The operand, converted."""
        return at(self.operand).to(at.dtype)


def operation(function: TensorFunction, *operands: Formula) -> Formula:
    """A function of formulas; a constant if all operands are constant."""
    made = Computed(function, operands)
    if not made.is_constant:
        return made
    fixed = Constant(made.value)
    return Real(fixed) if any(isinstance(operand, Real) for operand in operands) else fixed


def constant(values: Float64s | Float32s) -> Formula:
    """Fixed real numbers."""
    return Real(Constant(torch.from_numpy(np.array(values, dtype=np.float64))))
