"""Decisions about a network on one engine: where maps lie, how layers are cut, how pixels are grouped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bitlathe.hls.compile.groups import Grouping
from bitlathe.hls.compile.memory import Buffer
from bitlathe.hls.compile.network import Layer, Network
from bitlathe.hls.config import EngineConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a layer finds or leaves a map: in one buffer as a whole, or strip by strip in turning buffers."""

    name: str
    buffers: tuple[Buffer, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one EXEC computes of a layer: output rows row..row+rows-1 of passes first_pass..end_pass-1."""

    row: int
    rows: int
    first_pass: int
    end_pass: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """How one layer is computed."""

    layer: Layer
    grouping: Grouping
    sub_tiles: int
    strip_rows: int  # output rows of an EXEC
    chunk_passes: int  # passes of an EXEC
    chunks_outside: bool  # all strips of a chunk of weights before the next chunk
    source: Place
    residual: Place | None
    target: Place

    @property
    def is_whole(self) -> bool:
        """Whether all its maps lie in the scratchpad as a whole."""
        return all(place is None or place.is_whole for place in (self.source, self.residual, self.target))

    def pieces(self) -> Iterator[Piece]:
        """The layer's EXECs in order."""
        rows = range(0, self.layer.output.height, self.strip_rows)
        chunks = range(0, self._passes, self.chunk_passes)
        if self.chunks_outside:
            yield from (self._piece(row, chunk) for chunk in chunks for row in rows)
        else:
            yield from (self._piece(row, chunk) for row in rows for chunk in chunks)

    @property
    def _passes(self) -> int:
        return -(-self.layer.output.words // self.sub_tiles)

    def output_words(self, piece: Piece) -> tuple[int, int]:
        """Output words (first, end) of a pixel that a piece writes."""
        last = min(piece.end_pass * self.sub_tiles, self.layer.output.words)
        return piece.first_pass * self.sub_tiles, last

    def _piece(self, row: int, first_pass: int) -> Piece:
        return Piece(
            row=row,
            rows=min(self.strip_rows, self.layer.output.height - row),
            first_pass=first_pass,
            end_pass=min(first_pass + self.chunk_passes, self._passes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All decisions about a network."""

    network: Network
    configuration: EngineConfiguration
    layers: tuple[LayerPlan, ...]
    load_homes: Mapping[str, Buffer]  # DDR of the input's and the spilled regions, by name
    store_homes: Mapping[str, tuple[Buffer, ...]]  # of the output's and the spilled regions
    scratch_bytes: int

    def with_input_strips(self, count: int) -> "Plan":
        """The plan with the first reader of a whole input cut, so that it starts before all is loaded."""
        index = self._first_input_reader()
        if index is None:
            return self
        first = self.layers[index]
        early = replace(first, strip_rows=-(-first.layer.output.height // count))
        return replace(self, layers=(*self.layers[:index], early, *self.layers[index + 1 :]))

    def _first_input_reader(self) -> int | None:
        """Index of the first layer that reads the input from the scratchpad as a whole, if it does."""
        readers = (
            i for i, plan in enumerate(self.layers) if plan.layer.source.region == self.network.input.region
        )
        first = next(readers, None)
        return first if first is not None and self.layers[first].is_whole else None
