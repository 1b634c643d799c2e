"""Input codes for testing every implementation: random ones and the extremes of their range."""

import numpy as np

from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph


def random_inputs(rng: np.random.Generator, graph: Graph, count: int) -> IntArray:
    """Input codes (count, C, H, W) int32: see `random_codes`."""
    return random_codes(rng, graph.input.format, (count, *graph.input.shape))


ALIGNED = 0.1  # share of the images


def random_codes(rng: np.random.Generator, limits: FixedPoint, shape: tuple[int, int, int, int]) -> IntArray:
    """Codes of `shape` (N, C, H, W) int32: noise with a level and contrast of each image and channel.

    Levels and contrasts cover the whole range of codes. Without them all images would have the same
    averages, and everything after a global average pool would be constant. Some images are aligned instead:
    a pixel's codes are at the same end of the range in all channels.
    """
    level, contrast = rng.random((2, *shape[:2], 1, 1))
    bright = np.clip(level + contrast * rng.uniform(-1, 1, shape), 0, 1)
    aligned = rng.random(shape[0]) < ALIGNED
    bright[aligned] = bright[aligned, :1] > 0.5
    codes: IntArray = np.rint(limits.lo + bright * (limits.hi - limits.lo)).astype(np.int32)
    return codes


def corner_inputs(graph: Graph) -> IntArray:
    """Input codes (4, C, H, W) int32: all minimum, all maximum, zeros, alternating minimum and maximum."""
    shape, limits = graph.input.shape, graph.input.format
    chequered = np.where(np.indices(shape).sum(axis=0) % 2, limits.hi, limits.lo)
    flat = [np.full(shape, code) for code in (limits.lo, limits.hi, 0)]
    return np.stack([*flat, chequered], dtype=np.int32, casting="unsafe")
