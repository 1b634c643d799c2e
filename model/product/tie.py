"""Weights tied to shared codewords while they train."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.graph.codebook import Codebook, index_type
from bitlathe.model.product.cluster import assign
from bitlathe.model.product.vectors import Layout


class _Replace(torch.autograd.Function):
    """The second tensor, with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, free: Tensor, tied: Tensor) -> Tensor:
        return tied

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class Tie(nn.Module):
    """A parametrization: free weights become the means of those that share a codeword.

    Means are taken of codes, weight * 2**frac, so that channels of different scale share codewords. The
    gradient of a weight reaches the free weight unchanged; so a step of gradient descent moves a codeword by
    the mean of its members' gradients, and free weights may drift apart until they are assigned anew.
    Source of gradients by codeword: Han et al. 2016, arXiv:1510.00149, section 3.3 (there the sum).
    """

    members: Tensor  # (vectors,) int64, codeword of each vector
    scale: Tensor  # (vectors, 1) float32, 2**frac
    importance: Tensor  # (vectors,) float32, of a vector in its codeword's mean
    order: Tensor  # (vectors,) int64, vectors by codeword
    starts: Tensor  # (codewords,) int64, where each codeword's vectors start in `order`
    inverse: Tensor  # (codewords, length) float32, one over the sum of importance; 0 where nothing is

    def __init__(
        self,
        layout: Layout,
        members: Tensor,
        codewords: int,
        *,
        fracs: tuple[int, ...],
        importance: Tensor,
        zero: bool,
        limit: int,
    ) -> None:
        super().__init__()
        self.layout, self.codewords, self.zero, self.limit = layout, codewords, zero, limit
        self.register_buffer("scale", layout.scales(fracs)[:, None])
        self.register_buffer("importance", importance.float())
        for name in ("members", "order", "starts", "inverse"):
            self.register_buffer(name, torch.empty(0))
        self._arrange(members)

    def forward(self, weight: Tensor) -> Tensor:
        """The tied weights, in the shape of `weight`."""
        with torch.no_grad():
            vectors = functional.embedding(self.members, self.means(weight)) / self.scale
            tied = self.layout.join(vectors).reshape(weight.shape).to(weight.dtype)
        result: Tensor = _Replace.apply(weight, tied)  # type: ignore[no-untyped-call]
        return result

    @torch.no_grad()
    def means(self, weight: Tensor) -> Tensor:
        """Codewords before they are rounded (codewords, length); entries that only fill do not count."""
        return self._sums(self._codes(weight)) * self.inverse

    @torch.no_grad()
    def refresh(self, weight: Tensor) -> int:
        """Assign each free vector to the nearest codeword anew; number of those that changed.

        Vectors of the zero codeword stay there.
        """
        found = assign(self._codes(weight).numpy(), self.means(weight).numpy(), fixed=int(self.zero))
        members = torch.from_numpy(found.members).long()
        if self.zero:
            members[self.members == 0] = 0
        changed = int((members != self.members).sum())
        self._arrange(members)
        return changed

    def codebook(self, weight: Tensor) -> Codebook:
        """The codewords as integers, as the layer rounds them, and their members."""
        codes = torch.floor(self.means(weight).double() + 0.5).clamp(-self.limit, self.limit)
        indices = self.members.numpy().astype(index_type(self.codewords))
        return Codebook(values=codes.numpy().astype(np.int8), indices=indices.reshape(self.layout.indices))

    def _codes(self, weight: Tensor) -> Tensor:
        """Free weights as vectors of codes, not yet rounded: (vectors, length)."""
        return self.layout.split(weight.detach().float()) * self.scale

    def _sums(self, vectors: Tensor) -> Tensor:
        """Sums (codewords, length) of each codeword's vectors, by importance."""
        weights = self.importance[self.order]
        return functional.embedding_bag(
            self.order, vectors, self.starts, mode="sum", per_sample_weights=weights
        )

    def _arrange(self, members: Tensor) -> None:
        counts = torch.bincount(members, minlength=self.codewords)
        self.members, self.order = members, torch.argsort(members, stable=True)
        self.starts = counts.cumsum(0) - counts
        total = self._sums(self.layout.present())
        self.inverse = torch.where(total > 0, 1 / total, 0.0)
        if self.zero:
            self.inverse[0] = 0
