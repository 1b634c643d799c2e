"""Networks with every form of layer that an hls4ml project knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.model.graph.elementwise import Product
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Dense, MaxPool2d, Node
from bitlathe.model.graph.resampling import Upsample2d

RELU6 = FixedPoint(bits=8, frac=5, signed=False)


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-127, 128, shape, dtype=np.int8)


def _bias(rng: np.random.Generator, channels: int) -> np.ndarray:
    return rng.integers(-2000, 2001, channels, dtype=np.int32)


def every_form(rng: np.random.Generator) -> Graph:
    """One network with every form that a project knows: see the names of its nodes."""
    relu = {"lo": 0, "hi": 255, "format": replace(RELU6, frac=4)}
    nodes: tuple[Node, ...] = (
        conv2d(
            _weights(rng, 6, 3, 3, 3),
            name="channels_of_own_frac",
            bias=_bias(rng, 6),
            weight_frac=(7, 9, 8, 7, 10, 7),
            padding=(1, 1),
            **relu,
        ),
        conv2d(
            _weights(rng, 6, 1, 3, 3),
            name="depthwise",
            source="channels_of_own_frac",
            groups=6,
            padding=(1, 1),
            weight_frac=(8,) * 6,
            **relu,
        ),
        conv2d(
            _weights(rng, 6, 6, 1, 1),
            name="residual_below_192",
            source="depthwise",
            residual="channels_of_own_frac",
            bias=_bias(rng, 6),
            weight_frac=(9, 8, 9, 9, 8, 9),
            lo=0,
            hi=192,
            format=RELU6,
        ),
        conv2d(
            _weights(rng, 4, 6, 1, 3),
            name="one_row_stride_two",
            source="residual_below_192",
            stride=(2, 2),
            padding=(0, 1),
            weight_frac=(7,) * 4,
            lo=-127,
            format=replace(BYTE, frac=3),
        ),
        conv2d(
            _weights(rng, 3, 6, 2, 2),
            name="two_by_two",
            source="residual_below_192",
            stride=(2, 2),
            padding=(1, 0),
            end_padding=(0, 1),
            weight_frac=(7,) * 3,
            format=replace(BYTE, frac=3),
        ),
        Concat(name="join", format=replace(BYTE, frac=3), operands=("one_row_stride_two", "two_by_two")),
        AvgPool2d(
            name="overlapping_average",
            format=replace(BYTE, frac=4),
            source="join",
            kernel_size=(3, 3),
            stride=(1, 1),
            padding=(1, 1),
            multiplier=57,
            multiplier_frac=9,
        ),
        MaxPool2d(
            name="max_pool",
            format=replace(BYTE, frac=4),
            source="overlapping_average",
            kernel_size=(2, 2),
            stride=(2, 2),
        ),
        Dense(
            name="Logits.1",
            format=replace(BYTE, frac=0),
            source="max_pool",
            weight=_weights(rng, 5, 7 * 2 * 2),
            bias=_bias(rng, 5),
            weight_bits=8,
            weight_frac=(7,) * 5,
            lo=-128,
            hi=127,
        ),
    )
    return graph_of(*nodes, shape=(3, 8, 8))


def other_forms(rng: np.random.Generator) -> Graph:
    """Dilation, groups, upsampling, and products of maps and with a vector."""
    form = replace(BYTE, frac=3)
    nodes: tuple[Node, ...] = (
        conv2d(
            _weights(rng, 6, 2, 3, 3),
            name="grouped",
            groups=2,
            dilation=(2, 1),
            padding=(2, 1),
            stride=(2, 2),
            weight_frac=(7, 8, 7, 9, 7, 8),
            bias=_bias(rng, 6),
            format=form,
        ),
        conv2d(
            _weights(rng, 6, 1, 2, 2),
            name="depthwise_dilated",
            source="grouped",
            groups=6,
            dilation=(1, 3),
            padding=(0, 1),
            end_padding=(1, 2),
            weight_frac=(8,) * 6,
            format=form,
        ),
        Product(
            name="map_by_map",
            format=replace(BYTE, frac=2),
            source="grouped",
            factor="depthwise_dilated",
            lo=-128,
            hi=127,
        ),
        AvgPool2d(
            name="vector",
            format=form,
            source="grouped",
            kernel_size=(4, 3),
            stride=(4, 3),
            multiplier=85,
            multiplier_frac=10,
        ),
        Product(
            name="map_by_vector",
            format=RELU6,
            source="map_by_map",
            factor="vector",
            lo=0,
            hi=255,
            rounding=RoundingMode.HALF_EVEN,
        ),
        Upsample2d(name="up", format=RELU6, source="map_by_vector", factors=(2, 3)),
        conv2d(_weights(rng, 3, 6, 1, 1), name="last", source="up", weight_frac=(7,) * 3, format=form),
    )
    return graph_of(*nodes, shape=(4, 8, 6))
