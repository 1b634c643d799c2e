"""Legal binary points: every shift of the integer arithmetic within 0 to 31.

A requantize shifts right by n = frac_x + frac_w - frac_y, a residual left by frac_x + frac_w - frac_r.
Activations get coarser where a shift would be negative, weights where one would be too large: the bits lost
are finer than those kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bitlathe.model.capture.float_network import FloatConv2d, FloatDense, FloatNetwork, FloatNode
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.errors import FormatError, together
from bitlathe.model.graph.fixed_point import MAX_SHIFT, FixedPoint
from bitlathe.model.quantize.calibrate import Formats
from bitlathe.model.quantize.groups import Group
from bitlathe.model.quantize.rounding import finest_frac
from bitlathe.model.quantize.weight_formats import WeightFormat, WeightFormats

FINER_THAN_ANY = 1 << 20  # beyond any binary point that occurs


def legal_activations(
    network: FloatNetwork,
    formats: Formats,
    weights: WeightFormats,
    groups: tuple[Group, ...],
    fixed: Formats,
    *,
    clip: bool = False,
) -> Formats:
    """Formats with lower binary points where shifts would be negative; those in `fixed` stay.

    Raises FormatError, naming the layer, if no binary points are legal. With `clip` it leaves such layers to
    `legal_weights`, which then clips their weights.
    """
    legal = dict(formats)
    members = {name: group.tensors for group in groups for name in group.tensors}
    for _ in range(len(network.nodes) + 1):
        excess = [(node, name, by) for node in network.nodes for name, by in _excess(node, legal, weights)]
        stuck = [(node, name) for node, name, _ in excess if _is_stuck(node, members[name], fixed)]
        if stuck and not clip:
            raise together([_refusal(*each) for each in stuck], network.name)
        if len(excess) == len(stuck):
            return legal
        for node, name, by in excess:
            if (node, name) not in stuck:
                _lower(legal, members[name], by)
    if clip:  # a cycle of groups, lowered for nothing: keep the original
        return dict(formats)
    raise _refusal(excess[0][0], excess[0][1])


def _is_stuck(node: FloatNode, members: tuple[str, ...], fixed: Formats) -> bool:
    """Whether lowering a group cannot help: it is fixed, or the layer's source would go down with it."""
    return node.sources[0] in members or any(member in fixed for member in members)


def _excess(node: FloatNode, formats: Formats, weights: WeightFormats) -> Iterator[tuple[str, int]]:
    """Output and residual of a layer whose frac exceeds the accumulator's, and by how much."""
    if node.name not in weights:
        return
    accumulator = formats[node.sources[0]].frac + min(weights[node.name].fracs)
    for tensor in (node.name, *node.sources[1:]):
        if formats[tensor].frac > accumulator:
            yield tensor, formats[tensor].frac - accumulator


def _lower(formats: Formats, tensors: tuple[str, ...], by: int) -> None:
    for tensor in tensors:
        formats[tensor] = replace(formats[tensor], frac=formats[tensor].frac - by)


def _refusal(node: FloatNode, tensor: str) -> FormatError:
    return FormatError(
        f"{node.name}: its weights are too large: {tensor} has more fraction bits than the accumulator; "
        "give the layer more weight bits or scale its weights down"
    )


def legal_weights(network: FloatNetwork, formats: Formats, weights: WeightFormats) -> WeightFormats:
    """Weight formats without shifts beyond `MAX_SHIFT` or biases beyond int32: coarser where necessary."""
    layers = [node for node in network.nodes if node.name in weights]
    return {node.name: _legal_weight(node, formats, weights[node.name]) for node in layers}


def _legal_weight(node: FloatNode, formats: Formats, weight: WeightFormat) -> WeightFormat:
    """Binary points from that with a shift of 0 to that with a shift of `MAX_SHIFT`."""
    written = [
        formats[tensor].frac - formats[node.sources[0]].frac for tensor in (node.name, *node.sources[1:])
    ]
    lowest, highest = max(written), min(written) + MAX_SHIFT
    wanted = np.minimum(weight.fracs, highest)
    if isinstance(node, (FloatConv2d, FloatDense)):
        wanted = np.minimum(wanted, [_finest_bias(bias, formats[node.source]) for bias in node.bias.tolist()])
    return replace(weight, fracs=tuple(np.maximum(wanted, lowest).tolist()))


def _finest_bias(bias: float, source: FixedPoint) -> int:
    """Finest binary point of weights with which a bias fits int32."""
    finest = finest_frac(abs(bias), INT32_EXACT - 1)
    return FINER_THAN_ANY if finest is None else finest - source.frac
