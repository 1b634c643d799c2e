"""A tensor with constants that are broadcast to it, channel by channel: an affine map."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from bitlathe.model.capture.calls import Call, TracedTensor
from bitlathe.model.capture.float_network import Affine, FloatNode
from bitlathe.model.capture.formula import Formula, constant, operation
from bitlathe.model.capture.routes import BATCH

ZERO, ONE = constant(np.zeros(1)), constant(np.ones(1))


def kept_order(call: Call, x: TracedTensor, node: FloatNode) -> TracedTensor:
    """A node made value by value of `x`'s node, with `x`'s values in their order."""
    return TracedTensor(node=call.add(node), size=x.size, order=x.order, moved=x.moved)


def affine(
    call: Call, x: TracedTensor, scale: Formula, offset: Formula, name: str | None = None
) -> TracedTensor:
    """x * scale + offset, each one number (1,), or one for each channel of `x`'s node (C,)."""
    channels = x.node.shape[0]
    is_uniform = len(scale.value) == len(offset.value) == 1
    node = Affine(
        name=name or call.name,
        shape=x.node.shape,
        source=x.node.name,
        scale=operation(lambda values: values.expand(channels), scale),
        offset=operation(lambda values: values.expand(channels), offset),
        uniform=(scale, offset) if is_uniform else None,
    )
    return kept_order(call, x, node)


def along_channels(values: Formula, x: TracedTensor) -> Formula:
    """One value for each place of the second axis of `x`, as a tensor that is broadcast to it."""
    return operation(lambda tensor: tensor.reshape(1, -1, *[1] * (len(x.size) - 2)), values)


def by_channel(call: Call, x: TracedTensor, *constants: Formula) -> tuple[TracedTensor, tuple[Formula, ...]]:
    """Constants broadcast to `x`, as one number or one for each channel of the returned tensor's node."""
    fitted = [_fitted(values, x) for values in constants]
    if all(values is not None for values in fitted):
        return x, tuple(values for values in fitted if values is not None)
    shape = next(tuple(c.value.shape) for c, values in zip(constants, fitted, strict=True) if values is None)
    if len(x.size) == 2:
        x = flat(call, x)
        fitted = [_fitted(values, x) for values in constants]
        if all(values is not None for values in fitted):
            return x, tuple(values for values in fitted if values is not None)
    raise call.refusal(f"has a constant of shape {shape}", "use one number, or one per channel")


def flat(call: Call, x: TracedTensor) -> TracedTensor:
    """Flattened maps as a vector, (features, 1, 1), of a node of its own."""
    if x.node.shape == (*x.size[1:], 1, 1):
        return x
    name = call.extra_name("flat")
    return call.as_map(call.in_places(x, x.places, name))


def _fitted(values: Formula, x: TracedTensor) -> Formula | None:
    """A constant as (1,) or (C,) for the channels of `x`'s node; None if it differs within a channel."""
    shape = tuple(values.value.shape)
    if prod(shape) == 1:
        return operation(lambda tensor: tensor.reshape(1), values)
    channels, height, width = x.node.shape
    aligned = (1,) * (len(x.size) - len(shape)) + shape
    if x.is_plain and x.size == (BATCH, *x.node.shape) and aligned == (1, channels, 1, 1):
        return operation(lambda tensor: tensor.reshape(-1), values)
    if len(shape) > len(x.size) or any(n not in (1, m) for n, m in zip(aligned, x.size, strict=True)):
        return None
    taken = np.broadcast_to(np.arange(prod(shape)).reshape(aligned), x.size).ravel()
    reached = x.places.ravel()
    channel = reached[reached >= 0] % prod(x.node.shape) // (height * width)
    first = np.zeros(channels, dtype=np.int64)
    first[channel] = taken[reached >= 0]
    if not np.array_equal(first[channel], taken[reached >= 0]):
        return None
    index = torch.from_numpy(first)
    return operation(lambda tensor: tensor.reshape(-1)[index.to(tensor.device)], values)
