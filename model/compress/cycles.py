"""What a network would take on the hardware without some of its channels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from bitlathe.model.data import Images
from bitlathe.model.graph.graph import Graph
from bitlathe.model.prune.channels.costs import Metric
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
        return self.cycles(self.graph(cuts))

    def graph(self, cuts: Cuts | None = None) -> Graph:
        """The integer graph without the channels of `cuts`."""
        model = copy.deepcopy(self.model).eval()
        if cuts:
            plan(model, cuts).apply()
        config = replace(self.config, calibration_images=_CALIBRATION)
        return quantize(model, self.images[:_CALIBRATION], config).graph
