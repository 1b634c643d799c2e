"""How much accuracy depends on each layer's channels: prune every layer alone, without retraining.

Source: Li et al. 2016, arXiv:1608.08710, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from bitlathe.model.prune.channels.budget import PerLayer, whole_channels
from bitlathe.model.prune.channels.groups import ChannelGroups
from bitlathe.model.prune.channels.ranking import select
from bitlathe.model.prune.channels.scores import Scores
from bitlathe.model.prune.channels.surgery import masked
from bitlathe.model.prune.errors import BudgetError

Accuracy = Callable[[nn.Module], float]  # of the network as it is, 0..1
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Accuracies of a network with one layer pruned."""

    base: float  # without pruning, 0..1
    ratios: tuple[float, ...]  # shares of the layer's channels, ascending
    accuracies: dict[str, tuple[float, ...]]  # layer -> accuracy at each ratio

    def sensitive(self, ratio: float, tolerance: float) -> tuple[str, ...]:
        """Layers to skip: those that lose more than `tolerance` (0..1) at `ratio`.

        Raises BudgetError for a ratio that was not measured.
        """
        if ratio not in self.ratios:
            measured = ", ".join(f"{r:g}" for r in self.ratios)
            raise BudgetError(f"ratio {ratio:g} was not measured; choose one of {measured}")
        at = self.ratios.index(ratio)
        return tuple(layer for layer, row in self.accuracies.items() if self.base - row[at] > tolerance)

    def table(self) -> str:
        """Losses in percentage points, one line per layer."""
        wide = max(map(len, self.accuracies), default=0)
        head = " ".join(f"{ratio:>6.0%}" for ratio in self.ratios)
        lines = [
            f"{layer:<{wide}} " + " ".join(f"{100 * (self.base - value):6.2f}" for value in row)
            for layer, row in self.accuracies.items()
        ]
        return "\n".join([f"{'layer':<{wide}} {head}", *lines])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = {layer: list(row) for layer, row in self.accuracies.items()}
        return {"base": self.base, "ratios": list(self.ratios), "accuracies": rows}


def sensitivity(
    model: nn.Module,
    groups: ChannelGroups,
    scores: Scores,
    accuracy: Accuracy,
    ratios: Sequence[float] = RATIOS,
) -> Sensitivity:
    """Prune each layer alone at each ratio, lowest scores first, and measure.

    The channels are masked, not removed, which gives the same accuracy; the network is left as it was.
    Every layer keeps at least one channel, whatever the ratio.
    """
    rows = {}
    for group in groups:
        row = []
        for ratio in ratios:
            count = min(group.width - 1, whole_channels(group.width, ratio))
            selection = select(groups, scores, PerLayer(amounts={group.name: count}))
            with masked(model, selection.cuts()):
                row.append(accuracy(model))
        rows[group.name] = tuple(row)
    return Sensitivity(base=accuracy(model), ratios=tuple(ratios), accuracies=rows)
