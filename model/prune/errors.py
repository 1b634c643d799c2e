"""What can go wrong in pruning; every message names the layer and a way out."""

from __future__ import annotations

from bitlathe.model.graph.errors import BitlatheError


class PruneError(BitlatheError):
    """Base of the errors of this room."""


class Unprunable(PruneError):
    """A layer whose channels cannot be removed, or that does not exist."""


class BudgetError(PruneError):
    """More is to be removed than the layers can give."""


class BrokenNetwork(PruneError):
    """A forward pass that fails or changes its meaning after a prune; the network was restored."""
