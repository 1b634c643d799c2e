"""Fixed-point formats of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitlathe.model.capture.float_network import FloatAvgPool2d, FloatConv2d, FloatDense, FloatNetwork
from bitlathe.model.graph.arrays import Floats
from bitlathe.model.graph.nodes import AvgPool2d, average_multiplier
from bitlathe.model.quantize.config import QuantizeConfig, Ranges
from bitlathe.model.quantize.rounding import Fracs, least_error_frac, ristretto_frac, weight_fracs

_COPY_BITS = 8  # at least, for a weight of 1 that moves codes from one format to another


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """Fixed-point format of a layer's weights."""

    bits: int
    fracs: Fracs  # one per output channel


WeightFormats = dict[str, WeightFormat]  # of each layer with weights, including average pools


def weight_formats(network: FloatNetwork, config: QuantizeConfig) -> WeightFormats:
    """Format of each layer's weights: width from `config`, binary points with the least squared error."""
    formats: WeightFormats = {}
    for node in network.nodes:
        if isinstance(node, (FloatConv2d, FloatDense)):
            formats[node.name] = _weight_format(node, config)
        elif isinstance(node, FloatAvgPool2d):
            _, frac = average_multiplier(node.kernel_size[0] * node.kernel_size[1])
            formats[node.name] = WeightFormat(bits=AvgPool2d.WEIGHT_BITS, fracs=(frac,) * node.shape[0])
    return formats


def _weight_format(node: FloatConv2d | FloatDense, config: QuantizeConfig) -> WeightFormat:
    bits, per_channel = _bits(node, config), config.per_channel_of(node.name)

    def choose(rows: Floats) -> int | None:
        if config.ranges is Ranges.RISTRETTO:
            return ristretto_frac(float(np.abs(rows).max(initial=0)), bits - 1)
        return least_error_frac(rows, bits, config.clipping_steps)

    return WeightFormat(bits=bits, fracs=weight_fracs(node.weight, per_channel, choose))


def _bits(node: FloatConv2d | FloatDense, config: QuantizeConfig) -> int:
    """Width of a layer's weights; a copy gets enough bits for an output as fine as any other tensor."""
    asked = config.layer(node.name).weight_bits
    if asked is None and isinstance(node, FloatConv2d) and node.own_format:
        return max(config.weight_bits, config.activation_bits, _COPY_BITS)
    return config.weight_bits_of(node.name)
