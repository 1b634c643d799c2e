"""Pixels for channels and channels for pixels: tiles copied to where they belong."""

from dataclasses import replace

from bitlathe.hls.compile.layout import multiplied_slots, selected_slots
from bitlathe.hls.compile.lowering import Lowering, behind_of, pool_of
from bitlathe.hls.compile.windows import windows_of
from bitlathe.model.graph.nodes import MaxPool2d
from bitlathe.model.graph.parts import Part
from bitlathe.model.graph.resampling import PixelShuffle2d, PixelUnshuffle2d


def shuffled_tiles(lowering: Lowering, node: PixelShuffle2d) -> tuple[int, ...] | None:
    """First tile of the channels of each pixel of a block, if all have theirs in the same lanes of tiles."""
    source, lanes, area = lowering.tensors[node.source], lowering.lanes(node.source), node.factor**2
    channels = len(source.slots) and lowering.graph.shapes[node.name][0]
    phases = [
        selected_slots(source.slots, lanes, tuple(range(phase, channels * area, area)))
        for phase in range(area)
    ]
    is_alike = all(slots == phases[0][1] for _, slots in phases)
    return tuple(first for first, _ in phases) if is_alike else None


def lower_shuffle(lowering: Lowering, node: PixelShuffle2d, tiles: tuple[int, ...]) -> None:
    """Tiles of each pixel of a block, copied to where they belong."""
    source, factor = lowering.tensors[node.source], node.factor
    lanes = lowering.lanes(node.source)
    channels = lowering.graph.shapes[node.name][0]
    _, slots = selected_slots(source.slots, lanes, tuple(range(0, channels * factor**2, factor**2)))
    windows = tuple(
        replace(window, source_tile=tile)
        for phase, tile in enumerate(tiles)
        for window in windows_of(
            Part(
                node=_identity_pool(node),
                origin=divmod(phase, factor),
                step=(factor, factor),
            ),
            (source.height, source.width),
            None,
        )
    )
    lowering.add(pool_of(node, windows), behind_of(lowering, node), slots)


def _identity_pool(node: PixelShuffle2d | PixelUnshuffle2d) -> MaxPool2d:
    return MaxPool2d(
        name=node.name, format=node.format, source=node.source, kernel_size=(1, 1), stride=(1, 1)
    )


def copies_phases(lowering: Lowering, node: PixelUnshuffle2d) -> bool:
    """Whether copying the tiles for each pixel of a block is faster than a convolution that selects."""
    area, tiles, pp = node.factor**2, lowering.tiles(node.source), lowering.configuration.pp
    channels = lowering.graph.shapes[node.name][0]
    by_convolution = -(-channels // lowering.configuration.po) * max(area, pp)
    leaves_gaps = channels % (area * lowering.configuration.pi) > 0
    return area * tiles * pp + leaves_gaps <= by_convolution


def lower_unshuffle(lowering: Lowering, node: PixelUnshuffle2d) -> None:
    source, factor, tiles = lowering.tensors[node.source].slots, node.factor, lowering.tiles(node.source)
    _, height, width = lowering.graph.shapes[node.name]
    after = behind_of(lowering, node)
    joined = multiplied_slots(source, factor**2)
    for phase in range(factor**2):
        row, column = divmod(phase, factor)
        pool = replace(_identity_pool(node), stride=(factor, factor), padding=(-row, -column))
        windows = windows_of(Part(node=pool), (height, width), None)
        one = replace(
            pool_of(node, windows),
            name=f"{node.name}[{phase}]",
            output_tiles=(phase * tiles, (phase + 1) * tiles),
        )
        lowering.add(one, after, joined)
