"""Which channels to remove: a plain record, and what it means for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.model.prune.channels.groups import ChannelGroups, cuts
from bitlathe.model.prune.channels.surgery import Cuts
from bitlathe.model.prune.errors import BudgetError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Channels to remove from some groups of a network.

    Raises Unprunable for an unknown layer and BudgetError for channels that a layer lacks or cannot spare.
    """

    groups: ChannelGroups
    removed: Mapping[str, tuple[int, ...]]  # name of a group -> its channels, ascending

    def __post_init__(self) -> None:
        for name, channels in self.removed.items():
            width = self.groups.find(name).width
            if sorted(set(channels)) != list(channels) or not all(0 <= c < width for c in channels):
                raise BudgetError(
                    f"{name}: channels {_some(channels)} are to go; "
                    f"give each once, ascending, of 0..{width - 1}"
                )
            if len(channels) >= width:
                raise BudgetError(f"{name}: all {width} channels are to go; leave one at least")

    @property
    def count(self) -> int:
        """Total number of removed channels."""
        return sum(map(len, self.removed.values()))

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """Width of every group before and after."""
        gone = {name: len(channels) for name, channels in self.removed.items()}
        return {g.name: (g.width, g.width - gone.get(g.name, 0)) for g in self.groups}

    def only(self, name: str) -> Selection:
        """The part for one group."""
        return Selection(groups=self.groups, removed={name: self.removed[name]})

    def cuts(self) -> Cuts:
        """Indices that each layer loses in each of its roles."""
        return cuts((group, self.removed.get(group.name, ())) for group in self.groups)


def _some(channels: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, channels[:8]))
    return f"{shown}, ..." if len(channels) > 8 else shown
