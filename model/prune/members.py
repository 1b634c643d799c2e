"""Layers that a channel runs through, and which of their tensors hold it.

A channel is made by a producer, passes batch norms and depthwise convolutions, and is read by consumers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from torch import nn

Indices = npt.NDArray[np.int64]
Norms = (nn.BatchNorm1d, nn.BatchNorm2d)


class Role(Enum):
    """How a layer takes part in a channel."""

    PRODUCER = "producer"  # its filter makes the channel
    DEPTHWISE = "depthwise"  # its filter sees this channel alone
    NORM = "norm"  # batch norm
    CONSUMER = "consumer"  # its filters read the channel


# Tensors along a channel and their dimension, then the sizes a layer keeps as plain attributes.
TENSORS: dict[Role, tuple[tuple[str, int], ...]] = {
    Role.PRODUCER: (("weight", 0), ("bias", 0)),
    Role.DEPTHWISE: (("weight", 0), ("bias", 0)),
    Role.NORM: (("weight", 0), ("bias", 0), ("running_mean", 0), ("running_var", 0)),
    Role.CONSUMER: (("weight", 1),),
}
_CONV_SIZES = {
    Role.PRODUCER: ("out_channels",),
    Role.DEPTHWISE: ("out_channels", "in_channels", "groups"),
    Role.CONSUMER: ("in_channels",),
}
_LINEAR_SIZES = {Role.PRODUCER: ("out_features",), Role.CONSUMER: ("in_features",)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """A layer's part in a group: channel `channels[k]` of the group is index `indices[k]` of the layer.

    A channel has several indices where a map is flattened, none where a layer holds part of the group only.
    """

    layer: str  # dotted name of the module
    role: Role
    channels: Indices  # (K,)
    indices: Indices  # (K,)

    def at(self, channels: Indices) -> Indices:
        """The layer's indices of the given channels."""
        return self.indices[np.isin(self.channels, channels)]


def sizes(layer: nn.Module, role: Role) -> tuple[str, ...]:
    """Attributes that hold the number of indices of `layer` in this role."""
    if isinstance(layer, nn.Conv2d):
        return _CONV_SIZES[role]
    if isinstance(layer, nn.Linear):
        return _LINEAR_SIZES[role]
    return ("num_features",)


def size(layer: nn.Module, role: Role) -> int:
    """Number of indices of `layer` in this role."""
    return int(getattr(layer, sizes(layer, role)[0]))


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each filter reads one channel and each channel has one filter."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.groups > 1
        and layer.groups == layer.in_channels == layer.out_channels
    )
