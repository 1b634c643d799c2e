"""Convert a layer's weights to the vectors that codewords stand for, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.graph.codebook import index_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightVectors:
    """Splits weights of `shape` (out, in, ...) into vectors of `length` along their input channels.

    The last vector of a row is filled with zeros where `length` does not divide the input channels.
    """

    shape: tuple[int, ...]
    length: int

    @property
    def indices(self) -> tuple[int, ...]:
        """Shape of the indices: (out, ..., vectors per row)."""
        return index_shape(self.shape, self.length)

    @property
    def vectors(self) -> int:
        """Number of vectors."""
        return prod(self.indices)

    def split(self, weight: Tensor) -> Tensor:
        """Vectors (vectors, length) of weights in `shape`, or in another shape with the same order."""
        rows = weight.reshape(self.shape).movedim(1, -1)
        return functional.pad(rows, (0, -self.shape[1] % self.length)).reshape(-1, self.length)

    def join(self, vectors: Tensor) -> Tensor:
        """Weights in `shape` from vectors (vectors, length)."""
        rows = vectors.reshape(*self.indices[:-1], -1)[..., : self.shape[1]]
        return rows.movedim(-1, 1)

    def present(self) -> Tensor:
        """1 where a vector's entry is a weight and 0 where it is padding: (vectors, length) float32."""
        return self.split(torch.ones(self.shape))

    def scales(self, fracs: tuple[int, ...], power: int = 1) -> Tensor:
        """2**(power * frac) for each vector, with the frac of its output channel: (vectors,) float32."""
        powers = np.ldexp(np.float32(1), power * np.array(fracs))
        return self.of_channels(torch.from_numpy(powers))

    def of_channels(self, values: Tensor) -> Tensor:
        """For each vector the value of its output channel: (vectors,) from (out,)."""
        return values.repeat_interleave(self.vectors // self.shape[0])
