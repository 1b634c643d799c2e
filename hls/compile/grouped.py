"""Convolutions of groups: passes of the array that read no input tiles but those of their groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bitlathe.hls.compile.layout import UNUSED, Slots
from bitlathe.hls.compile.memory import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Passes one after another whose input tiles are at even steps."""

    passes: Span
    tile: int  # that the first pass starts with
    tile_step: int  # to the next pass's
    ci_tiles: int  # of each pass

    @property
    def tiles(self) -> Span:
        """Input tiles of all its passes."""
        count = self.passes[1] - self.passes[0]
        return self.tile, self.tile + (count - 1) * self.tile_step + self.ci_tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """A convolution's groups between the lanes of its source and of its output."""

    inputs: int  # channels of a group
    outputs: int
    source: Slots
    source_lanes: int  # of a tile
    output: Slots
    pass_lanes: int  # output channels of a pass

    def runs(self) -> tuple[Run, ...]:
        """All passes, in as few runs as go one after another."""
        spans = [self._tiles(first) for first in range(0, len(self.output), self.pass_lanes)]
        needed = [span for span in spans if span is not None]
        ci_tiles = max(end - first for first, end in needed)
        last = len(self.source) // self.source_lanes - ci_tiles
        firsts = [None if span is None else min(span[0], last) for span in spans]
        return tuple(_runs(_filled(firsts), ci_tiles))

    def _tiles(self, first: int) -> Span | None:
        """Input tiles (first, end) of the pass whose first output lane is given; None if it needs none."""
        made = self.output[first : first + self.pass_lanes]
        groups = {slot // self.outputs for slot in made if slot != UNUSED}
        tiles = [
            lane // self.source_lanes
            for lane, slot in enumerate(self.source)
            if slot != UNUSED and slot // self.inputs in groups
        ]
        return (min(tiles), max(tiles) + 1) if tiles else None


def _filled(firsts: Sequence[int | None]) -> list[int]:
    """First tiles, those of the pass before where a pass needs none."""
    filled: list[int] = []
    for first in firsts:
        filled.append(first if first is not None else filled[-1] if filled else 0)
    return filled


def _runs(firsts: Sequence[int], ci_tiles: int) -> Iterator[Run]:
    start = 0
    while start < len(firsts):
        step = max(firsts[start + 1] - firsts[start], 0) if start + 1 < len(firsts) else 0
        end = start + 1
        while end < len(firsts) and firsts[end] - firsts[end - 1] == step:
            end += 1
        yield Run(passes=(start, end), tile=firsts[start], tile_step=step, ci_tiles=ci_tiles)
        start = end
