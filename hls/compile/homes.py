"""Which regions stay in the scratchpad as a whole, and which lie in DDR and pass through it in strips."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.hls.compile.allocate import Item, Span, lifetimes, resident_buffers
from bitlathe.hls.compile.memory import Buffer
from bitlathe.hls.compile.network import Layer, Network, Region
from bitlathe.hls.compile.strips import Role, StripMiner, Strips
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import DdrModel
from bitlathe.model.graph.errors import CapacityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Where the regions lie, and how the layers that stream are cut."""

    resident: Mapping[str, Buffer]  # by region
    strips: Mapping[str, Strips]  # by layer


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFinder:
    """Finds homes for the regions of a network."""

    network: Network
    pitches: Mapping[str, int]  # of regions that stay
    strip_pitches: Mapping[str, int]  # of a layer's source strips
    chunk_passes: Mapping[str, int]  # passes of an EXEC, by layer
    configuration: EngineConfiguration
    ddr: DdrModel

    def find(self) -> Homes:
        """Spill the largest regions, idle ones first, until all layers find room, or CapacityError."""
        spilled: frozenset[str] = frozenset()
        while True:
            resident = resident_buffers(self.network, self.pitches, spilled, self.configuration)
            if isinstance(resident, Item):
                spilled |= {self._victim(self._crowded_layer(resident.life, spilled), spilled)}
                continue
            strips = self._strips(resident)
            if isinstance(strips, dict):
                return Homes(resident=resident, strips=strips)
            spilled |= {self._victim(strips, spilled)}

    def find_without_spilling(self) -> Homes | None:
        """Homes with every region in the scratchpad, input and output apart if they fit so; or None."""
        for apart in (True, False):
            resident = resident_buffers(
                self.network, self.pitches, frozenset(), self.configuration, ends_apart=apart
            )
            if not isinstance(resident, Item):
                return Homes(resident=resident, strips={})
        return None

    def _strips(self, resident: Mapping[str, Buffer]) -> dict[str, Strips] | Layer:
        """Strips of every layer that streams; or the first layer that finds no room for them."""
        found = {}
        for index, layer in enumerate(self.network.layers):
            streamed = streamed_roles(layer, resident)
            if streamed:
                strips = self._miner(layer, streamed).best(self._gaps(index, resident))
                if strips is None:
                    return layer
                found[layer.name] = strips
        return found

    def _miner(self, layer: Layer, streamed: frozenset[Role]) -> StripMiner:
        return StripMiner(
            layer=layer,
            streamed=streamed,
            source_pitch=self.strip_pitches[layer.name],
            chunk_passes=self.chunk_passes[layer.name],
            configuration=self.configuration,
            ddr=self.ddr,
        )

    def _gaps(self, index: int, resident: Mapping[str, Buffer]) -> tuple[Span, ...]:
        """Free lines during a layer."""
        gaps, line = [], 0
        taken = (resident[region.name] for region in self._alive(index) if region.name in resident)
        for buffer in sorted(taken, key=lambda buffer: buffer.line):
            gaps.append((line, buffer.line))
            line = buffer.line + buffer.lines
        return *gaps, (line, self.configuration.bank_lines)

    def _alive(self, index: int) -> list[Region]:
        return [region for region, (first, end) in lifetimes(self.network).items() if first <= index < end]

    def _lines(self, region: Region) -> int:
        return region.lines(self.pitches[region.name], self.configuration.banks)

    def _crowded_layer(self, life: Span, spilled: frozenset[str]) -> Layer:
        """The layer within `life` whose regions take the most lines."""

        def lines(index: int) -> int:
            return sum(self._lines(region) for region in self._alive(index) if region.name not in spilled)

        return self.network.layers[max(range(*life), key=lines)]

    def _victim(self, layer: Layer, spilled: frozenset[str]) -> str:
        """The region to spill for a layer's sake; CapacityError when none is left."""
        alive = self._alive(self.network.layers.index(layer))
        own = {m.region for m in layer.maps}
        candidates = [region for region in alive if region.name not in spilled]
        if not candidates:
            raise self._too_small(layer)
        return max(candidates, key=lambda region: (region not in own, self._lines(region))).name

    def _too_small(self, layer: Layer) -> CapacityError:
        needed = self._miner(layer, streamed_roles(layer, {})).least_lines()
        return CapacityError(
            f"{layer.node}: a strip of one row takes {needed} scratchpad lines, there are "
            f"{self.configuration.bank_lines}; use smaller images, fewer channels or more bank_lines"
        )


def streamed_roles(layer: Layer, resident: Mapping[str, Buffer]) -> frozenset[Role]:
    """The maps of a layer that do not lie in the scratchpad as a whole."""
    maps = ((Role.SOURCE, layer.source), (Role.RESIDUAL, layer.residual), (Role.TARGET, layer.output))
    return frozenset(role for role, m in maps if m is not None and m.region.name not in resident)
