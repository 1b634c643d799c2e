"""Random draws that a random layer is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, sqrt
from typing import TypeVar

import numpy as np

from bitlathe.model.graph.codebook import Codebook, index_shape, index_type
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray, weight_limit
from bitlathe.model.graph.nodes import IntWeights

T = TypeVar("T")

LENGTHS = (1, 2, 4, 8, 8, 8, 9, 16)  # of codewords
CODEWORDS = (1, 5, 16, 64, 256, 256, 256, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChoice:
    """The format a layer's output must have; the accumulators decide its binary point if `frac` is None."""

    bits: int
    signed: bool
    frac: int | None = None
    lo: int
    hi: int


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """A random element, of its own type (NumPy's `choice` makes arrays)."""
    return choices[int(rng.integers(len(choices)))]


def relu_choice(rng: np.random.Generator, bits: int) -> OutputChoice:
    """Unsigned codes, or sometimes signed ones, from 0 to all or sometimes part of the range (ReLU6)."""
    signed = bool(rng.random() < 0.1)
    hi = FixedPoint(bits=bits, frac=0, signed=signed).hi
    return OutputChoice(bits=bits, signed=signed, lo=0, hi=hi if rng.random() < 0.7 else hi - hi // 4)


def signed_choice(bits: int) -> OutputChoice:
    """All signed codes."""
    limits = FixedPoint(bits=bits, frac=0)
    return OutputChoice(bits=bits, signed=True, lo=limits.lo, hi=limits.hi)


def random_weights(rng: np.random.Generator, channels: int, fan_in: int, bits: int) -> IntWeights:
    """Bell-shaped weights (channels, fan_in) in the symmetric range, some channels larger, few all zero."""
    limit = weight_limit(bits)
    size = np.maximum(limit * rng.uniform(0.25, 0.7, (channels, 1)), 0.7)
    pruned = rng.random((channels, 1)) < 0.05
    pruned[0] = False
    codes = np.rint(rng.normal(size=(channels, fan_in)) * size * ~pruned).clip(-limit, limit)
    weights: IntWeights = codes.astype(np.int8 if bits <= 8 else np.int16)
    return weights


def aligned_weights(rng: np.random.Generator, channels: int, fan_in: int, bits: int) -> IntWeights:
    """Weights (channels, fan_in) that are the same end of the symmetric range all over a channel."""
    ends = one_of(rng, ((1, 1), (-1, 1))) * np.array(weight_limit(bits))
    weights: IntWeights = np.repeat(rng.choice(ends, (channels, 1)), fan_in, axis=1).astype(np.int8)
    return weights


def random_codebook(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> Codebook:
    """Codewords, few of them zero, that any place of weights (out, in, ...) of `bits` <= 8 may take."""
    codewords, length = one_of(rng, CODEWORDS), one_of(rng, LENGTHS)
    indices = rng.integers(codewords, size=index_shape(shape, length))
    return Codebook(
        values=random_weights(rng, codewords, length, bits).astype(np.int8),
        indices=indices.astype(index_type(codewords)),
    )


def random_bias(rng: np.random.Generator, acc: IntArray) -> IntArray:
    """Bias (channels,) int32 that nearly centres accumulators (..., channels), as batch norm does."""
    rows = acc.reshape(-1, acc.shape[-1])
    offset = rng.normal(size=rows.shape[1]) * 0.4 * (rows.std(axis=0) + 1)
    bias: IntArray = np.rint(offset - rows.mean(axis=0)).astype(np.int32)
    return bias


def frac_steps(rng: np.random.Generator, channels: int) -> IntArray:
    """Additional fraction bits (channels,) of each channel's weights; mostly none, the smallest 0."""
    if rng.random() < 0.6:
        return np.zeros(channels, dtype=np.int64)
    steps = rng.integers(0, 4, channels)
    return np.subtract(steps, steps.min())


def fitting_shift(acc: IntArray, hi: int) -> int:
    """Shift after which accumulators fill the codes up to `hi` and a few per cent of them saturate."""
    size = sqrt(np.square(acc, dtype=np.float64).mean())
    return max(0, round(log2(2 * (size + 1) / hi)))
