"""Lowering: turn a float network and its formats into an integer graph with proven int32 accumulators."""

from __future__ import annotations

from dataclasses import replace
from math import inf, ldexp

import numpy as np
import numpy.typing as npt

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
)
from bitlathe.model.graph.bounds import accumulator_range, code_ranges
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.errors import OverflowRisk
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph, residual_shifts, shifts
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    Input,
    IntWeights,
    MaxPool2d,
    Node,
    average_multiplier,
)
from bitlathe.model.quantize.calibrate import Formats
from bitlathe.model.quantize.rounding import round_half_up, weight_codes
from bitlathe.model.quantize.weight_formats import WeightFormat, WeightFormats


def lower(network: FloatNetwork, formats: Formats, weights: WeightFormats) -> Graph:
    """Integer graph whose accumulators fit int32; weights too fine for that get a lower binary point.

    Raises OverflowRisk, naming layer and channel, if even the coarsest would not fit.
    """
    while True:
        graph = _graph(network, formats, weights)
        coarser = _coarser(graph, weights)
        if coarser == weights:
            return graph
        weights = coarser


def _graph(network: FloatNetwork, formats: Formats, weights: WeightFormats) -> Graph:
    nodes = tuple(_node(node, formats, weights) for node in network.nodes)
    graph = Graph(name=network.name, nodes=nodes, output=network.output)
    assert all(graph.shapes[node.name] == node.shape for node in network.nodes), "capture misread a shape"
    return graph


def _coarser(graph: Graph, weights: WeightFormats) -> WeightFormats:
    """The weight formats, one bit coarser for each channel with an accumulator that does not fit."""
    ranges = code_ranges(graph)
    coarser = dict(weights)
    for node in graph.nodes:
        if isinstance(node, (Conv2d, Dense, AvgPool2d)):
            conv = graph.convolution(node)
            sums = accumulator_range(graph, conv, ranges)
            over = np.maximum(sums.highest, -sums.lowest) >= INT32_EXACT
            if over.any():
                _check_spare(graph, conv, over, adjustable=not isinstance(node, AvgPool2d))
                fracs = tuple(np.subtract(conv.weight_frac, over).tolist())
                coarser[node.name] = replace(weights[node.name], fracs=fracs)
    return coarser


def _check_spare(graph: Graph, conv: Conv2d, over: npt.NDArray[np.bool_], *, adjustable: bool) -> None:
    """Refuse channels that do not fit even with a shift of 0, or that have a fixed binary point."""
    least = np.array(shifts(graph, conv))
    if conv.residual is not None:
        least = np.minimum(least, residual_shifts(graph, conv))
    stuck = np.flatnonzero(over & ((least == 0) | (not adjustable)))
    if len(stuck):
        raise OverflowRisk(
            f"{conv.name}: the accumulator of channel {stuck[0]} may leave int32 at any binary point; "
            "use fewer bits for its weights or for the layers it reads"
        )


def _node(node: FloatNode, formats: Formats, weights: WeightFormats) -> Node:
    form = formats[node.name]
    if isinstance(node, FloatConv2d):
        return _convolution(node, formats, weights[node.name])
    if isinstance(node, FloatDense):
        return _dense(node, formats, weights[node.name])
    if isinstance(node, FloatMaxPool2d):
        return MaxPool2d(
            name=node.name,
            format=form,
            source=node.source,
            kernel_size=node.kernel_size,
            stride=node.stride,
            padding=node.padding,
        )
    if isinstance(node, FloatAvgPool2d):
        return _average_pool(node, form)
    if isinstance(node, FloatConcat):
        return Concat(name=node.name, format=form, operands=node.operands)
    return Input(name=node.name, format=form, shape=node.shape)


def _average_pool(node: FloatAvgPool2d, form: FixedPoint) -> AvgPool2d:
    multiplier, multiplier_frac = average_multiplier(node.kernel_size[0] * node.kernel_size[1])
    return AvgPool2d(
        name=node.name,
        format=form,
        source=node.source,
        kernel_size=node.kernel_size,
        stride=node.stride,
        padding=node.padding,
        multiplier=multiplier,
        multiplier_frac=multiplier_frac,
    )


def _convolution(node: FloatConv2d, formats: Formats, weight: WeightFormat) -> Conv2d:
    lo, hi = _clamp(node, formats[node.name])
    return Conv2d(
        name=node.name,
        format=formats[node.name],
        source=node.source,
        weight=_weights(node, weight),
        bias=_biases(node, formats, weight),
        weight_bits=weight.bits,
        weight_frac=weight.fracs,
        stride=node.stride,
        padding=node.padding,
        groups=node.groups,
        residual=node.residual,
        lo=lo,
        hi=hi,
    )


def _dense(node: FloatDense, formats: Formats, weight: WeightFormat) -> Dense:
    lo, hi = _clamp(node, formats[node.name])
    return Dense(
        name=node.name,
        format=formats[node.name],
        source=node.source,
        weight=_weights(node, weight),
        bias=_biases(node, formats, weight),
        weight_bits=weight.bits,
        weight_frac=weight.fracs,
        lo=lo,
        hi=hi,
    )


def _weights(node: FloatConv2d | FloatDense, weight: WeightFormat) -> IntWeights:
    codes = weight_codes(node.weight, weight.bits, weight.fracs)
    return codes.astype(np.int8 if weight.bits <= 8 else np.int16)


def _biases(node: FloatConv2d | FloatDense, formats: Formats, weight: WeightFormat) -> IntWeights:
    """Bias at the accumulator's binary point."""
    codes = round_half_up(np.ldexp(node.bias, np.add(weight.fracs, formats[node.source].frac)))
    over = np.flatnonzero(np.abs(codes) >= INT32_EXACT)
    if len(over):
        raise OverflowRisk(
            f"{node.name}: bias {node.bias[over[0]]:.3g} of channel {over[0]} leaves int32 where its output "
            f"has {formats[node.name].frac} fraction bits; train it again with weight decay on the bias"
        )
    return codes.astype(np.int32)


def _clamp(node: FloatConv2d | FloatDense, form: FixedPoint) -> tuple[int, int]:
    """Clamp in codes of the output."""
    return _code(node.low, form), _code(node.high, form)


def _code(value: float, form: FixedPoint) -> int:
    if value in (-inf, inf):
        return form.lo if value < 0 else form.hi
    return int(np.clip(np.floor(ldexp(value, form.frac) + 0.5), form.lo, form.hi))
