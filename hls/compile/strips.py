"""Stages whose maps are in DDR: strips of output rows that pass through buffers in the scratchpad.

With two buffers for each map, loads, arithmetic and stores of neighbouring strips overlap.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import product

from bitlathe.hls.compile.followers import Follower
from bitlathe.hls.compile.groups import best_grouping, chunk_step, passes, sub_tiles
from bitlathe.hls.compile.memory import Buffer, Span, StoreKind
from bitlathe.hls.compile.network import Layer, LayerKind, Map, Stage, plane_lines
from bitlathe.hls.compile.weights import pass_lines
from bitlathe.hls.cycles.model import EXEC_DRAIN, DdrModel
from bitlathe.hls.target.config import EngineConfiguration

DEPTHS = (2, 1)  # buffers a streamed map
ALL_PASSES = 1 << 12  # more than a stage has


class MapRole(Enum):
    """The role of a map in a stage."""

    SOURCE = "source"
    RESIDUAL = "residual"
    TARGET = "target"
    FOLLOWING = "target of the follower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Size of a stage's pieces."""

    rows: int  # output rows, of a follower if there is one
    passes: int
    depth: int  # buffers a streamed map
    pitches: Mapping[MapRole, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """A cut whose buffers have found room."""

    cut: Cut
    chunks_outside: bool
    buffers: Mapping[MapRole, tuple[Buffer, ...]]

    def of_follower(self) -> "Strips":
        """The strips of the follower, of all its passes."""
        roles = {MapRole.TARGET: MapRole.SOURCE, MapRole.FOLLOWING: MapRole.TARGET}
        buffers = {roles[role]: buffers for role, buffers in self.buffers.items() if role in roles}
        return replace(self, cut=replace(self.cut, passes=ALL_PASSES), buffers=buffers)


@dataclass(frozen=True, slots=True, kw_only=True)
class StripMiner:
    """Cuts one stage, whose `streamed` maps are in DDR, and its follower along with it."""

    stage: Stage
    streamed: frozenset[MapRole]
    source_pitch: int  # at which the array is fastest
    chunk_passes: int
    configuration: EngineConfiguration
    ddr: DdrModel
    follower: Follower | None = None
    follower_pitch: int = 0  # at which the array is fastest for it
    is_stored: bool = True  # whether what a follower reads goes to DDR as well

    @property
    def _height(self) -> int:
        """Rows that are cut into strips."""
        return (self.stage if self.follower is None else self.follower.stage).output.height

    def _made(self, cut: Cut) -> int:
        """Most rows of the stage's own output in a strip."""
        return cut.rows if self.follower is None else self.follower.most_rows(cut.rows)

    @property
    def _layer(self) -> Layer:
        """One of the stage's layers: in kind and passes all are alike."""
        return self.stage.layers[0]

    @property
    def _passes(self) -> int:
        return passes(self._layer, self.configuration)

    def map_of(self, role: MapRole) -> Map:
        """The stage's map of a role."""
        maps = {
            MapRole.SOURCE: self.stage.source,
            MapRole.RESIDUAL: self.stage.residual,
            MapRole.TARGET: self.stage.output,
            MapRole.FOLLOWING: None if self.follower is None else self.follower.stage.output,
        }
        found = maps[role]
        assert found is not None
        return found

    def best(self, gaps: tuple[Span, ...]) -> Strips | None:
        """The fastest cut whose buffers fit the free lines `gaps`, or None."""
        fitting = [strips for cut in self._cuts() if (strips := self._placed(cut, gaps)) is not None]
        return min(fitting, key=self._cycles, default=None)

    def least_lines(self) -> int:
        """Lines that the smallest cut takes."""
        return min(sum(self._lines(role, cut) for role in self.streamed) for cut in self._cuts())

    def _cuts(self) -> Iterator[Cut]:
        height = self._height
        rows = sorted({-(-height // strips) for strips in range(1, height + 1)}, reverse=True)
        chunks = {self.chunk_passes, chunk_step(self._layer, self.configuration)}
        if self.follower is not None:
            chunks = {self._passes} & {self.chunk_passes}  # a strip is made as a whole
        for depth, row_count, chunk, pitch in product(
            DEPTHS, rows, chunks, {self.source_pitch, self.stage.source.width}
        ):
            pitches = {role: self.map_of(role).width for role in self.streamed}
            if MapRole.SOURCE in pitches:
                pitches[MapRole.SOURCE] = pitch
            if self.follower is not None:
                pitches[MapRole.TARGET] = self.follower_pitch
            yield Cut(rows=row_count, passes=chunk, depth=depth, pitches=pitches)

    def _tiles(self, role: MapRole, cut: Cut) -> int:
        if role is MapRole.FOLLOWING:
            return self.map_of(role).tiles
        if role is MapRole.SOURCE:
            first, end = self.stage.source_tiles((0, min(cut.passes, self._passes)))
            return end - first
        words = min(cut.passes * sub_tiles(self._layer, self.configuration), self.stage.output.words)
        return self.map_of(role).tiles_of((0, words))[1]

    def _rows(self, role: MapRole, cut: Cut) -> int:
        if role is MapRole.FOLLOWING:
            return cut.rows
        made = self._made(cut)
        if role is MapRole.RESIDUAL:
            first, end = self.stage.residual_rows((0, made))
            return end - first
        return made if role is MapRole.TARGET else _source_rows(self.stage, made)

    def _plane(self, role: MapRole, cut: Cut) -> int:
        width = self.map_of(role).width
        return plane_lines(self._rows(role, cut), width, cut.pitches[role], self.configuration.banks)

    def _lines(self, role: MapRole, cut: Cut) -> int:
        return self._tiles(role, cut) * self._plane(role, cut)

    def _placed(self, cut: Cut, gaps: tuple[Span, ...]) -> Strips | None:
        wanted = [
            (self._lines(role, cut), role)
            for role in MapRole
            if role in self.streamed
            for _ in range(cut.depth)
        ]
        wanted.sort(key=lambda want: -want[0])
        lines = _first_fit([count for count, _ in wanted], gaps)
        if lines is None:
            return None
        buffers: dict[MapRole, tuple[Buffer, ...]] = {}
        for (_, role), line in zip(wanted, lines, strict=True):
            buffers[role] = (
                *buffers.get(role, ()),
                self._buffer(role, cut, line, len(buffers.get(role, ()))),
            )
        return Strips(cut=cut, chunks_outside=self._chunks_outside(cut), buffers=buffers)

    def _buffer(self, role: MapRole, cut: Cut, line: int, turn: int) -> Buffer:
        return Buffer(
            name=f"{self.stage.name} {role.value} {turn}",
            memory=StoreKind.SCRATCHPAD,
            line=line,
            lines=self._lines(role, cut),
            pitch=cut.pitches[role],
            plane=self._plane(role, cut),
        )

    def _counts(self, cut: Cut) -> tuple[int, int]:
        """Strips and chunks of a cut."""
        return -(-self._height // cut.rows), -(-self._passes // cut.passes)

    def _words(self, role: MapRole, cut: Cut) -> int:
        """Words of one strip and chunk."""
        return (
            self._tiles(role, cut) * self._rows(role, cut) * self.map_of(role).width
            if role in self.streamed
            else 0
        )

    def _chunks_outside(self, cut: Cut) -> bool:
        """Whether the source comes again for every chunk of weights, not the weights for every strip."""
        strips, chunks = self._counts(cut)
        return self._source_again(strips, chunks, cut) < self._weights_again(strips, chunks)

    def _source_again(self, strips: int, chunks: int, cut: Cut) -> int:
        """Beats of the source beyond its first load, chunks outside."""
        if self.stage.kind is not LayerKind.DENSE:
            return 0
        return (chunks - 1) * strips * self._words(MapRole.SOURCE, cut)

    def _weights_again(self, strips: int, chunks: int) -> int:
        """Beats of the weights beyond their first load, strips outside."""
        if chunks == 1 or self._layer.repeats_weights:
            return 0
        lines = self._passes * sum(pass_lines(layer) for layer in self.stage.weighted)
        return (strips - 1) * lines * self.configuration.po

    def _cycles(self, strips: Strips) -> float:
        """Rough cycles of the stage: the busiest unit's where buffers are double, else the sum."""
        cut = strips.cut
        count, chunks = self._counts(cut)
        again = self._source_again if strips.chunks_outside else lambda n, c, _: self._weights_again(n, c)
        loads = count * (self._words(MapRole.SOURCE, cut) + chunks * self._words(MapRole.RESIDUAL, cut))
        load = (loads + again(count, chunks, cut)) / self.ddr.busy + count * self.ddr.latency
        words = self._words(MapRole.TARGET, cut) if self.is_stored else 0
        words += self._words(MapRole.FOLLOWING, cut)
        store = count * chunks * (words / self.ddr.busy + self.ddr.latency)
        arithmetic = self._array_cycles(cut, count, chunks)
        if cut.depth == 1:
            return load + store + arithmetic
        return max(load, store, arithmetic) + (load + store) / (count * chunks)

    def _array_cycles(self, cut: Cut, count: int, chunks: int) -> int:
        pitch, made = cut.pitches.get(MapRole.SOURCE, self.source_pitch), self._made(cut)
        own = sum(
            self._passes * self._pass_cycles(layer, made, pitch)
            + chunks * (EXEC_DRAIN + self.configuration.pp)
            for layer in self.stage.layers
        )
        if self.follower is not None:
            (pool,) = self.follower.stage.layers
            a_pass = self._pass_cycles(pool, cut.rows, self.follower_pitch)
            own += passes(pool, self.configuration) * a_pass + EXEC_DRAIN + self.configuration.pp
        return count * own

    def _pass_cycles(self, layer: Layer, made: int, pitch: int) -> int:
        rows = -(-made // layer.placed.step[0])
        return best_grouping(layer, pitch, self.configuration).cycles(rows, layer.placed.size[1])


@lru_cache(maxsize=4096)
def _source_rows(stage: Stage, rows: int) -> int:
    """Most rows of the source that any strip of some output rows reads."""
    height = stage.output.height
    if len(stage.layers) == 1:
        layer = stage.layers[0]
        reach = (layer.kernel[0] - 1) * layer.window.tap_steps[0] + 1
        return min((rows - 1) * layer.stride[0] + reach, stage.source.height)
    spans = [stage.rows_read((row, min(row + rows, height))) for row in range(0, height, rows)]
    return max(end - first for first, end in spans)


def _first_fit(sizes: list[int], gaps: tuple[Span, ...]) -> list[int] | None:
    """First line of each size, each in the first gap that still has room, or None."""
    free = list(gaps)
    lines = []
    for size in sizes:
        index = next((i for i, (first, end) in enumerate(free) if end - first >= size), None)
        if index is None:
            return None
        first, end = free[index]
        lines.append(first)
        free[index] = (first + size, end)
    return lines
