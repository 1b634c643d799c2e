"""Pure functions that simplify: they merge two layers into one, exact but for float rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TypeVar

import numpy as np

from bitlathe.model.capture.float_network import (
    Affine,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatInput,
    FloatNode,
    Front,
    Origin,
    Sum,
)
from bitlathe.model.capture.formula import operation
from bitlathe.model.graph.nodes import Shape

Folded = TypeVar("Folded", bound=FloatConv2d | FloatDense)


def is_linear(layer: FloatConv2d | FloatDense) -> bool:
    """Whether a layer has no residual, clamp or grid, so that an affine map of its output folds into it."""
    residual = layer.residual if isinstance(layer, FloatConv2d) else None
    return residual is None and layer.low == -inf and layer.high == inf and layer.grid is None


def scaled(layer: Folded, affine: Affine) -> Folded:
    """The layer followed by an affine map: w * scale, b * scale + offset.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    by_channel = operation(lambda scale: scale.reshape(shape), affine.scale)
    return following(
        layer,
        Origin(
            weight=layer.origin.weight * by_channel, bias=layer.origin.bias * affine.scale + affine.offset
        ),
    )


def following(layer: Folded, origin: Origin) -> Folded:
    """The layer with the weight and bias that formulas give."""
    return replace(layer, weight=origin.weight.float32s(), bias=origin.bias.float64s(), captured=origin)


def clamped(layer: Folded, low: float, high: float) -> Folded:
    """The layer followed by one more clamp."""

    def limit(value: float) -> float:
        return min(max(value, low), high)

    return replace(layer, low=limit(layer.low), high=limit(layer.high))


def composed(front: Front | None, affine: Affine) -> Front:
    """A normalisation followed by an affine map."""
    scale, offset = affine.scale.float64s(), affine.offset.float64s()
    if front is None:
        return Front(scale=scale, offset=offset)
    return Front(scale=front.scale * scale, offset=front.offset * scale + offset)


def pointwise(affine: Affine) -> FloatConv2d:
    """An affine map of each channel as a depthwise 1x1 convolution."""
    return scaled(identity(affine.name, affine.source, affine.shape), affine)


def identity(name: str, source: str, shape: Shape) -> FloatConv2d:
    """A depthwise 1x1 convolution that changes nothing, to carry a clamp or a residual."""
    return FloatConv2d(
        name=name,
        shape=shape,
        source=source,
        weight=np.ones((shape[0], 1, 1, 1), dtype=np.float32),
        bias=np.zeros(shape[0]),
        groups=shape[0],
    )


def can_merge(layer: FloatConv2d) -> bool:
    """Whether a layer only selects channels or pixels, whatever values the module's tensors take."""
    is_pointwise = layer.groups == 1 and layer.weight.shape[2:] == (1, 1) and layer.padding == (0, 0)
    return is_pointwise and layer.is_selection and layer.origin.is_constant


def merged(first: FloatConv2d, second: FloatConv2d, name: str) -> FloatConv2d:
    """Two selections in a row as one."""
    matrix = second.weight[:, :, 0, 0] @ first.weight[:, :, 0, 0]
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    return replace(
        second, name=name, source=first.source, weight=matrix[:, :, np.newaxis, np.newaxis], stride=stride
    )


def with_sources(node: FloatNode, rename: Callable[[str], str]) -> FloatNode:
    """The node with its sources renamed."""
    if isinstance(node, Sum):
        return replace(node, left=rename(node.left), right=rename(node.right))
    if isinstance(node, FloatConcat):
        return replace(node, operands=tuple(rename(name) for name in node.operands))
    if isinstance(node, FloatInput):
        return node
    (source,) = node.sources  # a captured convolution has no residual yet
    return replace(node, source=rename(source))  # type: ignore[call-arg]
