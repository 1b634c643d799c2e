"""The tensors that a network returns: one, or several in tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils import _pytree


def tensors_of(returned: Any) -> tuple[Tensor, ...]:
    """The tensors among what a network returns, in order; those of a dict in the order of its keys.

    >>> import torch
    >>> [float(tensor) for tensor in tensors_of({"b": torch.ones(()), "a": (torch.zeros(()), None)})]
    [1.0, 0.0]
    """
    return tuple(leaf for leaf in _pytree.tree_leaves(returned) if isinstance(leaf, Tensor))
