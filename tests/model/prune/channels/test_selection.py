"""Exactly the channels that a budget asks for, the least important first."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from exact_modules import Forward
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bitlathe.model.prune.channels.budget import (
    ChannelBudget,
    CostShare,
    Count,
    PerLayer,
    Share,
    WidthLimits,
)
from bitlathe.model.prune.channels.costs import ChannelCosts, Metric
from bitlathe.model.prune.channels.groups import ChannelGroups, ChannelScope, channel_groups
from bitlathe.model.prune.channels.ranking import select
from bitlathe.model.prune.channels.scores import Scores
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.prune.errors import BudgetError, PruneError, Unprunable
from bitlathe.model.zoo import build, macs

IMAGE = torch.zeros(1, 3, 32, 32)


@cache
def groups_of(network: str) -> ChannelGroups:
    return channel_groups(build(network), IMAGE)


@cache
def costs_of(network: str) -> ChannelCosts:
    return ChannelCosts.of(build(network), IMAGE)


GROUPS = groups_of("resnet20")  # nine layers, 336 channels


def drawn_scores(seed: int, groups: ChannelGroups = GROUPS) -> Scores:
    rng = np.random.default_rng(seed)
    # few distinct values, so that there are many ties
    return {group.name: rng.integers(0, 20, group.width).astype(np.float64) for group in groups}


def refusal(budget: ChannelBudget, limits: WidthLimits | None = None) -> str:
    with pytest.raises(BudgetError) as caught:
        select(GROUPS, drawn_scores(0), budget, limits, costs=costs_of("resnet20"))
    return str(caught.value)


@settings(max_examples=30)
@given(count=st.integers(1, 336 - 9), seed=st.integers(0, 99))
def test_exactly_as_many_channels_go_as_asked_and_none_more_important_than_one_that_stays(
    count: int, seed: int
) -> None:
    scores = drawn_scores(seed)
    selection = select(GROUPS, scores, Count(channels=count))
    assert selection.count == count == sum(old - new for old, new in selection.widths.values())
    gone = [scores[name][list(channels)].max() for name, channels in selection.removed.items()]
    for group in GROUPS:
        stays = np.setdiff1d(np.arange(group.width), selection.removed.get(group.name, ()))
        if len(stays) > 1:  # the last one of a layer stays whatever its score
            assert scores[group.name][stays].min() >= max(gone)


@settings(max_examples=30)
@given(count=st.integers(1, 336 - 9))
def test_equal_scores_go_in_the_order_of_layers_and_channels(count: int) -> None:
    selection = select(GROUPS, {g.name: np.ones(g.width) for g in GROUPS}, Count(channels=count))
    order = [(g.name, channel) for g in GROUPS for channel in range(g.width - 1)]
    chosen = [(name, channel) for name, channels in selection.removed.items() for channel in channels]
    assert chosen == order[:count]


@settings(max_examples=30)
@given(blocks=st.integers(1, 30), seed=st.integers(0, 99), lanes=st.sampled_from([4, 8]))
def test_blocks_of_lanes_leave_multiples(blocks: int, seed: int, lanes: int) -> None:
    selection = select(GROUPS, drawn_scores(seed), Count(channels=blocks * lanes), WidthLimits(lanes=lanes))
    assert selection.count == blocks * lanes
    assert all(new % lanes == 0 and new > 0 for _, new in selection.widths.values())


def test_a_layer_of_odd_width_is_brought_to_a_multiple_first() -> None:
    groups = channel_groups(build("lenet5"), torch.zeros(1, 1, 8, 8))
    scores = drawn_scores(1, groups)
    selection = select(groups, scores, PerLayer(amounts={"fc2": 1.0 - 64 / 84}), WidthLimits(lanes=8))
    assert selection.widths["fc2"] == (84, 64)
    selection = select(groups, scores, Count(channels=4), WidthLimits(lanes=8))
    assert selection.widths["fc2"] == (84, 80)


@settings(max_examples=30)
@given(seed=st.integers(0, 99), floor=st.integers(1, 20), cap=st.floats(0.05, 1))
def test_no_layer_falls_below_its_floor_or_loses_more_than_its_cap(seed: int, floor: int, cap: float) -> None:
    limits = WidthLimits(floor=floor, cap=cap)
    most = sum(max(0, g.width - limits.least(g.width)) for g in GROUPS)
    with pytest.raises(BudgetError):
        select(GROUPS, drawn_scores(seed), Count(channels=most + 1), limits)
    if most:
        selection = select(GROUPS, drawn_scores(seed), Count(channels=most), limits)
        for old, new in selection.widths.values():
            assert new == old or (new >= floor and old - new <= cap * old + 1e-9)


def test_a_cap_counts_from_the_original_width() -> None:
    original = {group.name: 2 * group.width for group in GROUPS}  # half is gone already
    with pytest.raises(BudgetError, match="the layers can give none"):
        select(GROUPS, drawn_scores(0), Count(channels=1), WidthLimits(cap=0.5), original=original)


@pytest.mark.parametrize("metric", Metric)
@settings(max_examples=10)
@given(share=st.floats(0.01, 0.9), seed=st.integers(0, 99))
def test_a_share_of_a_cost_is_saved_with_as_few_channels_as_the_ranking_allows(
    metric: Metric, share: float, seed: int
) -> None:
    costs, scores = costs_of("resnet20"), drawn_scores(seed)
    budget = CostShare(share=share * (0.9 if metric is Metric.MACS else 0.8), metric=metric)
    before = costs.total(metric)

    def left(selection: Selection) -> int:
        return costs.total(metric, selection.cuts())

    selection = select(GROUPS, scores, budget, costs=costs)
    assert left(selection) <= (1 - budget.share) * before
    if selection.count > 1:
        assert left(select(GROUPS, scores, Count(channels=selection.count - 1))) > (1 - budget.share) * before


def test_costs_are_those_of_the_network() -> None:
    for name in ("resnet20", "resnet8"):
        model = build(name)
        assert costs_of(name).total(Metric.MACS) == macs(model, (3, 32, 32))
        assert costs_of(name).total(Metric.PARAMETERS) == sum(p.numel() for p in model.parameters())


# Million multiply-accumulates and parameters: Li et al. 2016 as repeated in "Rethinking the value of network
# pruning". The layers' numbers are theirs: 1 is the stem, even numbers are first convolutions of a block.
@pytest.mark.parametrize(
    ("ratios", "skipped", "mega_macs", "mega_parameters"),
    [
        ({"layer1": 0.5}, (36,), 212.8, 1.689),
        ({"layer1": 0.5, "layer2": 0.4, "layer3": 0.3}, (36, 38, 74), 155.1, 1.168),
    ],
)
def test_published_resnet_110s_have_their_published_costs(
    ratios: dict[str, float], skipped: tuple[int, ...], mega_macs: float, mega_parameters: float
) -> None:
    groups = groups_of("resnet110")
    names = [group.name for group in groups]
    left = {names[number // 2 - 1] for number in skipped}
    amounts = {
        name: ratio
        for stage, ratio in ratios.items()
        for name in names
        if name.startswith(f"{stage}.") and name not in left
    }
    budget = PerLayer(amounts=amounts)
    cuts = select(groups, drawn_scores(0, groups), budget).cuts()
    costs = costs_of("resnet110")
    assert round(costs.total(Metric.MACS, cuts) / 1e6, 1) == mega_macs
    assert round(costs.total(Metric.PARAMETERS, cuts) / 1e6, 3) == mega_parameters


def test_a_share_is_rounded_to_whole_channels() -> None:
    assert select(GROUPS, drawn_scores(0), Share(share=0.3)).count == round(0.3 * 336)
    assert select(GROUPS, drawn_scores(0), Share(share=0.3), WidthLimits(lanes=8)).count == 96


def test_amounts_by_layer_are_kept_to_the_channel() -> None:
    amounts: dict[str, int | float] = {"layer1.0.conv1": 3, "layer3.1.conv1": 0.5}
    selection = select(GROUPS, drawn_scores(0), PerLayer(amounts=amounts))
    assert {name: len(c) for name, c in selection.removed.items()} == {
        "layer1.0.conv1": 3,
        "layer3.1.conv1": 32,
    }


def test_a_budget_that_no_layer_can_meet_says_what_can_be_had() -> None:
    assert refusal(Count(channels=400)) == (
        "400 channels are to go, the layers can give 1 to 327 (floor 1, cap 1, lanes 1); ask for fewer"
    )
    assert refusal(CostShare(share=0.99)) == (
        "99.0% of the macs are to go, the layers can give 95.2% (floor 1, cap 1, lanes 1); ask for less"
    )
    assert refusal(Count(channels=400), WidthLimits(floor=8)).endswith("; ask for fewer or loosen the limits")
    assert refusal(PerLayer(amounts={"layer1.0.conv1": 16})) == (
        "layer1.0.conv1: 16 of 16 channels are to go, 15 can (floor 1, cap 1, lanes 1); ask for fewer"
    )
    assert refusal(Count(channels=50), WidthLimits(lanes=8)) == (
        "50 channels cannot go in blocks of 8; 48 can, ask for that"
    )
    assert refusal(PerLayer(amounts={"layer1.0.conv1": 5}), WidthLimits(lanes=4)) == (
        "layer1.0.conv1: 5 of 16 channels cannot go in blocks of 4; 4 can, ask for that"
    )


def test_advice_against_a_budget_too_large_names_the_wider_scope_and_what_cannot_be_pruned() -> None:
    def told(model: nn.Module, scope: ChannelScope) -> str:
        groups = channel_groups(model, torch.zeros(1, 3, 32, 32), scope)
        with pytest.raises(BudgetError) as caught:
            select(groups, {g.name: np.zeros(g.width) for g in groups}, Count(channels=1000))
        return str(caught.value).split("; ", 1)[1]

    assert told(build("resnet8"), ChannelScope.INTERNAL) == (
        "ask for fewer or widen the scope to all groups, which adds 112 channels"
    )
    assert told(build("resnet8"), ChannelScope.ALL) == "ask for fewer"
    tied = Forward(lambda m, x: m.last((m.first(x) + x).mean((2, 3))), first=nn.Conv2d(3, 3, 1))
    tied.last = nn.Linear(3, 2)
    assert told(tied, ChannelScope.ALL) == (
        "no layer can be pruned: first: cannot be pruned: its channels are tied to the image's"
    )


def test_unknown_layers_are_named() -> None:
    with pytest.raises(Unprunable, match=r"^linear: cannot be pruned: "):
        select(GROUPS, drawn_scores(0), PerLayer(amounts={"linear": 2}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Count(channels=0),
        lambda: Share(share=0.0),
        lambda: CostShare(share=1.5),
        lambda: PerLayer(amounts={"conv1": -1}),
        lambda: PerLayer(amounts={"conv1": 1.5}),
        lambda: WidthLimits(floor=0),
        lambda: WidthLimits(lanes=0),
        lambda: WidthLimits(cap=0),
        lambda: Selection(groups=GROUPS, removed={"layer1.0.conv1": (3, 3)}),
        lambda: Selection(groups=GROUPS, removed={"layer1.0.conv1": (16,)}),
        lambda: Selection(groups=GROUPS, removed={"layer1.0.conv1": tuple(range(16))}),
    ],
)
def test_impossible_budgets_are_refused_when_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(BudgetError):
        make()


def test_scores_of_another_width_or_without_a_number_are_refused() -> None:
    for wrong in (np.zeros(5), np.full(16, np.nan)):
        with pytest.raises(PruneError, match=r"^layer1.0.conv1: scores must be 16 finite numbers"):
            select(GROUPS, {**drawn_scores(0), "layer1.0.conv1": wrong}, Count(channels=1))


def test_a_cost_share_needs_costs() -> None:
    with pytest.raises(PruneError, match=r"give the network's costs"):
        select(GROUPS, drawn_scores(0), CostShare(share=0.1))
