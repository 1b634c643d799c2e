"""What a compression method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.state import State
from bitlathe.model.graph.graph import Graph
from bitlathe.model.prune.channels.groups import ChannelGroups
from bitlathe.model.quantize.config import QuantizeConfig


class MethodKind(Enum):
    """What a method changes; any method of a kind counts towards what that kind still owes."""

    TRAIN = "T"
    PRUNE = "P"
    WEIGHTS = "W"
    QUANTIZE = "Q"
    PRODUCT = "PQ"


class Method(Protocol):
    """One way to shrink a network, applied between any two epochs.

    Implementations are frozen dataclasses that can be pickled.
    """

    @property
    def name(self) -> str:
        """Short name, unique among a run's methods: "P", "Q(4,8)"."""

    @property
    def kind(self) -> MethodKind:
        """What it changes."""

    def applicable(self, state: State) -> bool:
        """Whether choosing it still changes or trains anything: False for a pruner that met its target."""

    def owed(self, state: State) -> int:
        """In how many more epochs it must be chosen to meet its target; 0 if none."""

    @property
    def lasting(self) -> bool:
        """Whether its change lasts beyond the epoch it was chosen in."""

    def apply(self, state: State, data: MethodData) -> State:
        """The changed state, before its epoch's training; `state` may be changed in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodContext:
    """What a method must know about a run besides the parameters that a user writes."""

    groups: Callable[[Any], ChannelGroups]  # channels that P's parameters may prune
    quantization: QuantizeConfig | None = None  # what Q leaves open, and PQ's default
    lasting: bool = True  # whether a Q stays on
    lanes: int = 1  # channels that the target computes at once
    cycles: Callable[[Graph], int] | None = None  # of an image on the target; can be pickled
