"""Tie weights to shared codewords during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.graph.codebook import Codebook, index_type
from bitlathe.model.product.vectors import WeightVectors


class _Replace(torch.autograd.Function):
    """The second tensor, with its gradient passed to the first where `moving` is 1."""

    @staticmethod
    def forward(ctx: Any, free: Tensor, tied: Tensor, moving: Tensor) -> Tensor:
        ctx.moving = moving
        return tied

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.moving, None, None


class Tie:
    """Replaces free weights by the means of those that share a codeword.

    Means are taken of codes, weight * 2**frac, so that channels of different scale can share codewords. The
    gradient of a weight reaches the free weight unchanged, so a step of gradient descent moves a codeword by
    the mean of its members' gradients. Vectors of the zero codeword get no gradient and stay as they are.
    Source of gradients by codeword: Han et al. 2016, arXiv:1510.00149, section 3.3 (there the sum).

    `members` (vectors,) int64 names the codeword of each vector, `importance` (vectors,) float32 how much a
    vector counts in its codeword's mean; with `zero`, codeword 0 stays zero. Codes are within +-`limit`.
    """

    def __init__(
        self,
        layout: WeightVectors,
        members: Tensor,
        codewords: int,
        *,
        fracs: tuple[int, ...],
        importance: Tensor,
        zero: bool,
        limit: int,
    ) -> None:
        self.layout, self.members, self.codewords = layout, members, codewords
        self.zero, self.limit = zero, limit
        self.scale = layout.scales(fracs)[:, None]
        self.importance = importance.float()
        counts = torch.bincount(members, minlength=codewords)
        self._order = torch.argsort(members, stable=True)  # vectors by codeword
        self._starts = counts.cumsum(0) - counts  # where each codeword's vectors start in the order
        total = self._sums(layout.present())
        self._inverse = torch.where(total > 0, 1 / total, 0.0)
        if zero:
            self._inverse[0] = 0
        moving = (members > 0 if zero else members >= 0).float()
        self._moving = layout.join(moving[:, None].expand(-1, layout.length))

    def __call__(self, weight: Tensor) -> Tensor:
        """The tied weights, in the shape of `weight`."""
        with torch.no_grad():
            vectors = functional.embedding(self.members, self.means(weight)) / self.scale
            tied = self.layout.join(vectors).reshape(weight.shape).to(weight.dtype)
        moving = self._moving.reshape(weight.shape).to(weight.dtype)
        result: Tensor = _Replace.apply(weight, tied, moving)  # type: ignore[no-untyped-call]
        return result

    @torch.no_grad()
    def means(self, weight: Tensor) -> Tensor:
        """Codewords before rounding (codewords, length); padding entries do not count."""
        return self._sums(self.codes(weight)) * self._inverse

    def codes(self, weight: Tensor) -> Tensor:
        """Free weights as vectors of codes, not yet rounded: (vectors, length)."""
        return self.layout.split(weight.detach().float()) * self.scale

    def codebook(self, weight: Tensor) -> Codebook:
        """The codewords as integers, rounded as the layer does, and their members."""
        codes = torch.floor(self.means(weight).double() + 0.5).clamp(-self.limit, self.limit)
        indices = self.members.numpy().astype(index_type(self.codewords))
        return Codebook(values=codes.numpy().astype(np.int8), indices=indices.reshape(self.layout.indices))

    def _sums(self, vectors: Tensor) -> Tensor:
        """Sums (codewords, length) of each codeword's vectors, weighted by importance."""
        weights = self.importance[self._order]
        return functional.embedding_bag(
            self._order, vectors, self._starts, mode="sum", per_sample_weights=weights
        )
