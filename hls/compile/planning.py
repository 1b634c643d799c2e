"""Making a plan: pitches, homes of maps, strips, chunks of weights."""

from collections.abc import Mapping

from bitlathe.hls.compile.allocate import Item, resident_buffers
from bitlathe.hls.compile.groups import best_grouping, layer_cycles, passes, sub_tiles
from bitlathe.hls.compile.memory import Buffer, Memory
from bitlathe.hls.compile.network import Layer, Network, Region
from bitlathe.hls.compile.plan import LayerPlan, Place, Plan
from bitlathe.hls.compile.weights import WeightImage
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.program import Space
from bitlathe.model.graph.errors import CapacityError


def best_pitch(region: Region, readers: tuple[Layer, ...], configuration: EngineConfiguration) -> int:
    """Smallest pitch at which the layers that read a region take the fewest cycles."""
    pitches = range(region.width, region.width + configuration.banks)
    return min(pitches, key=lambda pitch: sum(layer_cycles(layer, pitch, configuration) for layer in readers))


def make_plan(network: Network, image: WeightImage, configuration: EngineConfiguration) -> Plan:
    pitches = {
        region.name: best_pitch(
            region, tuple(layer for layer in network.layers if layer.source.region == region), configuration
        )
        for region in network.regions
    }
    resident = resident_buffers(network, pitches, frozenset(), configuration)
    if isinstance(resident, Item):
        raise CapacityError(f"{resident.name}: no room")
    return Plan(
        network=network,
        configuration=configuration,
        layers=tuple(_layer_plan(layer, resident, configuration) for layer in network.layers),
        resident=resident,
        offchip=_offchip(network),
        scratch_bytes=0,
        weights_stay=image.lines <= configuration.weight_lines,
    )


def _layer_plan(
    layer: Layer, resident: Mapping[str, Buffer], configuration: EngineConfiguration
) -> LayerPlan:
    def place(region: Region) -> Place:
        return Place(buffers=(resident[region.name],), is_whole=True)

    return LayerPlan(
        layer=layer,
        grouping=best_grouping(layer, resident[layer.source.region.name].pitch, configuration),
        sub_tiles=sub_tiles(layer, configuration),
        strip_rows=layer.output.height,
        chunk_passes=passes(layer, configuration),
        chunks_outside=False,
        source=place(layer.source.region),
        residual=None if layer.residual is None else place(layer.residual.region),
        target=place(layer.output.region),
    )


def _offchip(network: Network) -> dict[str, Buffer]:
    ends = ((network.input.region, Space.INPUT), (network.output.region, Space.OUTPUT))
    return {region.name: _home(region, space, 0) for region, space in ends}


def _home(region: Region, space: Space, line: int) -> Buffer:
    plane = region.height * region.width
    return Buffer(
        name=region.name,
        memory=Memory.DDR,
        line=line,
        lines=region.tiles * plane,
        pitch=region.width,
        plane=plane,
        space=space,
    )
