"""Decisions about a network on one engine: where maps go, how stages are cut, how pixels are grouped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bitlathe.hls.compile.fast_residual import sum_cycles
from bitlathe.hls.compile.groups import Grouping, best_grouping, chunk_step, layer_cycles, passes, sub_tiles
from bitlathe.hls.compile.homes import HomeFinder, Homes
from bitlathe.hls.compile.memory import Buffer, Span, StoreKind
from bitlathe.hls.compile.network import Layer, LayerKind, Map, Network, Region, Stage
from bitlathe.hls.compile.strips import MapRole
from bitlathe.hls.compile.weights import WeightImage, pass_lines
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.program import Space
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import CapacityError, together

LONGEST_PITCH = (1 << 10) - 1  # lines from a row to the next that a descriptor can name


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlace:
    """Where a stage finds or leaves a map: in one buffer as a whole, or strip by strip in turning buffers."""

    name: str
    buffers: tuple[Buffer, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Rows row..row+rows-1 of a stage's output, passes first_pass..end_pass-1: an EXEC of each layer."""

    row: int
    rows: int
    first_pass: int
    end_pass: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """How one stage is computed."""

    stage: Stage
    groupings: tuple[Grouping, ...]  # of its layers
    sub_tiles: int
    strip_rows: int  # output rows of a piece
    chunk_passes: int  # passes of a piece
    chunks_outside: bool  # all strips of a chunk of weights before the next chunk
    source: MapPlace
    residual: MapPlace | None
    target: MapPlace
    follower: "StagePlan | None" = None  # a stage that takes each strip as it is made

    @property
    def is_whole(self) -> bool:
        """Whether all its maps are in the scratchpad as a whole."""
        return all(place is None or place.is_whole for place in (self.source, self.residual, self.target))

    def pieces(self) -> Iterator[Piece]:
        """The stage's pieces in order."""
        rows = range(0, self.stage.output.height, self.strip_rows)
        chunks = range(0, self._passes, self.chunk_passes)
        if self.chunks_outside:
            yield from (self._piece(row, chunk) for chunk in chunks for row in rows)
        else:
            yield from (self._piece(row, chunk) for row in rows for chunk in chunks)

    @property
    def _passes(self) -> int:
        return -(-self.stage.output.words // self.sub_tiles)

    def output_words(self, piece: Piece) -> tuple[int, int]:
        """Output words (first, end) of a pixel that a piece writes."""
        last = min(piece.end_pass * self.sub_tiles, self.stage.output.words)
        return piece.first_pass * self.sub_tiles, last

    def piece_for(self, rows: Span) -> Piece:
        """All passes over some rows."""
        return Piece(row=rows[0], rows=rows[1] - rows[0], first_pass=0, end_pass=self._passes)

    def _piece(self, row: int, first_pass: int) -> Piece:
        return Piece(
            row=row,
            rows=min(self.strip_rows, self.stage.output.height - row),
            first_pass=first_pass,
            end_pass=min(first_pass + self.chunk_passes, self._passes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHome:
    """Where some tiles of a region go in DDR: all of a spilled one, or those of an output."""

    buffer: Buffer
    tiles: Span  # of the region

    def takes(self, m: Map) -> bool:
        """Whether a map of the region goes there; no map is cut."""
        return self.tiles[0] <= m.first_tile < self.tiles[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """All decisions about a network."""

    network: Network
    configuration: EngineConfiguration
    stages: tuple[StagePlan, ...]
    load_homes: Mapping[str, Buffer]  # DDR of the input's and the spilled regions, by name
    store_homes: Mapping[str, tuple[StoreHome, ...]]  # of the outputs' and the spilled regions
    scratch_bytes: int

    def with_input_strips(self, count: int) -> "EnginePlan":
        """The plan with the first reader of a whole input cut, so that it starts before all is loaded."""
        index = self._first_input_reader()
        if index is None:
            return self
        first = self.stages[index]
        early = replace(first, strip_rows=-(-first.stage.output.height // count))
        return replace(self, stages=(*self.stages[:index], early, *self.stages[index + 1 :]))

    def _first_input_reader(self) -> int | None:
        """Index of the first stage that reads the input from the scratchpad as a whole, if it does."""
        readers = (
            i for i, plan in enumerate(self.stages) if plan.stage.source.region == self.network.input.region
        )
        first = next(readers, None)
        return first if first is not None and self.stages[first].is_whole else None


def make_plan(
    network: Network,
    image: WeightImage,
    configuration: EngineConfiguration,
    ddr: DdrModel,
    ring_shares: int,
) -> EnginePlan:
    """All decisions about a network; CapacityError names a layer that does not fit.

    Where not all weights stay, the store should hold about `ring_shares` chunks of them at a time.
    """
    room = configuration.weight_lines - image.pinned_lines
    _check_passes(network, room, configuration)
    chunks = {
        stage.name: _chunk_passes(stage, room, configuration, 1 if image.stays else ring_shares)
        for stage in network.stages
    }
    homes = _homes(network, chunks, configuration, ddr)
    load_homes, store_homes = _ddr_homes(network, homes)
    scratch = {home for home in load_homes.values() if home.space is Space.SCRATCH}
    return EnginePlan(
        network=network,
        configuration=configuration,
        stages=tuple(_stage_plans(network, homes, chunks, configuration)),
        load_homes=load_homes,
        store_homes=store_homes,
        scratch_bytes=sum(home.lines for home in scratch) * configuration.word_bytes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sum:
    """A layer that adds a residual, and the pitches of its source and residual."""

    layer: Layer
    source_pitch: int
    residual_pitch: int

    def cycles(self, pitch: int, configuration: EngineConfiguration) -> int:
        return sum_cycles(self.layer, self.source_pitch, self.residual_pitch, pitch, configuration)


def _sums(network: Network, region: Region, pitches: Mapping[str, int]) -> tuple[_Sum, ...]:
    """Layers that write sums to a region, where the pitches of what they read are known."""
    return tuple(
        _Sum(
            layer=layer,
            source_pitch=pitches[layer.source.region.name],
            residual_pitch=pitches[layer.residual.region.name],
        )
        for layer in network.layers
        if layer.output.region == region
        and layer.residual is not None
        and {layer.source.region.name, layer.residual.region.name} <= pitches.keys()
    )


def best_pitch(
    region: Region,
    readers: tuple[Layer, ...],
    configuration: EngineConfiguration,
    sums: tuple[_Sum, ...] = (),
) -> int:
    """Smallest pitch at which the layers that read a region, or write sums to it, take the fewest cycles."""

    def cycles(pitch: int) -> int:
        reading = sum(layer_cycles(layer, pitch, configuration) for layer in readers)
        return reading + sum(writer.cycles(pitch, configuration) for writer in sums)

    widest = min(region.width + configuration.banks, (LONGEST_PITCH + 1) * configuration.banks)
    return min(range(region.width, widest), key=cycles)


def _check_passes(network: Network, room: int, configuration: EngineConfiguration) -> None:
    """Raise CapacityError for layers of which the weight store cannot hold one pass in `room` lines."""
    layers = [layer for layer in network.layers if layer.kind is not LayerKind.MAX]
    errors = [
        CapacityError(
            f"{layer.node}: {configuration.po} output channels take {pass_lines(layer)} weight lines, "
            f"there are {room}; use a smaller kernel, fewer input channels or more weight_lines"
        )
        for layer in layers
        if chunk_step(layer, configuration) * pass_lines(layer) > room
    ]
    if errors:
        raise together(errors, network.name)


def _chunk_passes(stage: Stage, room: int, configuration: EngineConfiguration, shares: int) -> int:
    """Passes whose weights are loaded together: all that fit a share of the store, at least one."""
    layer = stage.layers[0]
    count = passes(layer, configuration)
    if layer.repeats_weights:
        return count
    step = chunk_step(layer, configuration)
    lines = step * sum(pass_lines(each) for each in stage.weighted)
    fitting = max(1, room // shares // lines)
    steps = -(-count // step)
    return -(-steps // -(-steps // fitting)) * step


def _homes(
    network: Network, chunks: Mapping[str, int], configuration: EngineConfiguration, ddr: DdrModel
) -> Homes:
    """Homes at the fastest pitches; tight pitches are chosen only where the alternative is spilling."""
    readers = {
        region: tuple(layer for layer in network.layers if layer.source.region == region)
        for region in network.regions
    }
    fastest: dict[str, int] = {}
    for region, read_by in readers.items():
        fastest[region.name] = best_pitch(region, read_by, configuration, _sums(network, region, fastest))
    tightest = {region.name: region.width for region in network.regions}
    strip_pitches = {
        stage.name: best_pitch(stage.source.region, stage.layers, configuration) for stage in network.stages
    }
    finders = [
        HomeFinder(
            network=network,
            pitches=pitches,
            strip_pitches=strip_pitches,
            chunk_passes=chunks,
            configuration=configuration,
            ddr=ddr,
        )
        for pitches in (fastest, tightest)
    ]
    whole = next((homes for finder in finders if (homes := finder.find_without_spilling()) is not None), None)
    return whole or finders[0].find()


def _stage_plans(
    network: Network, homes: Homes, chunks: Mapping[str, int], configuration: EngineConfiguration
) -> Iterator[StagePlan]:
    for stage in network.stages:
        if stage.name in homes.following:
            continue
        plan, follower = _stage_plan(stage, homes, chunks, configuration), homes.followers.get(stage.name)
        if follower is None:
            yield plan
        else:
            yield replace(plan, follower=_stage_plan(follower.stage, homes, chunks, configuration))


def _stage_plan(
    stage: Stage, homes: Homes, chunks: Mapping[str, int], configuration: EngineConfiguration
) -> StagePlan:
    strips = homes.strips.get(stage.name)

    def place(role: MapRole, m: Map) -> MapPlace:
        name = f"{stage.name} {role.value}"
        if m.region.name in homes.resident:
            return MapPlace(name=name, buffers=(homes.resident[m.region.name],), is_whole=True)
        assert strips is not None
        return MapPlace(name=name, buffers=strips.buffers[role], is_whole=False)

    source = place(MapRole.SOURCE, stage.source)
    pitch = source.buffers[0].pitch
    return StagePlan(
        stage=stage,
        groupings=tuple(best_grouping(layer, pitch, configuration) for layer in stage.layers),
        sub_tiles=sub_tiles(stage.layers[0], configuration),
        strip_rows=stage.output.height if strips is None else strips.cut.rows,
        chunk_passes=chunks[stage.name] if strips is None else strips.cut.passes,
        chunks_outside=strips is None or strips.chunks_outside,
        source=source,
        residual=None if stage.residual is None else place(MapRole.RESIDUAL, stage.residual),
        target=place(MapRole.TARGET, stage.output),
    )


def _ddr_homes(network: Network, homes: Homes) -> tuple[dict[str, Buffer], dict[str, tuple[StoreHome, ...]]]:
    """Where regions are loaded from, and where they are stored.

    The host may not let the engine read an output back: a spilled output that layers read is stored twice.
    """
    load_homes = {network.input.region.name: _ddr_buffer(network.input.region, Space.INPUT, 0)}
    store_homes = _output_homes(network)
    read = {m.region for stage in network.stages if stage.name not in homes.following for m in stage.sources}
    word = 0
    for region in network.regions:
        if region.name not in homes.resident and region in read and region != network.input.region:
            home = load_homes[region.name] = _ddr_buffer(region, Space.SCRATCH, word)
            whole = StoreHome(buffer=home, tiles=(0, region.tiles))
            store_homes[region.name] = (*store_homes.get(region.name, ()), whole)
            word += home.lines
    return load_homes, store_homes


def _output_homes(network: Network) -> dict[str, tuple[StoreHome, ...]]:
    """The outputs one after another."""
    homes: dict[str, tuple[StoreHome, ...]] = {}
    word = 0
    for output in network.outputs:
        buffer = _ddr_buffer(output, Space.OUTPUT, word)
        tiles = (output.first_tile, output.first_tile + output.tiles)
        name = output.region.name
        homes[name] = (*homes.get(name, ()), StoreHome(buffer=buffer, tiles=tiles))
        word += buffer.lines
    return homes


def _ddr_buffer(stored: Region | Map, space: Space, line: int) -> Buffer:
    plane = stored.height * stored.width
    return Buffer(
        name=f"{stored.name} in {space.name}",
        memory=StoreKind.DDR,
        line=line,
        lines=stored.tiles * plane,
        pitch=stored.width,
        plane=plane,
        space=space,
    )
