"""A network in which many sums are half-way between two codes, of either sign and at every kind of shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Dense

EVEN = RoundingMode.HALF_EVEN


def network_of_halves(rng: np.random.Generator) -> Graph:
    """Convolutions of shifts from 0 to 31, by channel, a residual, clamps, a pool and a dense layer."""
    signs = rng.choice(np.array([-64, 64], np.int8), (8, 3, 1, 1))
    first = conv2d(signs, name="first", weight_frac=(7, 8, 0, 31, 7, 9, 7, 6), rounding=EVEN)
    second = conv2d(
        rng.choice(np.array([-64, 0, 64], np.int8), (8, 8, 1, 1)),
        name="second",
        source="first",
        residual="first",
        bias=(64 * rng.integers(-9, 9, 8)).astype(np.int32),
        weight_frac=(7,) * 8,
        lo=-21,
        hi=30,
        rounding=EVEN,
    )
    pool = AvgPool2d(
        name="pool",
        format=BYTE,
        source="second",
        kernel_size=(2, 2),
        stride=(2, 2),
        multiplier=1,
        multiplier_frac=2,
        rounding=EVEN,
    )
    dense = Dense(
        name="dense",
        format=replace(BYTE, frac=6),
        source="pool",
        weight=rng.choice(np.array([-32, 32], np.int8), (5, 32)),
        bias=np.zeros(5, np.int32),
        weight_bits=8,
        weight_frac=(5,) * 5,
        lo=-128,
        hi=127,
        rounding=EVEN,
    )
    return graph_of(first, second, pool, dense, shape=(3, 4, 4))
