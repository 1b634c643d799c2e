"""Pure pieces of simplification: one layer from two, values unchanged but for float rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TypeVar

import numpy as np

from bitlathe.model.graph.nodes import Shape
from bitlathe.model.quantize.float_network import (
    Affine,
    Float64s,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatInput,
    FloatNode,
    Front,
    Sum,
)

Weighted = TypeVar("Weighted", bound=FloatConv2d | FloatDense)


def is_linear(layer: FloatConv2d | FloatDense) -> bool:
    """Whether a layer has neither residual nor clamp, so that an affine map of its output folds into it."""
    residual = layer.residual if isinstance(layer, FloatConv2d) else None
    return residual is None and layer.low == -inf and layer.high == inf


def scaled(layer: Weighted, affine: Affine) -> Weighted:
    """The layer followed by an affine map: w * scale, b * scale + offset.

    Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    by_channel = affine.scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    weight = (layer.weight * by_channel).astype(np.float32)
    return replace(layer, weight=weight, bias=layer.bias * affine.scale + affine.offset)


def clamped(layer: Weighted, low: float, high: float) -> Weighted:
    """The layer followed by one more clamp."""

    def limit(value: float) -> float:
        return min(max(value, low), high)

    return replace(layer, low=limit(layer.low), high=limit(layer.high))


def composed(front: Front | None, affine: Affine) -> Front:
    """A normalisation followed by an affine map."""
    if front is None:
        return Front(scale=affine.scale, offset=affine.offset)
    return Front(scale=front.scale * affine.scale, offset=front.offset * affine.scale + affine.offset)


def pointwise(name: str, source: str, shape: Shape, scale: Float64s, offset: Float64s) -> FloatConv2d:
    """An affine map of each channel as a depthwise 1x1 convolution."""
    return FloatConv2d(
        name=name,
        shape=shape,
        source=source,
        weight=scale.reshape(-1, 1, 1, 1).astype(np.float32),
        bias=offset,
        groups=shape[0],
    )


def identity(name: str, source: str, shape: Shape) -> FloatConv2d:
    """A depthwise 1x1 convolution that changes nothing, to carry a clamp or a residual."""
    return pointwise(name, source, shape, np.ones(shape[0]), np.zeros(shape[0]))


def can_merge(layer: FloatConv2d) -> bool:
    """Whether a layer selects channels or pixels and nothing else."""
    return layer.groups == 1 and layer.is_selection


def merged(first: FloatConv2d, second: FloatConv2d, name: str) -> FloatConv2d:
    """Two selections, one behind the other, as one."""
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
