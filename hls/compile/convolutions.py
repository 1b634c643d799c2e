"""Windows of a node as operations: by channel, over all channels, or over those of some groups at a time."""

from dataclasses import replace

import numpy as np

from bitlathe.hls.compile.behind import Behind
from bitlathe.hls.compile.copies import repacked
from bitlathe.hls.compile.fold import folded_convolution
from bitlathe.hls.compile.grouped import Grouped, Run
from bitlathe.hls.compile.layout import (
    Slots,
    multiplied_slots,
    natural_slots,
    ordered_slots,
    padded_slots,
)
from bitlathe.hls.compile.lowering import EXEC_CYCLES, Lowering, Operation, behind_of, pool_of
from bitlathe.hls.compile.network import LayerKind, Parameters, Window
from bitlathe.hls.compile.order import apart
from bitlathe.hls.compile.windows import windows_of
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph, residual_shifts, shifts
from bitlathe.model.graph.nodes import Conv2d, MaxPool2d, Node
from bitlathe.model.graph.parts import parts_of, trimmed


def lower_parts(lowering: Lowering, node: Node) -> None:
    """A node that is computed by windows, all of one kind."""
    graph, after = lowering.graph, behind_of(lowering, node)
    shape = graph.shapes[node.sources[0]]
    parts = parts_of(node, shape, lowering.configuration.banks)
    parts = tuple(replace(part, node=trimmed(part.node, shape[1:])) for part in parts)
    pools = [part for part in parts if isinstance(part.node, MaxPool2d)]
    if pools:
        windows = [
            window
            for part in pools
            for window in windows_of(part, part.node.windows.size(node.name, *shape[1:]), None)
        ]
        lowering.add(pool_of(node, tuple(windows)), after, lowering.tensors[node.sources[0]].slots)
        return
    convolutions = [(part, part.node) for part in parts if isinstance(part.node, Conv2d)]
    (_, first), *_ = convolutions
    windows = []
    for part, conv in convolutions:
        size = conv.windows.size(node.name, *shape[1:])
        parameters = _parameters(graph, conv)
        fold = lowering.input_layout.fold if conv.source == graph.input.name else 1
        if fold > 1:
            conv = folded_convolution(conv, fold)
            parameters = replace(parameters, weight=conv.weight)
        windows += after.placed(windows_of(replace(part, node=conv), size, parameters, fold))
    if fold > 1:
        first = folded_convolution(first, fold)
    _add_convolution(lowering, first, tuple(windows), after)


def _add_convolution(lowering: Lowering, conv: Conv2d, windows: tuple[Window, ...], after: Behind) -> None:
    """Operations of a convolution, whose windows may be several: by channel, or over some or all channels."""
    operation = Operation(
        name=conv.name,
        node=conv.name,
        kind=LayerKind.DEPTHWISE,
        source=conv.source,
        residual=conv.residual,
        windows=windows,
        tile_step=1,
        lo=conv.lo,
        hi=conv.hi,
    )
    source = lowering.tensors[conv.source].slots
    multiplier = conv.out_channels // conv.groups
    if conv.is_depthwise:
        lowering.add(_with_lanes(lowering, operation, source), after, source)
    elif conv.weight.shape[1] == 1 and _multiplies(lowering, conv, windows):
        _add_multiplied(lowering, operation, multiplier, after)
    else:
        dense = replace(operation, kind=LayerKind.DENSE, tile_step=0, ci_tiles=lowering.tiles(conv.source))
        residual = None if conv.residual is None else lowering.tensors[conv.residual].slots
        if residual is not None and conv.residual in lowering.aliases:
            residual = natural_slots(conv.out_channels, lowering.lanes(after.name))
            dense = _with_lanes(lowering, dense, residual)
        channels = lowering.graph.shapes[after.name][0]
        slots = residual or ordered_slots(
            channels, lowering.lanes(after.name), *apart(lowering.graph, after.name)
        )
        _add_dense(lowering, dense, conv, slots, after)


def _with_lanes(lowering: Lowering, operation: Operation, slots: Slots) -> Operation:
    """The operation, whose residual has the channels of `slots` in their lanes."""
    residual = operation.residual
    if residual is None or lowering.tensors[residual].slots == slots:
        return operation
    return replace(operation, residual=repacked(lowering, residual, slots, operation.node))


def _multiplies(lowering: Lowering, conv: Conv2d, windows: tuple[Window, ...]) -> bool:
    """Whether a depth multiplier's passes by channel are no slower than sums over the tiles of their groups.

    A pass of sums makes `po` output channels of one input tile.
    """
    taps, engine = conv.kernel_size[0] * conv.kernel_size[1], lowering.configuration
    multiplier = conv.out_channels // conv.groups
    by_channel = multiplier * lowering.tiles(conv.source) * max(taps, engine.pp)
    summed = -(-conv.out_channels // engine.po) * max(taps, engine.pp * engine.sub_tiles)
    return conv.groups > 1 and by_channel <= summed


def _add_multiplied(lowering: Lowering, operation: Operation, multiplier: int, after: Behind) -> None:
    """For each multiple a convolution by channel, into tiles of its own."""
    source, tiles = lowering.tensors[operation.source].slots, lowering.tiles(operation.source)
    slots = multiplied_slots(source, multiplier)
    operation = _with_lanes(lowering, operation, slots)
    for multiple in range(multiplier):
        one = replace(
            operation,
            name=f"{operation.name}[{multiple}]",
            output_tiles=(multiple * tiles, (multiple + 1) * tiles),
        )
        lowering.add(one, after, slots)


def _add_dense(lowering: Lowering, dense: Operation, conv: Conv2d, slots: Slots, after: Behind) -> None:
    """Sums over all input tiles, or in runs of passes over those of their groups where that is faster."""
    runs = _runs(lowering, dense, conv, slots)
    if len(runs) < 2:
        whole = runs[0] if runs else None
        ci_tiles = dense.ci_tiles if whole is None else whole.ci_tiles
        step = 0 if whole is None else whole.tile_step
        lowering.add(replace(dense, ci_tiles=ci_tiles, tile_step=step), after, slots)
        return
    words = lowering.configuration.sub_tiles
    last = len(slots) // lowering.configuration.pi
    for number, run in enumerate(runs):
        one = replace(
            dense,
            name=f"{dense.name}[{number}]",
            source_tiles=run.tiles,
            output_tiles=(run.passes[0] * words, min(run.passes[1] * words, last)),
            ci_tiles=run.ci_tiles,
            tile_step=run.tile_step,
        )
        lowering.add(one, after, slots)


def _runs(lowering: Lowering, dense: Operation, conv: Conv2d, slots: Slots) -> tuple[Run, ...]:
    """Runs of a grouped convolution's passes; none where sums over all tiles are as fast."""
    if conv.groups == 1 or dense.ci_tiles == 1:
        return ()
    engine = lowering.configuration
    runs = Grouped(
        inputs=conv.weight.shape[1],
        outputs=conv.out_channels // conv.groups,
        source=lowering.tensors[conv.source].slots,
        source_lanes=lowering.lanes(conv.source),
        output=padded_slots(slots, engine.pi),
        pass_lanes=engine.po,
    ).runs()
    taps, words = conv.kernel_size[0] * conv.kernel_size[1], engine.pp * engine.sub_tiles
    pixels = sum(window.placed.size[0] * window.placed.size[1] for window in dense.windows)
    saved = max(taps * dense.ci_tiles, words) - max(taps * runs[0].ci_tiles, words)
    passes = runs[-1].passes[1]
    return runs if saved * passes * pixels // engine.pp > EXEC_CYCLES * (len(runs) - 1) else ()


def _parameters(graph: Graph, conv: Conv2d) -> Parameters:
    none = (0,) * conv.out_channels
    return Parameters(
        weight=conv.weight,
        bias=conv.bias.astype(np.int64),
        shifts=shifts(graph, conv),
        residual_shifts=none if conv.residual is None else residual_shifts(graph, conv),
        half_even=conv.rounding is RoundingMode.HALF_EVEN,
        groups=conv.groups,
    )
