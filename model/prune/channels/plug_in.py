"""Prune in one call between any two epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from bitlathe.model.prune.channels.budget import ChannelBudget, CostShare, WidthLimits
from bitlathe.model.prune.channels.costs import ChannelCosts, Costs, Metric
from bitlathe.model.prune.channels.criteria import Data
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.ranking import select
from bitlathe.model.prune.channels.removal import Optimizer, PruneReport, prune
from bitlathe.model.prune.channels.scores import ScoredMembers, find_criterion, score_channels
from bitlathe.model.prune.channels.surgery import Optimizers
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    """What to remove and how to rank it."""

    budget: ChannelBudget
    criterion: str = "l2"  # a name of CRITERIA
    limits: WidthLimits = field(default_factory=WidthLimits)
    scope: ChannelScope = ChannelScope.INTERNAL
    members: ScoredMembers = ScoredMembers.MEAN
    skip: tuple[str, ...] = ()  # layers not to prune
    seed: int = 0  # for the criterion "random"


def plug_in(
    model: nn.Module,
    optimizer: Optimizer | Optimizers | None,
    settings: PruneSettings,
    *,
    example: torch.Tensor,
    data: Data | None = None,
    original: Mapping[str, int] | None = None,
    costs: Costs | None = None,
    loss: TaskLoss = CROSS_ENTROPY,
) -> PruneReport:
    """Prune a live network and its optimizer in place; train on as if nothing had happened.

    `example` (N, C, H, W) is an input for tracing and checking, `data` are batches for criteria that look at
    images, `original` the widths by layer that the cap refers to, if earlier calls removed some, `costs` what
    a share of the latency refers to, `loss` what the network is trained by. Any error leaves the network and
    the optimizer as they were.
    """
    groups = channel_groups(model, example, settings.scope).without(settings.skip)
    criterion = find_criterion(settings.criterion, settings.seed, loss)
    scores = score_channels(model, groups, criterion, data, settings.members)
    if isinstance(settings.budget, CostShare) and settings.budget.metric is not Metric.LATENCY:
        costs = ChannelCosts.of(model, example)
    selection = select(groups, scores, settings.budget, settings.limits, costs=costs, original=original)
    return prune(model, selection, optimizer, example=example)
