"""Cost of a network without some channels, computed without removing them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import torch
from torch import nn

from bitlathe.model.prune.channels.members import MemberRole, Weighted, size, tensors
from bitlathe.model.prune.channels.surgery import Cuts
from bitlathe.model.zoo.modes import evaluating


class Metric(Enum):
    """The cost to reduce."""

    MACS = "macs"  # multiply-accumulates of an image through convolutions and dense layers
    PARAMETERS = "parameters"
    LATENCY = "latency"  # cycles of an image on hardware that the caller knows


class Costs(Protocol):
    """Costs of a network as a function of what is cut from it."""

    def total(self, metric: Metric, cuts: Cuts | None = None) -> int:
        """Cost of the network without the channels of `cuts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A parameter's shape, which of its sizes each role cuts, and how often an image uses it."""

    layer: str
    roles: tuple[tuple[MemberRole, int], ...]  # role that shortens it, along which dimension
    shape: tuple[int, ...]
    uses: int  # multiply-accumulates of an image = uses * numel

    def count(self, cuts: Cuts) -> int:
        """Elements left after `cuts`."""
        sizes = list(self.shape)
        for role, dimension in self.roles:
            sizes[dimension] -= len(cuts.get((self.layer, role), ()))
        return int(torch.Size(sizes).numel())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCosts:
    """Costs that follow from the shapes of tensors."""

    tensors: tuple[Tensor, ...]

    @classmethod
    def of(cls, model: nn.Module, example: torch.Tensor) -> ChannelCosts:
        """Measure `model` with one forward pass of `example` (N, C, H, W)."""
        positions = _positions(model, example)
        tensors = (
            _tensor(name, layer, attribute, parameter, positions.get(name, 0))
            for name, layer in model.named_modules()
            for attribute, parameter in layer.named_parameters(recurse=False)
        )
        return cls(tensors=tuple(tensors))

    def total(self, metric: Metric, cuts: Cuts | None = None) -> int:
        """Cost of the network without the channels of `cuts`."""
        gone: Cuts = {} if cuts is None else cuts
        weights = (1 if metric is Metric.PARAMETERS else tensor.uses for tensor in self.tensors)
        return sum(weight * tensor.count(gone) for weight, tensor in zip(weights, self.tensors, strict=True))


def _tensor(name: str, layer: nn.Module, attribute: str, parameter: nn.Parameter, positions: int) -> Tensor:
    roles = tuple(
        (role, dimension)
        for role in MemberRole
        for tensor, dimension in tensors(layer, role)
        if tensor == attribute and dimension < parameter.dim()
    )
    return Tensor(
        layer=name,
        roles=roles,
        shape=tuple(parameter.shape),
        uses=positions if attribute == "weight" else 0,
    )


def _positions(model: nn.Module, example: torch.Tensor) -> dict[str, int]:
    """How often an image uses each weight of each convolution and dense layer."""
    names: dict[nn.Module, str] = {
        layer: name for name, layer in model.named_modules() if isinstance(layer, Weighted)
    }
    counts: dict[str, int] = {}

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        transposed = isinstance(layer, nn.ConvTranspose2d)  # each weight meets every pixel it reads
        used = inputs[0][0] if transposed else output[0]
        channels = size(layer, MemberRole.CONSUMER if transposed else MemberRole.PRODUCER)
        counts[names[layer]] = counts.get(names[layer], 0) + used.numel() // channels

    handles = [layer.register_forward_hook(count) for layer in names]
    try:
        with torch.no_grad(), evaluating(model):
            model(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return counts
