"""Fixed-point formats of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatNetwork,
    FloatNode,
)
from bitlathe.model.graph.arrays import Floats
from bitlathe.model.graph.nodes import AvgPool2d, average_multiplier
from bitlathe.model.graph.resampling import Interpolate2d, IntervalPool2d, interpolation_frac
from bitlathe.model.quantize.config import QuantizeConfig, Ranges
from bitlathe.model.quantize.rounding import Fracs, least_error_frac, ristretto_frac, weight_fracs

WeightedNode = FloatConv2d | FloatDense | FloatConvTranspose2d  # with weights of its own

_COPY_BITS = 8  # at least, for a weight of 1 that moves codes from one format to another


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """Fixed-point format of a layer's weights."""

    bits: int
    fracs: Fracs  # one per output channel; of constant weights, each that occurs


WeightFormats = dict[str, WeightFormat]  # of each node that multiplies by weights, its own or constant ones


def weight_formats(network: FloatNetwork, config: QuantizeConfig) -> WeightFormats:
    """Format of each layer's weights: width from `config`, binary points with the least squared error."""
    made = {node.name: _weight_format(node, config) for node in network.nodes}
    return {name: form for name, form in made.items() if form is not None}


def _weight_format(node: FloatNode, config: QuantizeConfig) -> WeightFormat | None:
    if isinstance(node, WeightedNode):
        return _own_format(node, config)
    if isinstance(node, FloatAvgPool2d):
        _, frac = average_multiplier(node.kernel_size[0] * node.kernel_size[1])
        return WeightFormat(bits=AvgPool2d.WEIGHT_BITS, fracs=(frac,) * node.shape[0])
    if isinstance(node, FloatIntervalPool2d) and not node.is_max:
        areas = {rows.counted * columns.counted for rows in node.rows for columns in node.columns}
        fracs = sorted({average_multiplier(area)[1] for area in areas})
        return WeightFormat(bits=IntervalPool2d.WEIGHT_BITS, fracs=tuple(fracs))
    if isinstance(node, FloatInterpolate2d):
        frac = sum(interpolation_frac(factor, node.align_corners) for factor in node.factors)
        return WeightFormat(bits=Interpolate2d.WEIGHT_BITS, fracs=(frac,))
    return None


def _own_format(node: WeightedNode, config: QuantizeConfig) -> WeightFormat:
    bits, per_channel = _bits(node, config), config.per_channel_of(node.name)

    def choose(rows: Floats) -> int | None:
        if config.ranges is Ranges.RISTRETTO:
            return ristretto_frac(float(np.abs(rows).max(initial=0)), bits - 1)
        return least_error_frac(rows, bits, config.clipping_steps)

    return WeightFormat(bits=bits, fracs=weight_fracs(node.weight, per_channel, choose))


def _bits(node: WeightedNode, config: QuantizeConfig) -> int:
    """Width of a layer's weights; a copy gets enough bits for an output as fine as any other tensor."""
    asked = config.layer(node.name).weight_bits
    if asked is None and isinstance(node, FloatConv2d) and node.own_format:
        return max(config.weight_bits, config.activation_bits, _COPY_BITS)
    return config.weight_bits_of(node.name)
