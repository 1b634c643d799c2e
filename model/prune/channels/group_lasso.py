"""A loss term that pulls whole filters towards zero, so that later pruning removes dead ones.

Source: Yuan and Lin 2006, doi 10.1111/j.1467-9868.2005.00532.x; of filters Wen et al. 2016, arXiv:1608.03665,
section 3.2. Its use before pruning by sparsity: "Channel pruning based on regularized sparse".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.members import filters
from bitlathe.model.prune.errors import PruneError, Unprunable


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLasso:
    """`strength` times the sum of the L2 norms of all filters with channels that can be pruned.

    Unlike weight decay, its pull does not fade as a filter shrinks. Raises PruneError for a strength that is
    not above 0.
    """

    strength: float
    scope: ChannelScope = ChannelScope.INTERNAL

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise PruneError(f"group lasso: a strength of {self.strength:g}; give more than 0")

    def on(self, model: nn.Module, example: Tensor) -> Callable[[], Tensor]:
        """The loss term () of a live network, valid until it is pruned; `example` (N, C, H, W) is an input.

        Raises Unprunable if no channel can be pruned.
        """
        layers = dict(model.named_modules())
        groups = channel_groups(model, example, self.scope)
        producers = dict.fromkeys(name for group in groups for name in group.producers)
        if not producers:
            raise Unprunable(
                f"group lasso: no channel can be pruned in scope {self.scope.value}; widen the scope"
            )
        makers = [layers[name] for name in producers]
        return lambda: self.strength * torch.stack([_norms(layer).sum() for layer in makers]).sum()


def _norms(layer: nn.Module) -> Tensor:
    """L2 norm (filters,) of each filter; its gradient at 0 is 0."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    norms: Tensor = torch.linalg.vector_norm(filters(layer, weight), dim=1)
    return norms
