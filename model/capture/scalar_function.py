"""Functions of one value that become tables of codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bitlathe.model.capture.float_arrays import Float64s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarFunction:
    """An elementwise function: its name, such as "leaky_relu(0.1)", and how PyTorch computes it."""

    name: str
    apply: Callable[[Tensor], Tensor]  # any shape; differentiable almost everywhere

    def values(self, x: Float64s) -> Float64s:
        """The function in float64, for a table."""
        with torch.no_grad():
            made: Float64s = self.apply(torch.from_numpy(x)).numpy()
        return made
