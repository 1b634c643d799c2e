"""Weight pruning that goes on during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from bitlathe.model.prune.influence import Influence, influences
from bitlathe.model.prune.masks import Masks, SparsityTarget, choose_masks
from bitlathe.model.prune.schedule import CubicSchedule
from bitlathe.model.train.batches import Batch


@dataclass(kw_only=True, eq=False)
class GradualPruning:
    """Prunes a live network while another loop trains it; call `after_step` after each step of the optimizer.

    Source: "Pruning and quantization-aware training", with the schedule of Zhu and Gupta 2017.
    """

    target: SparsityTarget  # its sparsity is replaced by the schedule's
    schedule: CubicSchedule
    influence: Influence = Influence.MAGNITUDE
    batches: Callable[[], Iterable[Batch]] = tuple  # images that the influence is measured on
    masks: Masks | None = None
    step: int = 0

    def after_step(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Count a step, update the masks where the schedule says so, and zero what is pruned."""
        self.step += 1
        if self.schedule.is_due(self.step):
            scores = influences(model, self.influence, self.batches())
            target = replace(self.target, sparsity=self.schedule.sparsity(self.step))
            self.masks = choose_masks(scores, target)
        if self.masks is not None:
            self.masks.apply(model, optimizer)
