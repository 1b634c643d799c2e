"""Pure functions that simplify: they merge two layers into one, exact but for float rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, prod
from typing import TypeVar

import numpy as np
from torch import Tensor

from bitlathe.model.capture.float_network import (
    Affine,
    FloatConcat,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInput,
    FloatNode,
    FloatPixelUnshuffle2d,
    FloatProduct,
    Front,
    Origin,
    Sum,
)
from bitlathe.model.capture.formula import operation
from bitlathe.model.graph.nodes import Shape

Folded = TypeVar("Folded", bound=FloatConv2d | FloatConvTranspose2d | FloatDense)
Clamped = TypeVar("Clamped", bound=FloatConv2d | FloatConvTranspose2d | FloatDense | FloatProduct)


def is_linear(layer: FloatConv2d | FloatConvTranspose2d | FloatDense) -> bool:
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


def is_unpadded(layer: FloatConv2d | FloatDense, shape: Shape) -> bool:
    """Whether an affine map of a source of `shape` folds into the layer, as it reads no other values."""
    if isinstance(layer, FloatDense):
        return layer.weight.shape[1] == prod(shape)
    if layer.weight.shape[1] * layer.groups != shape[0]:
        return False  # the map is flattened in between
    return max(*layer.windows.padding, *layer.windows.end_padding) <= 0


def preceded(layer: Folded, affine: Affine) -> Folded:
    """The layer after an affine map of its source: w * scale, b + sum(w * offset)."""
    groups = getattr(layer, "groups", 1)
    inputs = layer.weight.shape[1]

    def per_weight(values: Tensor) -> Tensor:
        """A value of each input channel, (channels,), beside each weight that reads the channel."""
        if isinstance(layer, FloatDense):
            return values.repeat_interleave(inputs // len(values))
        by_group = values.reshape(groups, inputs)
        return by_group.repeat_interleave(len(layer.weight) // groups, 0)[:, :, None, None]

    scale, offset = operation(per_weight, affine.scale), operation(per_weight, affine.offset)
    shift = operation(lambda weight: weight.flatten(1).sum(1), layer.origin.weight * offset)
    origin = Origin(weight=layer.origin.weight * scale, bias=layer.origin.bias + shift)
    return following(replace(layer, source=affine.source), origin)


def flattens(node: FloatNode, shape: Shape) -> bool:
    """Whether a node makes a vector of a map of `shape`, in the map's own order."""
    if node.shape != (prod(shape), 1, 1) or node.shape == shape:
        return False
    if isinstance(node, FloatPixelUnshuffle2d):
        return True
    if not isinstance(node, FloatConv2d) or not node.is_selection or node.groups != shape[0]:
        return False
    area = shape[1] * shape[2]
    return np.array_equal(node.weight.reshape(-1, area), np.tile(np.eye(area), (shape[0], 1)))


def following(layer: Folded, origin: Origin) -> Folded:
    """The layer with the weight and bias that formulas give."""
    return replace(layer, weight=origin.weight.float32s(), bias=origin.bias.float64s(), captured=origin)


def clamped(layer: Clamped, low: float, high: float) -> Clamped:
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


def with_sources(node: FloatNode, rename: Callable[[str], str]) -> FloatNode:
    """The node with its sources renamed."""
    if isinstance(node, Sum):
        return replace(node, left=rename(node.left), right=rename(node.right))
    if isinstance(node, FloatConcat):
        return replace(node, operands=tuple(rename(name) for name in node.operands))
    if isinstance(node, FloatProduct):
        return replace(node, source=rename(node.source), factor=rename(node.factor))
    if isinstance(node, FloatInput):
        return node
    (source,) = node.sources  # a captured convolution has no residual yet
    return replace(node, source=rename(source))  # type: ignore[call-arg]
