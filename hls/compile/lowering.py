"""Layers in the making: operations whose maps are still names, and the network that they become."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bitlathe.hls.compile.behind import Behind, behind
from bitlathe.hls.compile.layout import InputLayout, OutputLayout, Slots, padded_slots
from bitlathe.hls.compile.memory import Span
from bitlathe.hls.compile.network import Layer, LayerKind, Map, Network, Region, Stage, Window
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Node
from bitlathe.model.graph.resampling import PixelShuffle2d

EXEC_CYCLES = 30  # that one more EXEC takes, about


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedTensor:
    """A tensor's lanes, size and format."""

    slots: Slots
    height: int
    width: int
    format: FixedPoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """A stage whose maps are still names."""

    name: str
    node: str
    kind: LayerKind
    source: str
    residual: str | None = None
    windows: tuple[Window, ...]
    ci_tiles: int = 1
    tile_step: int = 0
    source_tiles: Span | None = None  # that it reads; all of them for None
    output_tiles: Span | None = None  # that it writes
    lo: int
    hi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """An operation with the tensor that it writes."""

    operation: Operation
    output: str
    table: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Lowering:
    """What has become of the nodes so far."""

    graph: Graph
    configuration: EngineConfiguration
    input_layout: InputLayout
    packed: frozenset[str] = frozenset()  # tensors whose 4-bit codes are stored two to a byte
    tensors: dict[str, MappedTensor] = field(default_factory=dict)
    written: list[_Written] = field(default_factory=list)
    parents: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # operand -> concatenation, first tile in it
    aliases: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # selection -> tensor that it is a part of, first tile in it
    done: set[str] = field(default_factory=set)  # nodes that others do at once

    def add(self, operation: Operation, behind: Behind, slots: Slots) -> None:
        """An operation that writes the tensor behind it, or some tiles of it."""
        _, height, width = self.graph.shapes[behind.name]
        self.tensors[behind.name] = MappedTensor(
            slots=padded_slots(slots, self.lanes(behind.name)),
            height=height,
            width=width,
            format=behind.format,
        )
        self.written.append(_Written(operation=operation, output=behind.name, table=behind.table))
        self.done.update(behind.nodes)

    def add_copy(self, operation: Operation, slots: Slots, name: str) -> None:
        """An operation that writes a tensor of its source's size and format, or some tiles of it."""
        original = self.tensors[operation.source]
        self.written.append(_Written(operation=operation, output=name))
        self.tensors[name] = MappedTensor(
            slots=slots, height=original.height, width=original.width, format=original.format
        )

    def halves(self, tensor: str) -> int:
        """Words of a tile."""
        return 2 if tensor in self.packed else 1

    def lanes(self, tensor: str) -> int:
        """Channels of a tile."""
        return self.halves(tensor) * self.configuration.pi

    def tiles(self, tensor: str) -> int:
        """Channel tiles."""
        return len(self.tensors[tensor].slots) // self.lanes(tensor)


def behind_of(lowering: Lowering, node: Node) -> Behind:
    """What is made of a node at once."""
    return behind(lowering.graph, node, lambda shuffle: _takes_shuffle(lowering, node, shuffle))


def _takes_shuffle(lowering: Lowering, node: Node, shuffle: PixelShuffle2d) -> bool:
    """Whether a convolution that makes each pixel of a block by itself beats a step that puts them there."""
    if not isinstance(node, Conv2d) or node.groups > 1 or node.residual is not None:
        return False
    engine, area = lowering.configuration, shuffle.factor**2
    words = engine.pp * engine.sub_tiles
    a_pass = max(node.kernel_size[0] * node.kernel_size[1] * lowering.tiles(node.source), words)
    apart = area * -(-node.out_channels // (area * engine.po))
    together = -(-node.out_channels // engine.po)
    return apart * a_pass <= together * a_pass + apart * max(-(-node.out_channels // engine.pi), words)


def pool_of(node: Node, windows: tuple[Window, ...]) -> Operation:
    """A maximum of each channel."""
    limits = node.format
    return Operation(
        name=node.name,
        node=node.name,
        kind=LayerKind.MAX,
        source=node.sources[0],
        windows=windows,
        tile_step=1,
        lo=limits.lo,
        hi=limits.hi,
    )


def network_of(lowering: Lowering, made: Sequence[str]) -> Network:
    """The network of all operations, whose outputs are the tensors `made`."""
    maps = {name: _map(lowering, name) for name in lowering.tensors}
    layouts = _output_layouts(lowering, tuple(dict.fromkeys(made)))
    return Network(
        name=lowering.graph.name,
        stages=tuple(Stage(layers=tuple(_layers(written, maps))) for written in lowering.written),
        input=maps[lowering.graph.input.name],
        outputs=tuple(maps[name] for name in layouts),
        input_layout=lowering.input_layout,
        output_layouts=tuple(layouts[name] for name in made),
    )


def _output_layouts(lowering: Lowering, made: tuple[str, ...]) -> dict[str, OutputLayout]:
    """Layouts of different tensors, which follow one another."""
    layouts: dict[str, OutputLayout] = {}
    offset = 0
    for name in made:
        tensor = lowering.tensors[name]
        layouts[name] = OutputLayout(
            slots=tensor.slots,
            height=tensor.height,
            width=tensor.width,
            signed=tensor.format.signed,
            word_bytes=lowering.configuration.pi,
            offset=offset,
        )
        offset += layouts[name].bytes
    return layouts


def _map(lowering: Lowering, name: str) -> Map:
    root, first_tile = name, 0
    while (place := lowering.parents.get(root) or lowering.aliases.get(root)) is not None:
        root, offset = place
        first_tile += offset
    whole, tensor = lowering.tensors[root], lowering.tensors[name]
    return Map(
        name=name,
        region=Region(name=root, tiles=lowering.tiles(root), height=whole.height, width=whole.width),
        first_tile=first_tile,
        slots=tensor.slots,
        tiles=lowering.tiles(name),
        signed=tensor.format.signed,
        halves=lowering.halves(name),
    )


def _layers(written: _Written, maps: dict[str, Map]) -> Iterator[Layer]:
    operation = written.operation
    residual = None if operation.residual is None else maps[operation.residual]
    weights = list(dict.fromkeys(id(window.parameters) for window in operation.windows))
    for number, window in enumerate(operation.windows):
        shared = weights.index(id(window.parameters))
        yield Layer(
            name=operation.name if number == 0 else f"{operation.name}/{number}",
            node=operation.node,
            kind=operation.kind,
            source=maps[operation.source].part(operation.source_tiles),
            output=maps[written.output].part(operation.output_tiles),
            residual=None if residual is None else residual.part(operation.output_tiles),
            window=window,
            weights=operation.name if shared == 0 else f"{operation.name}/{shared}",
            ci_tiles=operation.ci_tiles,
            tile_step=operation.tile_step,
            lo=operation.lo,
            hi=operation.hi,
            table=written.table,
        )
