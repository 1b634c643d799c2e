"""Masks of pruned weights: chosen by influence, kept at zero during any further training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.prune.weights.influence import weight_parameters


class WeightScope(Enum):
    """Which weights compete for the least influence."""

    LAYER = "layer"  # within each layer, the same share of every layer
    GLOBAL = "global"  # in all layers together, each layer's influences divided by their root mean square


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsityTarget:
    """Share of weights to set to 0, and the layers that are spared.

    `caps` limits the share of single layers by parameter name; a cap of 0 leaves a layer whole. Raises
    FormatError for a share outside 0 <= share < 1.
    """

    sparsity: float
    scope: WeightScope = WeightScope.LAYER
    caps: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, share in (("the network", self.sparsity), *self.caps.items()):
            if not 0 <= share < 1:
                raise FormatError(f"weight pruning: a sparsity of {share} for {name}; give 0 <= sparsity < 1")


@dataclass(frozen=True, eq=False)
class Masks:
    """By parameter name, a boolean tensor of its shape: False where a weight is pruned."""

    kept: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", MappingProxyType(dict(self.kept)))

    @classmethod
    def of_zeros(cls, model: nn.Module) -> Masks:
        """Masks of the weights that are 0 now, for use after structural pruning changed shapes."""
        return cls({name: weight.detach() != 0 for name, weight in weight_parameters(model).items()})

    @property
    def sparsity(self) -> float:
        """Share of masked weights that are pruned."""
        total = sum(mask.numel() for mask in self.kept.values())
        return 1 - sum(int(mask.sum()) for mask in self.kept.values()) / max(1, total)

    @torch.no_grad()
    def apply(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Zero the pruned weights in place, and the optimizer's state of them.

        Call it after every training step. Raises DataError if a mask fits no weight of `model`.
        """
        parameters = dict(model.named_parameters())
        for name, mask in self.kept.items():
            weight = parameters.get(name)
            if weight is None or weight.shape != mask.shape:
                found = "none" if weight is None else f"one of shape {tuple(weight.shape)}"
                raise DataError(
                    f"masks: {name} of shape {tuple(mask.shape)} meets {found} in the network; "
                    "make the masks again after a structural prune"
                )
            weight.mul_(mask)
            for remembered in _shaped_like(weight, optimizer):
                remembered.mul_(mask)


def choose_masks(influence: Mapping[str, Tensor], target: SparsityTarget) -> Masks:
    """Masks that prune the weights of least influence, exactly the number nearest to the target's share.

    Equal influences are pruned in the order of the weights, so zeros stay pruned as the share rises.
    Raises DataError for the cap of an unknown layer, and if the caps leave too few weights to prune.
    """
    unknown = sorted(set(target.caps) - set(influence))
    if unknown:
        raise DataError(f"weight pruning: no weight is called {unknown[0]}; there are {', '.join(influence)}")
    if target.scope is WeightScope.LAYER:
        counts = {name: round(target.sparsity * scores.numel()) for name, scores in influence.items()}
        limits = _limits(influence, target.caps)
        return Masks(
            {name: _without(scores, min(counts[name], limits[name])) for name, scores in influence.items()}
        )
    return _globally(influence, target)


def _globally(influence: Mapping[str, Tensor], target: SparsityTarget) -> Masks:
    count = round(target.sparsity * sum(scores.numel() for scores in influence.values()))
    limits = _limits(influence, target.caps)
    if count > sum(limits.values()):
        raise DataError(
            f"weight pruning: {count} weights to prune, but the caps allow {sum(limits.values())}; "
            "raise the caps"
        )
    candidates = {name: _lowest(scores / _rms(scores), limits[name]) for name, scores in influence.items()}
    values = torch.cat([values for values, _ in candidates.values()])
    chosen = torch.zeros(len(values), dtype=torch.bool)
    chosen[torch.sort(values, stable=True).indices[:count]] = True
    shares = torch.split(chosen, [len(values) for values, _ in candidates.values()])
    return Masks(
        {
            name: _mask(influence[name], places[share])
            for (name, (_, places)), share in zip(candidates.items(), shares, strict=True)
        }
    )


def _limits(influence: Mapping[str, Tensor], caps: Mapping[str, float]) -> dict[str, int]:
    """The most weights that each layer may lose; it keeps at least one."""
    return {
        name: min(int(caps.get(name, 1.0) * scores.numel()), scores.numel() - 1)
        for name, scores in influence.items()
    }


def _lowest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and flat positions of the `count` lowest scores."""
    ordered = torch.sort(scores.reshape(-1), stable=True)
    return ordered.values[:count], ordered.indices[:count]


def _without(scores: Tensor, count: int) -> Tensor:
    return _mask(scores, _lowest(scores, count)[1])


def _mask(scores: Tensor, pruned: Tensor) -> Tensor:
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[pruned] = False
    return mask.view(scores.shape)


def _rms(scores: Tensor) -> Tensor:
    return scores.square().mean().sqrt().clamp_min(torch.finfo(scores.dtype).tiny)


def _shaped_like(weight: Tensor, optimizer: torch.optim.Optimizer | None) -> Iterable[Tensor]:
    if optimizer is None:
        return ()
    remembered = optimizer.state.get(weight, {}).values()
    return [value for value in remembered if isinstance(value, Tensor) and value.shape == weight.shape]
