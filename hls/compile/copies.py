"""Exact copies of tensors: in tiles of their own, or with their channels in other lanes."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from bitlathe.hls.compile.layout import UNUSED, Slots, natural_slots
from bitlathe.hls.compile.lowering import EXEC_CYCLES, Lowering, Operation
from bitlathe.hls.compile.memory import Span
from bitlathe.hls.compile.network import LayerKind, Parameters, Placement, Window
from bitlathe.hls.compile.order import apart


def copied(lowering: Lowering, tensor: str, name: str, node: str) -> str:
    """Name of an exact copy of a tensor, made for `node`.

    Of a selection the tiles without its channels are left out, or all gaps closed if that is faster.
    """
    original, lanes = lowering.tensors[tensor], lowering.lanes(tensor)
    runs: tuple[Span, ...] = ((0, lowering.tiles(tensor)),)
    if tensor in lowering.aliases:
        channels = sum(slot != UNUSED for slot in original.slots)
        natural = natural_slots(channels, lowering.configuration.pi)
        used = tuple(_used_runs(original.slots, lanes, *apart(lowering.graph, tensor)))
        is_longer = len(original.slots) > len(natural)
        if is_longer and (lowering.halves(tensor) > 1 or _moves_faster(lowering, tensor, natural, used)):
            return _moved(lowering, tensor, natural, name, node)
        runs = used if is_longer else runs
    end, slots = 0, tuple(slot for run in runs for slot in original.slots[run[0] * lanes : run[1] * lanes])
    for number, run in enumerate(runs):
        first, end = end, end + run[1] - run[0]
        copy = Operation(
            name=f"{name}/{number}" if number else name,
            node=node,
            kind=LayerKind.MAX,
            source=tensor,
            windows=(Window(placed=Placement(size=(original.height, original.width))),),
            tile_step=1,
            source_tiles=run,
            output_tiles=(first, end),
            lo=original.format.lo,
            hi=original.format.hi,
        )
        lowering.add_copy(copy, slots, name)
    return name


def _used_runs(slots: Slots, lanes: int, apart: frozenset[int], at_end: bool) -> Iterator[Span]:
    """Neighbouring tiles (first, end) that hold a channel each; those of `apart` are first or last."""
    tiles = [set(slots[first : first + lanes]) - {UNUSED} for first in range(0, len(slots), lanes)]
    kinds = [bool(tile) and 1 + (bool(tile & apart) is at_end) for tile in tiles]
    for kind in (1, 2):
        for is_of_kind, run in groupby(range(len(tiles)), key=lambda tile: kinds[tile] == kind):
            first, *others = run
            if is_of_kind:
                yield first, first + len(others) + 1


def _moves_faster(lowering: Lowering, tensor: str, natural: Slots, used: tuple[Span, ...]) -> bool:
    """Whether a convolution that closes the gaps is faster than copies of the tiles that are used."""
    engine, original = lowering.configuration, lowering.tensors[tensor]
    pixels = original.height * original.width
    passes = -(-len(natural) // (engine.pi * engine.sub_tiles))
    a_group = max(lowering.tiles(tensor), engine.pp * engine.sub_tiles)
    moving = passes * -(-pixels // engine.pp) * a_group
    copying = sum(end - first for first, end in used) * pixels
    return moving + EXEC_CYCLES < copying + EXEC_CYCLES * len(used)


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
    lowering.add_copy(moved, slots, name)
    return name
