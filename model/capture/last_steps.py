"""What a module does last with an output, and the host can do: softmax, a sigmoid, an order of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from bitlathe.model.capture.calls import TracedTensor
from bitlathe.model.capture.registry import HOST
from bitlathe.model.capture.returned import LastStep

_LOG = "aten.log.default"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSteps:
    """Operators between a tensor that leaves the engine and an output, first to last."""

    source: Any  # the operation that makes the tensor
    operators: tuple[fx.Node, ...] = ()

    @classmethod
    def before(cls, result: Any) -> LastSteps:
        """The steps to a result of the module."""
        operators: list[fx.Node] = []
        while isinstance(result, fx.Node) and _is_left(result):
            operators.insert(0, result)
            result = result.args[0]
        return cls(source=result, operators=tuple(operators))

    def names(self, source: TracedTensor) -> list[str]:
        """Bare names of the operators, after the one that brought the source into an order no node has."""
        moved = [] if source.order is None or source.moved is None else [source.moved.operator.split(".")[1]]
        return [*moved, *(str(node.target).split(".")[1].strip("_") for node in self.operators)]

    def function(self, order: Tensor | None, size: tuple[int, ...]) -> LastStep | None:
        """What they make of a tensor whose values are first brought into an order, and a size (K, ...)."""
        if order is None and not self.operators:
            return None

        def finished(x: Tensor) -> Tensor:
            if order is not None:
                x = x.flatten(1)[:, order.to(x.device)].reshape(len(x), *size)
            for node in self.operators:
                x = node.target(x, *node.args[1:], **node.kwargs)  # type: ignore[operator]
            return x

        return finished


def _is_left(node: fx.Node) -> bool:
    if str(node.target) == _LOG:
        source = node.args[0]
        return isinstance(source, fx.Node) and str(source.target) in HOST and _is_left(source)
    if str(node.target) not in HOST:
        return False
    if len(node.args) == 1 or "sigmoid" in str(node.target):
        return "argmax" not in str(node.target)
    sizes = node.args[0].meta["val"].ndim  # type: ignore[union-attr]
    return node.args[1] in (1, 1 - sizes)  # among the channels of each place


def place_left(result: TracedTensor) -> Tensor | None:
    """The order of an output's values among those of its map; None if it is the map's own."""
    return None if result.order is None else torch.from_numpy(result.places[0].ravel().copy())
