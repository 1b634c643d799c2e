"""Which regions stay in the scratchpad as a whole, and which are in DDR and pass through it in strips."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.hls.compile.followers import Follower, follower_of
from bitlathe.hls.compile.memory import Buffer, Span, StoreKind
from bitlathe.hls.compile.network import Network, Region, Stage, plane_lines
from bitlathe.hls.compile.strips import MapRole, StripMiner, Strips
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import BitlatheError, CapacityError, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Lines wanted during a span of stages."""

    name: str
    lines: int
    life: Span  # stages


def lifetimes(network: Network, together: frozenset[int] = frozenset()) -> dict[Region, Span]:
    """Stages (first, end) during which each region is in use; some take turns with the one after them."""
    lives: dict[Region, Span] = {}
    for index, stage in enumerate(network.stages):
        begin, end = index - (index - 1 in together), index + 1 + (index in together)
        for region in (m.region for m in stage.maps):
            lives[region] = (lives.get(region, (begin, begin))[0], end)
    return lives


def region_buffer(region: Region, line: int, pitch: int, banks: int) -> Buffer:
    """A whole region in the scratchpad from `line` on."""
    plane = plane_lines(region.height, region.width, pitch, banks)
    return Buffer(
        name=region.name,
        memory=StoreKind.SCRATCHPAD,
        line=line,
        lines=region.tiles * plane,
        pitch=pitch,
        plane=plane,
    )


def pack(items: tuple[Item, ...], capacity: int) -> dict[str, int] | Item:
    """First line of each item, without overlap of items alive together; or the first item without room."""
    orders = (
        sorted(items, key=lambda item: -item.lines),
        sorted(items, key=lambda item: (item.life[0], -item.lines)),
        sorted(items, key=lambda item: -item.lines * (item.life[1] - item.life[0])),
    )
    results = [_pack_in_order(order, capacity) for order in orders]
    return next((result for result in results if isinstance(result, dict)), results[0])


def _pack_in_order(items: list[Item], capacity: int) -> dict[str, int] | Item:
    placed: dict[str, int] = {}
    taken: list[tuple[Item, int]] = []
    for item in items:
        beside = [(line, line + other.lines) for other, line in taken if _overlap(other.life, item.life)]
        line = lowest_gap(beside, item.lines, capacity)
        if line is None:
            return item
        placed[item.name] = line
        taken.append((item, line))
    return placed


def _overlap(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def lowest_gap(taken: list[Span], lines: int, capacity: int) -> int | None:
    """First line of the lowest free run of `lines`, or None."""
    line = 0
    for first, end in sorted(taken):
        if line + lines <= first:
            break
        line = max(line, end)
    return line if line + lines <= capacity else None


def resident_buffers(
    network: Network,
    pitches: Mapping[str, int],
    spilled: frozenset[str],
    configuration: EngineConfiguration,
    *,
    ends_apart: bool = False,
    together: frozenset[int] = frozenset(),
) -> dict[str, Buffer] | Item:
    """Buffers of all regions but the spilled ones, by name; or the region that finds no room.

    Stages `together` take turns with those after them.

    With `ends_apart` the network's input and outputs share their lines with no other region, so that the next
    input can come, and the outputs leave, under the other stages.
    """
    always = (0, len(network.stages))
    ends = {network.input.region, *(output.region for output in network.outputs)} if ends_apart else set()
    regions = {
        region.name: (region, always if region in ends else life)
        for region, life in lifetimes(network, together).items()
        if region.name not in spilled
    }
    items = tuple(
        Item(name=name, lines=region.lines(pitches[name], configuration.banks), life=life)
        for name, (region, life) in regions.items()
    )
    lines = pack(items, configuration.bank_lines)
    if isinstance(lines, Item):
        return lines
    return {
        name: region_buffer(region, lines[name], pitches[name], configuration.banks)
        for name, (region, _) in regions.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Where the regions are stored, and how the stages that stream are cut."""

    resident: Mapping[str, Buffer]  # by region
    strips: Mapping[str, Strips]  # by stage
    followers: Mapping[str, Follower]  # by the stage that makes what they read

    @property
    def following(self) -> frozenset[str]:
        """Stages that follow others."""
        return frozenset(follower.stage.name for follower in self.followers.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFinder:
    """Finds homes for the regions of a network."""

    network: Network
    pitches: Mapping[str, int]  # of regions that stay
    strip_pitches: Mapping[str, int]  # of a stage's source strips
    chunk_passes: Mapping[str, int]  # passes of an EXEC, by stage
    configuration: EngineConfiguration
    ddr: DdrModel

    def find(self) -> Homes:
        """Spill the largest regions, idle ones first, until all stages find room, or CapacityError."""
        spilled: frozenset[str] = frozenset()
        apart: frozenset[str] = frozenset()  # stages that found no room together with their followers
        while True:
            followers = self._followers(spilled, apart)
            resident = resident_buffers(
                self.network, self.pitches, spilled, self.configuration, together=frozenset(followers)
            )
            if isinstance(resident, Item):
                spilled |= {self._victim(self._crowded_stage(resident.life, spilled), spilled)}
                continue
            strips = self._strips(resident, followers)
            if isinstance(strips, dict):
                by_name = {follower.maker.name: follower for follower in followers.values()}
                return Homes(resident=resident, strips=strips, followers=by_name)
            if strips.name not in apart and any(f.maker is strips for f in followers.values()):
                apart |= {strips.name}
            else:
                spilled |= {self._victim(strips, spilled)}

    def _followers(self, spilled: frozenset[str], apart: frozenset[str]) -> dict[int, Follower]:
        """Stages that take strips of spilled maps as they are made, by index of the stage that makes them."""
        found: dict[int, Follower] = {}
        for index, stage in enumerate(self.network.stages):
            if stage.output.region.name in spilled and stage.name not in apart and index - 1 not in found:
                follower = follower_of(self.network, index)
                if follower is not None:
                    found[index] = follower
        return found

    def find_without_spilling(self) -> Homes | None:
        """Homes with every region in the scratchpad, input and output apart if they fit so; or None."""
        for apart in (True, False):
            resident = resident_buffers(
                self.network, self.pitches, frozenset(), self.configuration, ends_apart=apart
            )
            if not isinstance(resident, Item):
                return Homes(resident=resident, strips={}, followers={})
        return None

    def _strips(
        self, resident: Mapping[str, Buffer], followers: Mapping[int, Follower]
    ) -> dict[str, Strips] | Stage:
        """Strips of every stage that streams; or the first stage that finds no room for them."""
        found: dict[str, Strips] = {}
        together = frozenset(followers)
        for index, stage in enumerate(self.network.stages):
            follower = followers.get(index)
            streamed = streamed_roles(stage, resident, follower)
            if streamed and stage.name not in found:
                strips = self._miner(stage, streamed, follower).best(self._gaps(index, resident, together))
                if strips is None:
                    return stage
                found[stage.name] = strips
                if follower is not None:
                    found[follower.stage.name] = strips.of_follower()
        return found

    def _miner(
        self, stage: Stage, streamed: frozenset[MapRole], follower: Follower | None = None
    ) -> StripMiner:
        pitch = 0 if follower is None else self.strip_pitches[follower.stage.name]
        return StripMiner(
            stage=stage,
            streamed=streamed,
            source_pitch=self.strip_pitches[stage.name],
            follower=follower,
            follower_pitch=pitch,
            is_stored=follower is None or self._is_read_by_others(follower),
            chunk_passes=self.chunk_passes[stage.name],
            configuration=self.configuration,
            ddr=self.ddr,
        )

    def _is_read_by_others(self, follower: Follower) -> bool:
        """Whether what a follower reads is an output, or another stage reads it as well."""
        region = follower.maker.output.region
        readers = [stage for stage in self.network.stages if region in {m.region for m in stage.sources}]
        return len(readers) > 1 or region in {output.region for output in self.network.outputs}

    def _gaps(self, index: int, resident: Mapping[str, Buffer], together: frozenset[int]) -> tuple[Span, ...]:
        """Free lines during a stage."""
        gaps, line = [], 0
        alive = self._alive(index, together)
        taken = (resident[region.name] for region in alive if region.name in resident)
        for buffer in sorted(taken, key=lambda buffer: buffer.line):
            gaps.append((line, buffer.line))
            line = buffer.line + buffer.lines
        return *gaps, (line, self.configuration.bank_lines)

    def _alive(self, index: int, together: frozenset[int] = frozenset()) -> list[Region]:
        lives = lifetimes(self.network, together).items()
        return [region for region, (first, end) in lives if first <= index < end]

    def _lines(self, region: Region) -> int:
        return region.lines(self.pitches[region.name], self.configuration.banks)

    def _crowded_stage(self, life: Span, spilled: frozenset[str]) -> Stage:
        """The stage within `life` whose regions take the most lines."""

        def lines(index: int) -> int:
            return sum(self._lines(region) for region in self._alive(index) if region.name not in spilled)

        return self.network.stages[max(range(*life), key=lines)]

    def _victim(self, stage: Stage, spilled: frozenset[str]) -> str:
        """The region to spill so that a stage fits; CapacityError when none is left."""
        alive = self._alive(self.network.stages.index(stage))
        own = {m.region for m in stage.maps}
        candidates = [region for region in alive if region.name not in spilled]
        if not candidates:
            raise self._too_small(stage)
        return max(candidates, key=lambda region: (region not in own, self._lines(region))).name

    def _too_small(self, first: Stage) -> BitlatheError:
        """The error for a stage of which no strip fits, and for all others of the kind."""
        present = self.configuration.bank_lines
        needs = {
            stage.name: self._miner(stage, streamed_roles(stage, {})).least_lines()
            for stage in self.network.stages
        }
        errors = [
            CapacityError(
                f"{stage.node}: a strip of one row takes {needs[stage.name]} scratchpad lines, there are "
                f"{present}; use smaller images, fewer channels or more bank_lines"
            )
            for stage in self.network.stages
            if stage is first or needs[stage.name] > present
        ]
        return together(errors, self.network.name)


def streamed_roles(
    stage: Stage, resident: Mapping[str, Buffer], follower: Follower | None = None
) -> frozenset[MapRole]:
    """The maps of a stage, and of its follower, that are not in the scratchpad as a whole."""
    maps = (
        (MapRole.SOURCE, stage.source),
        (MapRole.RESIDUAL, stage.residual),
        (MapRole.TARGET, stage.output),
        (MapRole.FOLLOWING, None if follower is None else follower.stage.output),
    )
    return frozenset(role for role, m in maps if m is not None and m.region.name not in resident)
