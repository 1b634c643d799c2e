"""How much to remove, and how far a layer may shrink."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.model.prune.channels.costs import Metric
from bitlathe.model.prune.errors import BudgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Exactly `channels` of the whole network, the least important first."""

    channels: int

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise BudgetError(f"{self.channels} channels are to go; ask for 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of all channels that can be pruned, rounded to whole channels (down to whole lane blocks)."""

    share: float  # 0..1

    def __post_init__(self) -> None:
        _check_share("share of the channels", self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostShare:
    """The fewest of the least important channels that lower a cost by at least `share` of itself."""

    share: float  # 0..1
    metric: Metric = Metric.MACS

    def __post_init__(self) -> None:
        _check_share(f"share of the {self.metric.value}", self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerLayer:
    """A number (int) or share (float) of the channels of each named layer, ranked within the layer.

    A share keeps as many whole channels as fit into the rest: 0.4 of 32 keeps 19, as in the code with which
    the results of Li et al. 2016 (arXiv:1608.08710) are repeated.
    """

    amounts: Mapping[str, int | float]

    def __post_init__(self) -> None:
        for layer, amount in self.amounts.items():
            if isinstance(amount, float):
                _check_share(f"{layer}: share", amount)
            elif amount < 0:
                raise BudgetError(f"{layer}: {amount} channels are to go; ask for 0 or more")


ChannelBudget = Count | Share | CostShare | PerLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthLimits:
    """Bounds of every layer, and the size of the blocks that are removed."""

    floor: int = 1  # channels that a layer keeps at least
    cap: float = 1.0  # share of its original channels that a layer may lose
    lanes: int = 1  # channels that go together; every layer that shrinks keeps a multiple

    def __post_init__(self) -> None:
        if self.floor < 1 or self.lanes < 1:
            raise BudgetError(f"floor is {self.floor} and lanes {self.lanes}; make both 1 or more")
        _check_share("cap", self.cap)

    def least(self, original: int) -> int:
        """Channels that a layer of `original` channels keeps at least.

        >>> Limits(floor=4, cap=0.9).least(64), Limits(floor=4, cap=0.3).least(16)
        (7, 12)
        """
        return max(self.floor, whole_channels(original, 1 - self.cap))

    def describe(self) -> str:
        """The limits in words."""
        return f"floor {self.floor}, cap {self.cap:g}, lanes {self.lanes}"


def whole_channels(width: int, share: float) -> int:
    """Channels in a share of a layer, such that the rest is rounded down.

    >>> whole_channels(32, 0.4), whole_channels(10, 0.9)
    (13, 9)
    """
    return math.ceil(width * share - 1e-9)


def _check_share(what: str, share: float) -> None:
    if not 0 < share <= 1:
        raise BudgetError(f"{what} is {share:g}; give more than 0 and at most 1")
