"""A recipe for building a network, as a value that can be sent to another process."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.zoo import InputSize, Normalize, build


class Architecture(Protocol):
    """Builds one network; equal calls give equal modules. Implementations can be pickled."""

    def build(self) -> nn.Module:
        """The network with its first weights, unpruned, in training mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenNetwork:
    """A network that is there, as it was before any method."""

    model: nn.Module

    def build(self) -> nn.Module:
        """A copy to be trained."""
        return copy.deepcopy(self.model).train()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooArchitecture:
    """A network of the zoo."""

    network: str
    num_classes: int
    in_channels: int
    input_size: InputSize
    normalization: Normalization = NONE  # of images
    seed: int = 0

    def build(self) -> nn.Module:
        """The network with its seeded first weights."""
        return build(
            self.network,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            input_size=self.input_size,
            seed=self.seed,
            normalize=Normalize.of(self.normalization),
        )
