"""The tensors that a network returns: one, or several in tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from bitlathe.model.graph.errors import ShapeError

VECTOR_AXES = 2  # images, and values of each


def tensors_of(returned: Any) -> tuple[Tensor, ...]:
    """The tensors among what a network returns, in order; those of a dict in the order of its keys.

    >>> import torch
    >>> [float(tensor) for tensor in tensors_of({"b": torch.ones(()), "a": (torch.zeros(()), None)})]
    [1.0, 0.0]
    """
    return tuple(leaf for leaf in _pytree.tree_leaves(returned) if isinstance(leaf, Tensor))


def class_scores(returned: Any) -> Tensor:
    """The scores of classes (N, K) in what a network returns: its tensor, or the only vector among several.

    Raises ShapeError where several tensors hold no vector, or several.
    """
    found = tensors_of(returned)
    if len(found) == 1:
        return found[0]
    vectors = [tensor for tensor in found if tensor.dim() == VECTOR_AXES]
    if len(vectors) != 1:
        raise ShapeError(
            f"of {len(found)} outputs {len(vectors)} are vectors; the classes must be the only one: let the "
            "network return them alone"
        )
    return vectors[0]


def float_outputs(returned: Any) -> Any:
    """What a network returned, in float32 or float64, as vectors (N, K) and maps (N, K, H, W)."""
    return _pytree.tree_map_only(Tensor, _as_outputs, returned)


def _as_outputs(tensor: Tensor) -> Tensor:
    is_vector = tensor.shape[2:] == (1, 1) or tensor.ndim < 2
    shaped = tensor.reshape(len(tensor), -1) if is_vector else tensor
    return shaped if shaped.dtype == torch.float64 else shaped.float()
