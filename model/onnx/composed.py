"""Functions of one value that files compose of several nodes, recognised by what they compute.

Each layer that works on single values is followed over a grid, from every tensor that it depends on alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bitlathe.model.onnx.network import (
    AddConstant,
    Clip,
    Combine,
    Function,
    HardSigmoid,
    MultiplyConstant,
    Power,
    ReverseSubtract,
)

GRID = torch.linspace(-8, 8, 257, dtype=torch.float64)
KNOWN: tuple[type[nn.Module] | tuple[type[nn.Module], str], ...] = (
    *(nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Mish, nn.Softsign),
    *(nn.GELU, (nn.GELU, "tanh")),
)
FARTHEST = 8  # tensors back that a composition can begin: the longest of those above takes seven steps
_OF_ONE_VALUE = (
    *(nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardsigmoid),
    *(Clip, Combine, Function, HardSigmoid, Power),
)
_WITH_CONSTANT = (AddConstant, MultiplyConstant, ReverseSubtract)

Curves = Mapping[str, Tensor]  # a tensor's values over the grid, by the tensor that it is a function of


@dataclass(kw_only=True)
class Composed:
    """What the tensors of a network are as functions of others."""

    curves: dict[str, Curves] = field(default_factory=dict)

    def follow(self, layer: nn.Module, sources: Sequence[str], result: str) -> tuple[nn.Module, str] | None:
        """Note a tensor; if it is a known function of another one, that function and that tensor."""
        is_scaled = isinstance(layer, _WITH_CONSTANT) and layer.value.numel() == 1
        if not (is_scaled or isinstance(layer, _OF_ONE_VALUE)):
            return None
        read = [{**self.curves.get(source, {}), source: GRID} for source in sources]
        common = [key for key in read[0] if all(key in curves for curves in read)][-FARTHEST:]
        with torch.no_grad():
            made = {key: layer(*(curves[key] for curves in read)).reshape(-1) for key in common}
        self.curves[result] = made
        direct = sources[0] if len(set(sources)) == 1 else None
        named = ((known(curve), key) for key, curve in made.items() if key != direct)
        return next(((found, key) for found, key in named if found is not None), None)


def known(curve: Tensor) -> nn.Module | None:
    """A layer with these values over the grid: float32 constants differ by less, other functions by more."""
    for kind in KNOWN:
        layer = kind[0](kind[1]) if isinstance(kind, tuple) else kind()
        if torch.allclose(curve, layer(GRID), rtol=1e-5, atol=1e-5):
            return layer
    return None
