"""Errors of pruning; every message names the layer and a way out."""

from __future__ import annotations

from bitlathe.model.graph.errors import BitlatheError


class PruneError(BitlatheError):
    """Base of this package's errors."""


class Unprunable(PruneError):
    """A layer does not exist, or its channels cannot be removed."""


class BudgetError(PruneError):
    """More is to be removed than the layers can give."""


class BrokenNetwork(PruneError):
    """A forward pass fails or gives another result after pruning; the network was restored."""
