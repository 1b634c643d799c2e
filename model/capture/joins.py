"""Handlers that join tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitlathe.model.capture import arithmetic, constants
from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.float_network import FloatConcat
from bitlathe.model.capture.rearranging import zero_padded
from bitlathe.model.capture.routes import BATCH, Move


def concatenate(call: Call) -> Made:
    """cat: along channels or features; along rows or columns as a sum of maps with zeros around."""
    operands = _tensors(call)
    tensors = [each for each in operands if 0 not in each.size]  # what is empty joins nothing
    if not tensors:
        raise call.empty(call.size)
    if len(tensors) == 1 < len(operands):
        return tensors[0]
    axis = call.integer("dim") % len(call.size)
    if any(not each.is_plain for each in tensors) and len({each.node.name for each in tensors}) == 1:
        return call.joined(tensors, axis)
    if axis == 1 and len(call.size) in (2, 3, 4):
        return _channels(call, tensors)
    if axis > 1 and len(call.size) in (3, 4):
        return _side_by_side(call, tensors, axis)
    sizes = [each.size for each in tensors]
    raise call.refusal(f"joins {sizes} along axis {call.arguments['dim']}", "join channels, rows or columns")


def stack(call: Call) -> Made:
    """stack: joined along channels, a new axis beside them."""
    tensors = _tensors(call)
    axis = call.integer("dim") % len(call.size)
    if len({each.node.name for each in tensors}) == 1:
        apart = [call.rearranged(each, lambda places: np.expand_dims(places, axis)) for each in tensors]
        return call.joined(apart, axis)
    if axis == 0:
        raise call.mixes_images()
    joined = call.result_of_size(_channels(call, tensors), (BATCH, len(tensors), *tensors[0].size[1:]))
    return call.rearranged(joined, lambda places: np.moveaxis(places, 1, axis), "apart")


def _tensors(call: Call) -> list[TracedTensor]:
    operands = call.arguments["tensors"]
    assert isinstance(operands, Sequence)
    tensors = [operand for operand in operands if isinstance(operand, TracedTensor)]
    if len(tensors) != len(operands):
        raise call.refusal("joins a constant", "pad channels with torch.nn.functional.pad")
    return tensors


def _channels(call: Call, tensors: Sequence[TracedTensor]) -> FloatConcat:
    """Vectors or maps one behind the other."""
    is_vector = len(tensors[0].size) == 2
    joined = [each if is_vector and each.is_plain else call.as_map(each) for each in tensors]
    if len({each.node.shape[1:] for each in joined}) != 1:
        joined = [constants.flat(_numbered(call, number), each) for number, each in enumerate(joined, 1)]
    nodes = [each.node for each in joined]
    shape = (sum(node.shape[0] for node in nodes), *nodes[0].shape[1:])
    return FloatConcat(name=call.name, shape=shape, operands=tuple(node.name for node in nodes))


def _side_by_side(call: Call, tensors: Sequence[TracedTensor], axis: int) -> TracedTensor:
    """Maps beside or below each other: each with zeros in the places of the others, all added."""
    padded, before = [], 0
    for number, each in enumerate(tensors, 1):
        behind = call.size[axis] - before - each.size[axis]
        amounts = (*[0] * (2 * (len(call.size) - 1 - axis)), before, behind)
        place = _numbered(call, number)
        padded.append(place.as_map(place.rearranged(each, _padding(amounts))))
        before += each.size[axis]
    made = padded[0]
    for number, each in enumerate(padded[1:], 2):
        step = call if number == len(padded) else replace(call, name=call.extra_name("sum"))
        total = step.result(arithmetic.add(step.given({"self": made, "other": each})))
        assert isinstance(total, TracedTensor)
        made = total
    return made


def _padding(amounts: Sequence[int]) -> Move:
    return lambda places: zero_padded(places, amounts)


def _numbered(call: Call, number: int) -> Call:
    return replace(call, name=f"{call.name}_operand{number}")
