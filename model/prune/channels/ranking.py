"""Choose the least important channels that meet a budget.

Equal scores go in the order of the network's layers and channels, so choices are reproducible.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitlathe.model.prune.channels.budget import (
    ChannelBudget,
    CostShare,
    Count,
    PerLayer,
    Share,
    WidthLimits,
    whole_channels,
)
from bitlathe.model.prune.channels.costs import Costs
from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups
from bitlathe.model.prune.channels.scores import Scores
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.prune.errors import BudgetError, PruneError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBlock:
    """Channels of one group that go together."""

    score: float  # mean of its channels
    place: int  # position of its group in the network
    order: int  # position within its group
    group: str
    channels: tuple[int, ...]


def select(
    groups: ChannelGroups,
    scores: Scores,
    budget: ChannelBudget,
    limits: WidthLimits | None = None,
    *,
    costs: Costs | None = None,
    original: Mapping[str, int] | None = None,
) -> Selection:
    """Channels that meet `budget` within `limits`.

    A CostShare needs `costs`; `original` are the widths that `cap` refers to, if earlier pruning removed some
    channels. Raises BudgetError, saying how much is possible.
    """
    bounds = limits or WidthLimits()
    blocks = {
        group.name: _blocks(place, group, scores, bounds, original or {})
        for place, group in enumerate(groups)
    }
    match budget:
        case PerLayer():
            chosen = [
                b
                for layer, amount in budget.amounts.items()
                for b in _of_layer(groups, blocks, layer, amount, bounds)
            ]
        case Count():
            chosen = _counted(groups, _ranked(blocks), budget.channels, bounds, is_exact=True)
        case Share():
            wanted = max(1, round(budget.share * groups.width))
            chosen = _counted(groups, _ranked(blocks), wanted, bounds, is_exact=bounds.lanes == 1)
        case CostShare():
            chosen = _until(groups, _ranked(blocks), budget, _given(costs), bounds)
    return _selection(groups, chosen)


def _blocks(
    place: int, group: ChannelGroup, scores: Scores, limits: WidthLimits, original: Mapping[str, int]
) -> list[ChannelBlock]:
    """Blocks that a group may lose, least important first; the first one leaves a multiple of the lanes."""
    values = scores[group.name]
    if values.shape != (group.width,) or not np.isfinite(values).all():
        raise PruneError(
            f"{group.name}: scores must be {group.width} finite numbers; score the network as it is now"
        )
    ascending = np.argsort(values, kind="stable")
    least = limits.least(original.get(group.name, group.width))
    blocks: list[ChannelBlock] = []
    start, step = 0, group.width % limits.lanes or limits.lanes
    while group.width - start - step >= least:
        channels = ascending[start : start + step]
        score = float(values[channels].mean())
        blocks.append(
            ChannelBlock(
                score=score,
                place=place,
                order=len(blocks),
                group=group.name,
                channels=tuple(channels.tolist()),
            )
        )
        start, step = start + step, limits.lanes
    return blocks


def _ranked(blocks: Mapping[str, list[ChannelBlock]]) -> list[ChannelBlock]:
    every = (block for of_group in blocks.values() for block in of_group)
    return sorted(every, key=lambda block: (block.score, block.place, block.order))


def _counted(
    groups: ChannelGroups, ranked: Sequence[ChannelBlock], wanted: int, limits: WidthLimits, *, is_exact: bool
) -> list[ChannelBlock]:
    available = _size(ranked)
    if not 1 <= wanted <= available:
        most = f"1 to {available}" if available else "none"
        raise BudgetError(
            f"{wanted} channels are to go, the layers can give {most} ({limits.describe()}); "
            f"{_way_out(groups, limits, 'fewer' if available else None)}"
        )
    chosen: list[ChannelBlock] = []
    taken = 0
    # once a group's block is too large, so are its later ones: none is taken before an earlier one
    for block in ranked:
        if taken + len(block.channels) <= wanted:
            chosen.append(block)
            taken += len(block.channels)
    if taken < wanted if is_exact else not chosen:
        raise BudgetError(
            f"{wanted} channels cannot go in blocks of {limits.lanes}; {taken or limits.lanes} can, "
            "ask for that"
        )
    return chosen


def _until(
    groups: ChannelGroups,
    ranked: Sequence[ChannelBlock],
    budget: CostShare,
    costs: Costs,
    limits: WidthLimits,
) -> list[ChannelBlock]:
    """The shortest prefix of the ranking that saves enough."""
    before = costs.total(budget.metric)

    def saved(length: int) -> float:
        return 1 - costs.total(budget.metric, _selection(groups, ranked[:length]).cuts()) / before

    enough = budget.share - 1e-12
    length = bisect_left(range(len(ranked) + 1), enough, key=saved)
    while length <= len(ranked) and saved(length) < enough:  # cycles may rise by a few where channels go
        length += 1
    if length > len(ranked):
        raise BudgetError(
            f"{budget.share:.1%} of the {budget.metric.value} are to go, the layers can give "
            f"{saved(len(ranked)):.1%} ({limits.describe()}); "
            f"{_way_out(groups, limits, 'less' if ranked else None)}"
        )
    return list(ranked[:length])


def _of_layer(
    groups: ChannelGroups,
    blocks: Mapping[str, list[ChannelBlock]],
    layer: str,
    amount: int | float,
    limits: WidthLimits,
) -> list[ChannelBlock]:
    group = groups.find(layer)
    own = blocks[group.name]
    is_share = isinstance(amount, float)
    wanted = whole_channels(group.width, amount) if is_share else int(amount)
    if wanted > _size(own):
        raise BudgetError(
            f"{layer}: {wanted} of {group.width} channels are to go, {_size(own)} can ({limits.describe()}); "
            f"ask for fewer{'' if limits == WidthLimits() else ' or loosen the limits'}"
        )
    chosen = [block for i, block in enumerate(own) if _size(own[: i + 1]) <= wanted]
    if not is_share and _size(chosen) != wanted:
        raise BudgetError(
            f"{layer}: {wanted} of {group.width} channels cannot go in blocks of {limits.lanes}; "
            f"{_size(chosen)} can, ask for that"
        )
    return chosen


def _way_out(groups: ChannelGroups, limits: WidthLimits, lower: str | None) -> str:
    """Advice for a budget that is too large: `lower` is what to ask for, if that can help."""
    ways = [f"ask for {lower}"] if lower else []
    if limits != WidthLimits() and len(groups):
        ways.append("loosen the limits")
    if groups.wider:
        ways.append(f"widen the scope to all groups, which adds {groups.wider} channels")
    return " or ".join(ways) or f"no layer can be pruned: {'; '.join(groups.told()) or 'none has channels'}"


def _given(costs: Costs | None) -> Costs:
    if costs is None:
        raise PruneError(
            "a share of a cost is asked for; give the network's costs, ChannelCosts.of(model, example)"
        )
    return costs


def _size(blocks: Iterable[ChannelBlock]) -> int:
    return sum(len(block.channels) for block in blocks)


def _selection(groups: ChannelGroups, chosen: Sequence[ChannelBlock]) -> Selection:
    removed: dict[str, list[int]] = {}
    for block in chosen:
        removed.setdefault(block.group, []).extend(block.channels)
    order = [group.name for group in groups if group.name in removed]
    return Selection(groups=groups, removed={name: tuple(sorted(removed[name])) for name in order})
