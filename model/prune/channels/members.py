"""Channels as numbers: which leave together, which layers they pass through, and where tensors hold them.

A channel is made by a producer, passes batch norms and depthwise convolutions, and is read by consumers.
Channels that leave only together, such as those at one place in each group of a grouped convolution, count
as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

ChannelIndices = npt.NDArray[np.int64]
Norms = (nn.BatchNorm1d, nn.BatchNorm2d)
Weighted = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)  # layers that make channels of those they read


class MemberRole(Enum):
    """How a layer takes part in a channel."""

    PRODUCER = "producer"  # a filter makes the channel
    DEPTHWISE = "depthwise"  # a filter sees only this channel
    NORM = "norm"  # batch norm
    SLOPE = "slope"  # PReLU with a slope for each channel
    CONSUMER = "consumer"  # all filters read the channel


# Tensors with channels and their dimension, then the sizes that a layer keeps as plain attributes.
_TENSORS: dict[MemberRole, tuple[tuple[str, int], ...]] = {
    MemberRole.PRODUCER: (("weight", 0), ("bias", 0)),
    MemberRole.DEPTHWISE: (("weight", 0), ("bias", 0)),
    MemberRole.NORM: (("weight", 0), ("bias", 0), ("running_mean", 0), ("running_var", 0)),
    MemberRole.SLOPE: (("weight", 0),),
    MemberRole.CONSUMER: (("weight", 1),),
}
_TRANSPOSED = {MemberRole.PRODUCER: (("weight", 1), ("bias", 0)), MemberRole.CONSUMER: (("weight", 0),)}
_CONV_SIZES = {
    MemberRole.PRODUCER: ("out_channels",),
    MemberRole.DEPTHWISE: ("out_channels", "in_channels", "groups"),
    MemberRole.CONSUMER: ("in_channels",),
}
_LINEAR_SIZES = {MemberRole.PRODUCER: ("out_features",), MemberRole.CONSUMER: ("in_features",)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """A layer's part in a group: channel `channels[k]` of the group is index `indices[k]` of the layer.

    A channel has several indices if a map is flattened or several filters leave only together, none if a
    layer holds only part of the group.
    """

    layer: str  # dotted name of the module
    role: MemberRole
    channels: ChannelIndices  # (K,)
    indices: ChannelIndices  # (K,)

    def at(self, channels: ChannelIndices) -> ChannelIndices:
        """The layer's indices of the given channels."""
        return self.indices[np.isin(self.channels, channels)]


def tensors(layer: nn.Module, role: MemberRole) -> tuple[tuple[str, int], ...]:
    """Names of `layer`'s tensors that hold its indices in this role, and along which dimension."""
    if isinstance(layer, nn.ConvTranspose2d) and role in _TRANSPOSED:
        return _TRANSPOSED[role]
    return _TENSORS[role]


def sizes(layer: nn.Module, role: MemberRole) -> tuple[str, ...]:
    """Attributes that rise and fall with the number of `layer`'s indices in this role."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return _CONV_SIZES[role]
    if isinstance(layer, nn.PReLU):
        return ("num_parameters",)
    if isinstance(layer, nn.Linear):
        return _LINEAR_SIZES[role]
    return ("num_features",)


def size(layer: nn.Module, role: MemberRole) -> int:
    """Number of `layer`'s indices in this role; of a grouped convolution's inputs, those of one group."""
    held = int(getattr(layer, sizes(layer, role)[0]))
    return held // layer.groups if isinstance(layer, nn.Conv2d) and role is MemberRole.CONSUMER else held


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each filter reads one channel; a channel may have several filters of its own."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels
    return isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.groups == layer.in_channels


def is_grouped_transposed(layer: nn.Module) -> bool:
    """Whether a transposed convolution has groups of several channels, which nothing here can cut."""
    return isinstance(layer, nn.ConvTranspose2d) and layer.groups > 1 and not is_depthwise(layer)


def filters(layer: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """A layer's weights, or what has their shape, as rows (filters, terms)."""
    made_of_columns = isinstance(layer, nn.ConvTranspose2d) and layer.groups == 1
    return (weight.transpose(0, 1) if made_of_columns else weight).flatten(1)


class ChannelTies:
    """Channels of one forward pass; tied channels leave or stay together."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}  # of channels that stay, by their representative

    def new(self, count: int, stays: str | None = None) -> ChannelIndices:
        """New untied channels; `stays` says why they cannot leave, if so."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        made = np.arange(first, first + count)
        if stays is not None:
            self.keep(made, stays)
        return made

    def tie(self, one: ChannelIndices, other: ChannelIndices) -> None:
        """Tie each channel to its counterpart: they leave only together."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = sorted((self._standing_for(a), self._standing_for(b)))
            if first != second:
                self._parents[second] = first
                if second in self._reasons:
                    self._reasons.setdefault(first, self._reasons.pop(second))

    def keep(self, channels: ChannelIndices, reason: str) -> None:
        """Make channels and everything tied to them stay."""
        for channel in np.unique(channels).tolist():
            self._reasons.setdefault(self._standing_for(channel), reason)

    def standing_for(self, channels: ChannelIndices) -> list[int]:
        """Representative of each channel, the same for all that are tied."""
        return [self._standing_for(channel) for channel in channels.tolist()]

    def reason(self, channel: int) -> str | None:
        """Why a channel stays, None if it may leave."""
        return self._reasons.get(self._standing_for(channel))

    def _standing_for(self, channel: int) -> int:
        parents = self._parents
        while parents[channel] != channel:
            parents[channel] = parents[parents[channel]]
            channel = parents[channel]
        return channel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelAxis:
    """Where a tensor's channels are: index k of dimension `dim` belongs to `channels[k]`.

    A channel has several indices if a map was flattened.
    """

    dim: int
    channels: ChannelIndices  # one for each index of that dimension

    @property
    def is_one(self) -> bool:
        """Whether the whole tensor belongs to one channel."""
        return len(set(self.channels.tolist())) == 1

    def at(self, dim: int, size: int) -> ChannelAxis | None:
        """The same channels along another dimension of that size, None if the channels differ."""
        if self.dim == dim:
            return self
        return ChannelAxis(dim=dim, channels=np.repeat(self.channels[:1], size)) if self.is_one else None
