"""How much a channel matters, by its weights alone. The lowest score goes first.

A criterion measures every layer that makes a channel, one row per layer; `scores.py` combines the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups
from bitlathe.model.prune.channels.members import Member, MemberRole, filters
from bitlathe.model.prune.errors import PruneError, Unprunable

Data = Iterable[tuple[torch.Tensor, torch.Tensor]]  # images (N, C, H, W) and labels (N,), batch by batch
Rows = Mapping[
    str, torch.Tensor
]  # name of a group -> (layers, width) float64; NaN: the layer lacks the channel
Measure = Callable[[nn.Module, ChannelGroups, Data], Rows]
FilterScore = Callable[[torch.Tensor], torch.Tensor]  # (filters, terms) float64 -> (filters,)
FILTERS = (MemberRole.PRODUCER, MemberRole.DEPTHWISE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A named way to score channels."""

    name: str
    measure: Measure
    needs_data: bool = False
    is_comparable: bool = False  # whether scores of different layers are on one scale, without normalisation


def standard_deviation(filters: torch.Tensor) -> torch.Tensor:
    """Population standard deviation of each filter's weights.

    Source: Li, Zhao, Han 2019, "Convolutional neural network acceleration algorithm based on filters
    pruning", Journal of Zhejiang University 53(10).
    """
    return filters.std(dim=1, correction=0)


def l1_norm(filters: torch.Tensor) -> torch.Tensor:
    """Sum of magnitudes. Source: Li et al. 2016, arXiv:1608.08710, section 3.1."""
    return filters.abs().sum(dim=1)


def l2_norm(filters: torch.Tensor) -> torch.Tensor:
    """Euclidean norm. Source: He et al. 2018, arXiv:1808.06866, section 3.2."""
    return filters.square().sum(dim=1).sqrt()


def geometric_median(filters: torch.Tensor) -> torch.Tensor:
    """Sum of distances to the layer's other filters: those can replace a filter in their middle.

    Source: He et al. 2019, arXiv:1811.00250, equation 7.
    """
    # the exact differences: a matrix product would lose the small distances
    return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1)


def of_filters(name: str, score: FilterScore) -> Criterion:
    """Criterion on one layer's filters, without the bias."""

    def measure(model: nn.Module, groups: ChannelGroups, data: Data) -> Rows:
        layers = dict(model.named_modules())
        return by_member(
            groups, FILTERS, lambda member: score(filters_of(layers[member.layer], member.layer))
        )

    return Criterion(name=name, measure=measure)


def batch_norm_scale() -> Criterion:
    """Magnitude of batch norm's scale. Source: Liu et al. 2017, arXiv:1708.06519, section 3."""

    def measure(model: nn.Module, groups: ChannelGroups, data: Data) -> Rows:
        layers = dict(model.named_modules())
        return by_member(
            groups, (MemberRole.NORM,), lambda m: filters_of(layers[m.layer], m.layer)[:, 0].abs()
        )

    return Criterion(name="bn_scale", measure=measure)


def random_order(seed: int = 0) -> Criterion:
    """Uniform random scores: the baseline that every other criterion must beat."""

    def measure(model: nn.Module, groups: ChannelGroups, data: Data) -> Rows:
        generator = torch.Generator().manual_seed(seed)
        return {g.name: torch.rand(1, g.width, generator=generator, dtype=torch.float64) for g in groups}

    return Criterion(name="random", measure=measure, is_comparable=True)


def filters_of(layer: nn.Module, name: str) -> torch.Tensor:
    """Weights of a layer as (filters, terms) float64; PruneError for a NaN or an infinity."""
    weight: torch.Tensor | None = layer.weight  # type: ignore[assignment]
    if weight is None:
        raise PruneError(f"{name}: has no weights to judge its channels by; choose another criterion")
    if not bool(torch.isfinite(weight).all()):
        raise PruneError(f"{name}: has NaN or infinite weights; go back to the last good state")
    values = weight.detach().double()
    return filters(layer, values) if weight.dim() > 1 else values[:, None]


def by_member(
    groups: ChannelGroups, roles: Sequence[MemberRole], values: Callable[[Member], torch.Tensor]
) -> Rows:
    """Rows of every group, from the values (indices,) of its members in the given roles."""
    rows = {}
    for group in groups:
        members = [member for member in group.members if member.role in roles]
        if not members:
            wanted = " or ".join(role.value for role in roles)
            raise Unprunable(
                f"{group.name}: has no {wanted} to judge its channels by; choose another criterion"
            )
        rows[group.name] = torch.stack([row(group, member, values(member)) for member in members])
    return rows


def row(group: ChannelGroup, member: Member, values: torch.Tensor) -> torch.Tensor:
    """Values (indices,) of a layer by the group's channel (width,), NaN where the layer lacks the channel.

    A channel that a layer holds several times, as after a flattened map, gets the mean.
    """
    channels, indices = torch.from_numpy(member.channels), torch.from_numpy(member.indices)
    sums = torch.zeros(group.width, dtype=torch.float64)
    sums.index_add_(0, channels, values.double().cpu()[indices])
    return sums / torch.bincount(channels, minlength=group.width)  # 0 / 0 is NaN
