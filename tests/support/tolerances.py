"""How far two sums of the same numbers may differ: by their count, their size and the precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sum_tolerance(terms: int, magnitude: float | Tensor, dtype: torch.dtype = torch.float32) -> float:
    """Most by which two sums of the same `terms` products differ, each added up in `dtype` in any order.

    `magnitude` is the sum of the products' magnitudes. Each sum differs from the exact one by at most
    terms * u / (1 - terms * u) of it, where u is half of `dtype`'s epsilon and the products' own roundings
    are counted. Every further operation on the way counts as a term. Source: Higham 2002, Accuracy and
    Stability of Numerical Algorithms, equation 3.5.

    >>> sum_tolerance(1000, 1.0, torch.float64) < 1000 * 2.3e-16
    True
    """
    part = terms * torch.finfo(dtype).eps / 2
    assert part < 1, f"{dtype} says nothing of a sum of {terms} terms"
    size = magnitude.detach() if isinstance(magnitude, Tensor) else magnitude
    return 2 * part / (1 - part) * float(size)


def terms_of(model: nn.Module) -> int:
    """Terms of the sums of all layers, as if one layer were behind the other; four for bias and batch norm.

    With the size of the network's outputs for `magnitude` they make the tolerance of a whole network whose
    layers keep the size of what they are given, as batch norm and the usual start of weights see to.
    """
    return sum(weight[0].numel() + 4 for weight in model.parameters() if weight.ndim > 1)


def undecided(logits: Tensor, model: nn.Module) -> int:
    """Images whose two best logits (N, classes) are so close that the order of sums may decide."""
    best = logits.topk(2, dim=1).values
    near = 2 * sum_tolerance(terms_of(model), logits.abs().max(), logits.dtype)
    return int((best[:, 0] - best[:, 1] <= near).sum())
