"""Which regions lie in the scratchpad as a whole, and where."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.hls.compile.memory import Buffer, Memory
from bitlathe.hls.compile.network import Network, Region, plane_lines
from bitlathe.hls.config import EngineConfiguration

Span = tuple[int, int]  # first, end


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Lines wanted during a span of layers."""

    name: str
    lines: int
    life: Span  # layers


def lifetimes(network: Network) -> dict[Region, Span]:
    """Layers (first, end) during which each region is in use."""
    lives: dict[Region, Span] = {}
    for index, layer in enumerate(network.layers):
        for region in (m.region for m in layer.maps):
            lives[region] = (lives.get(region, (index, index))[0], index + 1)
    return lives


def region_buffer(region: Region, line: int, pitch: int, banks: int) -> Buffer:
    """A whole region in the scratchpad from `line` on."""
    plane = plane_lines(region.height, region.width, pitch, banks)
    return Buffer(
        name=region.name,
        memory=Memory.SCRATCHPAD,
        line=line,
        lines=region.tiles * plane,
        pitch=pitch,
        plane=plane,
    )


def pack(items: tuple[Item, ...], capacity: int) -> dict[str, int] | Item:
    """First line of each item, items alive together apart; or the first item that found no room."""
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
) -> dict[str, Buffer] | Item:
    """Buffers of all regions but the spilled ones, by name; or the region that finds no room.

    With `ends_apart` the network's input and output share their lines with no other region, so that the next
    input can come, and the output leave, under the other layers.
    """
    always = (0, len(network.layers))
    ends = {network.input.region, network.output.region} if ends_apart else set()
    regions = {
        region.name: (region, always if region in ends else life)
        for region, life in lifetimes(network).items()
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
