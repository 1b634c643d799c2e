"""Lowering: turn a float network and its formats into an integer graph with proven int32 accumulators."""

from __future__ import annotations

from dataclasses import fields, replace
from math import inf, ldexp
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatLookup,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatProduct,
    FloatUpsample2d,
)
from bitlathe.model.graph.bounds import CodeRange, accumulator_range, code_ranges
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.elementwise import Lookup, Product
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
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)
from bitlathe.model.quantize.calibrate import Formats
from bitlathe.model.quantize.rounding import round_half_up, weight_codes
from bitlathe.model.quantize.tables import table_of
from bitlathe.model.quantize.weight_formats import WeightedNode, WeightFormat, WeightFormats


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
        convolutions = [part.node for part in graph.parts(node) if isinstance(part.node, Conv2d)]
        over = [_beyond(graph, conv, ranges) for conv in convolutions]
        if any(channels.any() for channels in over):
            adjustable = isinstance(node, Conv2d | Dense | ConvTranspose2d)
            for conv, channels in zip(convolutions, over, strict=True):
                _check_spare(graph, conv, channels, adjustable=adjustable)
            fracs = np.subtract(weights[node.name].fracs, np.logical_or.reduce(over))
            coarser[node.name] = replace(weights[node.name], fracs=tuple(fracs.tolist()))
    return coarser


def _beyond(graph: Graph, conv: Conv2d, ranges: dict[str, CodeRange]) -> npt.NDArray[np.bool_]:
    """Channels whose accumulator may leave int32."""
    sums = accumulator_range(graph, conv, ranges)
    over: npt.NDArray[np.bool_] = np.maximum(sums.highest, -sums.lowest) >= INT32_EXACT
    return over


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
    if isinstance(node, FloatConvTranspose2d):
        return _transposed(node, formats, weights[node.name])
    if isinstance(node, FloatDense):
        return _dense(node, formats, weights[node.name])
    if isinstance(node, FloatAvgPool2d):
        return _average_pool(node, form)
    if isinstance(node, FloatLookup):
        codes = table_of(node, formats[node.source], form)
        return Lookup(
            name=node.name, format=form, source=node.source, function=node.function.name, codes=codes
        )
    if isinstance(node, FloatProduct):
        lo, hi = _clamp(node, form)
        return Product(name=node.name, format=form, source=node.source, factor=node.factor, lo=lo, hi=hi)
    if type(node) in _ALIKE:
        alike = {field.name: getattr(node, field.name) for field in fields(node) if field.name != "shape"}
        return _ALIKE[type(node)](format=form, **alike)
    return Input(name=node.name, format=form, shape=node.shape)


_ALIKE: dict[type[FloatNode], type[Node]] = {  # by nodes whose other fields are the float node's own
    FloatConcat: Concat,
    FloatInterpolate2d: Interpolate2d,
    FloatIntervalPool2d: IntervalPool2d,
    FloatMaxPool2d: MaxPool2d,
    FloatPixelShuffle2d: PixelShuffle2d,
    FloatPixelUnshuffle2d: PixelUnshuffle2d,
    FloatUpsample2d: Upsample2d,
}


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
    return Conv2d(
        **_weighted(node, formats, weight),
        stride=node.stride,
        padding=node.padding,
        end_padding=node.end_padding,
        dilation=node.dilation,
        groups=node.groups,
        residual=node.residual,
    )


def _transposed(node: FloatConvTranspose2d, formats: Formats, weight: WeightFormat) -> ConvTranspose2d:
    return ConvTranspose2d(
        **_weighted(node, formats, weight),
        stride=node.stride,
        padding=node.padding,
        output_padding=node.output_padding,
        groups=node.groups,
    )


def _dense(node: FloatDense, formats: Formats, weight: WeightFormat) -> Dense:
    return Dense(**_weighted(node, formats, weight))


def _weighted(node: WeightedNode, formats: Formats, weight: WeightFormat) -> dict[str, Any]:
    """Fields of every node with weights."""
    lo, hi = _clamp(node, formats[node.name])
    return {
        "name": node.name,
        "format": formats[node.name],
        "source": node.source,
        "weight": _weights(node, weight),
        "bias": _biases(node, formats, weight),
        "weight_bits": weight.bits,
        "weight_frac": weight.fracs,
        "lo": lo,
        "hi": hi,
    }


def _weights(node: WeightedNode, weight: WeightFormat) -> IntWeights:
    codes = weight_codes(node.weight, weight.bits, weight.fracs)
    return codes.astype(np.int8 if weight.bits <= 8 else np.int16)


def _biases(node: WeightedNode, formats: Formats, weight: WeightFormat) -> IntWeights:
    """Bias at the accumulator's binary point."""
    codes = round_half_up(np.ldexp(node.bias, np.add(weight.fracs, formats[node.source].frac)))
    over = np.flatnonzero(np.abs(codes) >= INT32_EXACT)
    if len(over):
        raise OverflowRisk(
            f"{node.name}: bias {node.bias[over[0]]:.3g} of channel {over[0]} leaves int32 where its output "
            f"has {formats[node.name].frac} fraction bits; train it again with weight decay on the bias"
        )
    return codes.astype(np.int32)


def _clamp(node: WeightedNode | FloatProduct, form: FixedPoint) -> tuple[int, int]:
    """Clamp in codes of the output."""
    return _code(node.low, form), _code(node.high, form)


def _code(value: float, form: FixedPoint) -> int:
    if value in (-inf, inf):
        return form.lo if value < 0 else form.hi
    return int(np.clip(np.floor(ldexp(value, form.frac) + 0.5), form.lo, form.hi))
