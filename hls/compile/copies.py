"""Exact copies of tensors: in tiles of their own, or with their channels in other lanes."""

import numpy as np

from bitlathe.hls.compile.layout import UNUSED, Slots, natural_slots
from bitlathe.hls.compile.lowering import Lowering, Operation
from bitlathe.hls.compile.network import LayerKind, Parameters, Placement, Window


def copied(lowering: Lowering, tensor: str, name: str, node: str) -> str:
    """Name of an exact copy of a tensor, made for `node`; gaps of a selection that cost tiles are closed."""
    original = lowering.tensors[tensor]
    channels = sum(slot != UNUSED for slot in original.slots)
    natural = natural_slots(channels, lowering.configuration.pi)
    if tensor in lowering.aliases and len(original.slots) > len(natural):
        return _moved(lowering, tensor, natural, name, node)
    copy = Operation(
        name=name,
        node=node,
        kind=LayerKind.MAX,
        source=tensor,
        windows=(Window(placed=Placement(size=(original.height, original.width))),),
        tile_step=1,
        lo=original.format.lo,
        hi=original.format.hi,
    )
    return lowering.add_copy(copy, original.slots)


def repacked(lowering: Lowering, tensor: str, slots: Slots, node: str) -> str:
    """Name of a copy of a tensor with its channels in other lanes, made for `node`."""
    return _moved(lowering, tensor, slots, f"{node}[residual]", node)


def _moved(lowering: Lowering, tensor: str, slots: Slots, name: str, node: str) -> str:
    """A copy with the channels in the lanes of `slots`, by a convolution with weights of 1."""
    original = lowering.tensors[tensor]
    channels = sum(slot != UNUSED for slot in slots)
    zeros = (0,) * channels
    parameters = Parameters(
        weight=np.eye(channels, dtype=np.int16).reshape(channels, channels, 1, 1),
        bias=np.zeros(channels, np.int64),
        shifts=zeros,
        residual_shifts=zeros,
    )
    moved = Operation(
        name=name,
        node=node,
        kind=LayerKind.DENSE,
        source=tensor,
        windows=(Window(placed=Placement(size=(original.height, original.width)), parameters=parameters),),
        ci_tiles=lowering.tiles(tensor),
        lo=original.format.lo,
        hi=original.format.hi,
    )
    return lowering.add_copy(moved, slots)
