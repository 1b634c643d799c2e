"""What a network would take on the hardware without some of its channels, and the least it could take."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import nn

from bitlathe.model.data import Images, to_input
from bitlathe.model.graph.graph import Graph
from bitlathe.model.prune.channels.costs import Metric
from bitlathe.model.prune.channels.groups import (
    ChannelGroup,
    ChannelGroups,
    ChannelScope,
    channel_groups,
    cuts,
)
from bitlathe.model.prune.channels.surgery import Cuts, plan
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize

_CALIBRATION = 8  # images: formats hardly move cycles


@dataclass(frozen=True, kw_only=True, eq=False)
class CycleCosts:
    """Cycles of a network as integers, pruned on a copy."""

    model: nn.Module
    images: Images
    config: QuantizeConfig  # of the integers
    cycles: Callable[[Graph], int]

    def total(self, metric: Metric, cuts: Cuts | None = None) -> int:
        """Cycles of an image without the channels of `cuts`."""
        assert metric is Metric.LATENCY
        return self.cycles(pruned_graph(self.model, self.images, self.config, cuts or {}))


def pruned_graph(model: nn.Module, images: Images, config: QuantizeConfig, without: Cuts) -> Graph:
    """The integer graph of a network without some channels; the network stays as it is."""
    model = copy.deepcopy(model).eval()
    if without:
        plan(model, without).apply()
    config = replace(config, calibration_images=_CALIBRATION)
    return quantize(model, images[:_CALIBRATION], config).graph


class Pruner(Protocol):
    """A method that removes channels."""

    @property
    def scope(self) -> ChannelScope:
        """Which groups it is offered."""

    def most(self, group: ChannelGroup, groups: ChannelGroups) -> int:
        """Channels that it may at most remove of a group, whatever it removes of others."""


def least_graphs(
    model: nn.Module,
    images: Images,
    pruners: Sequence[Pruner],
    configs: Iterable[QuantizeConfig],
    lanes: int,
) -> Iterator[Graph]:
    """Integer graphs of which the fastest is as fast as any that the methods can make.

    Every group of channels is as narrow as any of the pruners may make it, all at once, under each of the
    quantizers; and so once more with widths rounded up to whole lanes, which take the same cycles or fewer.
    """
    wide = {pruner.scope for pruner in pruners} or {ChannelScope.INTERNAL}
    scope = ChannelScope.ALL if ChannelScope.ALL in wide else ChannelScope.INTERNAL
    groups = channel_groups(model, to_input(images[:2]), scope)
    gone = {g.name: min(g.width - 1, sum(p.most(g, groups) for p in pruners)) for g in groups}
    in_lanes = {g.name: max(0, g.width - -(-(g.width - gone[g.name]) // lanes) * lanes) for g in groups}
    for config in configs:
        for amounts in (gone, in_lanes) if gone != in_lanes else (gone,):
            without = cuts((g, range(amounts[g.name])) for g in groups)
            yield pruned_graph(model, images, config, without)
