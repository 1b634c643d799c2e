"""From the integer graph to layers over tiled maps.

Concatenation costs nothing: its operands are tile ranges of one region. A tensor that cannot be such a range
(the graph's input, or an operand of two concatenations) is copied by a 1x1 max pool; a residual whose
channels are in other lanes than those of its sum is moved by a 1x1 convolution with weights of 1. Both are
exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bitlathe.hls.compile.fold import fold_of, folded_convolution, folded_layout, packed_tensors
from bitlathe.hls.compile.layout import (
    InputLayout,
    OutputLayout,
    Slots,
    joined_slots,
    natural_slots,
    padded_slots,
)
from bitlathe.hls.compile.limits import check_graph, effective_stride
from bitlathe.hls.compile.network import Layer, LayerKind, Map, Network, Parameters, Region
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph, residual_shifts, shifts
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    Input,
    IntWeights,
    MaxPool2d,
    Node,
    Pair,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MappedTensor:
    slots: Slots
    height: int
    width: int
    format: FixedPoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Operation:
    """A layer whose maps are still names."""

    name: str
    node: str
    kind: LayerKind
    source: str
    residual: str | None = None
    parameters: Parameters | None = None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    tap_step: int = 1
    lo: int
    hi: int


@dataclass(slots=True, kw_only=True)
class _Lowering:
    graph: Graph
    configuration: EngineConfiguration
    input_layout: InputLayout
    tensors: dict[str, _MappedTensor] = field(default_factory=dict)
    operations: list[_Operation] = field(default_factory=list)
    packed: frozenset[str] = frozenset()  # tensors whose 4-bit codes are stored two to a byte
    parents: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # operand -> concatenation, first tile in it

    def add(self, operation: _Operation, tensor: _MappedTensor) -> str:
        self.operations.append(operation)
        self.tensors[operation.name] = tensor
        return operation.name

    def halves(self, tensor: str) -> int:
        return 2 if tensor in self.packed else 1

    def lanes(self, tensor: str) -> int:
        """Channels of a tile."""
        return self.halves(tensor) * self.configuration.pi

    def tiles(self, tensor: str) -> int:
        return len(self.tensors[tensor].slots) // self.lanes(tensor)


def lower(graph: Graph, configuration: EngineConfiguration) -> Network:
    """Layers of `graph` for the engine; UnsupportedLayer or CapacityError names what it cannot hold."""
    check_graph(graph)
    nodes = graph.needed
    lowering = _Lowering(
        graph=graph,
        configuration=configuration,
        input_layout=_input_layout(graph, nodes, configuration),
        packed=packed_tensors(graph, nodes, configuration),
    )
    for node in nodes:
        _lower_node(lowering, node)
    image, made = graph.input.name, [output.tensor for output in graph.outputs]
    if image in made:
        made = [_copy(lowering, image, f"{image}[copy]", image)]  # a graph of several outputs has no such one
    return _network(lowering, made)


def _input_layout(graph: Graph, nodes: tuple[Node, ...], configuration: EngineConfiguration) -> InputLayout:
    channels, height, width = graph.input.shape
    consumers = tuple(node for node in nodes if graph.input.name in node.sources)
    fold = fold_of(graph, consumers, configuration)
    if fold > 1:
        conv = consumers[0]
        assert isinstance(conv, Conv2d | Dense)
        return folded_layout(graph, graph.convolution(conv), fold, configuration.pi)
    return InputLayout(
        channels=channels, height=height, width=width, packed_width=width, word_bytes=configuration.pi
    )


def _lower_node(lowering: _Lowering, node: Node) -> None:
    if isinstance(node, Input):
        layout = lowering.input_layout
        slots = natural_slots(layout.lanes, layout.word_bytes)
        lowering.tensors[node.name] = _MappedTensor(
            slots=slots, height=layout.height, width=layout.packed_width, format=node.format
        )
    elif isinstance(node, Conv2d | Dense | AvgPool2d):
        _lower_convolution(lowering, lowering.graph.convolution(node))
    elif isinstance(node, MaxPool2d):
        _lower_max_pool(lowering, node)
    else:
        assert isinstance(node, Concat)  # check_graph lets no other class through
        _lower_concat(lowering, node)


def _lower_max_pool(lowering: _Lowering, node: MaxPool2d) -> None:
    pool = _Operation(
        name=node.name,
        node=node.name,
        kind=LayerKind.MAX,
        source=node.source,
        kernel=node.kernel_size,
        stride=effective_stride(lowering.graph, node),
        padding=node.padding,
        lo=node.format.lo,
        hi=node.format.hi,
    )
    lowering.add(pool, _output(lowering, node, lowering.tensors[node.source].slots))


def _output(lowering: _Lowering, node: Node, slots: Slots) -> _MappedTensor:
    _, height, width = lowering.graph.shapes[node.name]
    padded = padded_slots(slots, lowering.lanes(node.name))
    return _MappedTensor(slots=padded, height=height, width=width, format=node.format)


def _lower_convolution(lowering: _Lowering, conv: Conv2d) -> None:
    parameters = _parameters(lowering.graph, conv)
    fold = lowering.input_layout.fold if conv.source == lowering.graph.input.name else 1
    if fold > 1:
        conv = folded_convolution(conv, fold)
        parameters = replace(parameters, weight=conv.weight)
    kind, slots, residual = _lanes(lowering, conv)
    operation = _Operation(
        name=conv.name,
        node=conv.name,
        kind=kind,
        source=conv.source,
        residual=residual,
        parameters=parameters,
        kernel=conv.kernel_size,
        stride=effective_stride(lowering.graph, conv),
        padding=conv.padding,
        tap_step=fold if conv.kernel_size[1] > 1 else 1,  # a lone tap takes no step
        lo=conv.lo,
        hi=conv.hi,
    )
    lowering.add(operation, _output(lowering, conv, slots))


def _lanes(lowering: _Lowering, conv: Conv2d) -> tuple[LayerKind, Slots, str | None]:
    """Kind, output slots and residual of a convolution: a dense one takes over its residual's slots."""
    source = lowering.tensors[conv.source].slots
    if not _is_by_channel(conv):
        slots = natural_slots(conv.out_channels, lowering.lanes(conv.name))
        return (
            LayerKind.DENSE,
            slots if conv.residual is None else lowering.tensors[conv.residual].slots,
            conv.residual,
        )
    residual = conv.residual
    if residual is not None and lowering.tensors[residual].slots != source:
        residual = _repack(lowering, residual, source, conv.name)
    return LayerKind.DEPTHWISE, source, residual


def _is_by_channel(conv: Conv2d) -> bool:
    return conv.is_depthwise and conv.out_channels == conv.groups


def _parameters(graph: Graph, conv: Conv2d) -> Parameters:
    none = (0,) * conv.out_channels
    return Parameters(
        weight=_dense_weight(conv) if conv.is_depthwise and not _is_by_channel(conv) else conv.weight,
        bias=conv.bias.astype(np.int64),
        shifts=shifts(graph, conv),
        residual_shifts=none if conv.residual is None else residual_shifts(graph, conv),
        half_even=conv.rounding is RoundingMode.HALF_EVEN,
    )


def _dense_weight(conv: Conv2d) -> IntWeights:
    """Weights of a depthwise convolution with several outputs a channel, the other channels zero."""
    per_channel = conv.out_channels // conv.groups
    weight = np.zeros((conv.out_channels, conv.groups, *conv.kernel_size), conv.weight.dtype)
    outputs = np.arange(conv.out_channels)
    weight[outputs, outputs // per_channel] = conv.weight[:, 0]
    return weight


def _lower_concat(lowering: _Lowering, node: Concat) -> None:
    first, parts = 0, []
    for index, operand in enumerate(node.operands):
        if operand == lowering.graph.input.name or operand in lowering.parents:
            operand = _copy(lowering, operand, f"{node.name}[{index}]", node.name)
        lowering.parents[operand] = (node.name, first)
        parts.append(lowering.tensors[operand].slots)
        first += lowering.tiles(operand)
    lowering.tensors[node.name] = _output(lowering, node, joined_slots(tuple(parts)))


def _copy(lowering: _Lowering, tensor: str, name: str, node: str) -> str:
    """Name of an exact copy of a tensor, made for `node`."""
    original = lowering.tensors[tensor]
    lo, hi = original.format.lo, original.format.hi
    return lowering.add(
        _Operation(name=name, node=node, kind=LayerKind.MAX, source=tensor, lo=lo, hi=hi), original
    )


def _repack(lowering: _Lowering, tensor: str, slots: Slots, node: str) -> str:
    """Name of a copy of a tensor with its channels in other lanes, made for `node`."""
    original = lowering.tensors[tensor]
    channels = sum(slot >= 0 for slot in slots)
    zeros = (0,) * channels
    parameters = Parameters(
        weight=np.eye(channels, dtype=np.int16).reshape(channels, channels, 1, 1),
        bias=np.zeros(channels, np.int64),
        shifts=zeros,
        residual_shifts=zeros,
    )
    repack = _Operation(
        name=f"{node}[residual]",
        node=node,
        kind=LayerKind.DENSE,
        source=tensor,
        parameters=parameters,
        lo=original.format.lo,
        hi=original.format.hi,
    )
    moved = _MappedTensor(slots=slots, height=original.height, width=original.width, format=original.format)
    return lowering.add(repack, moved)


def _network(lowering: _Lowering, made: Sequence[str]) -> Network:
    maps = {name: _map(lowering, name) for name in lowering.tensors}
    layouts = _output_layouts(lowering, tuple(dict.fromkeys(made)))
    return Network(
        name=lowering.graph.name,
        layers=tuple(_layers(lowering, maps)),
        input=maps[lowering.graph.input.name],
        outputs=tuple(maps[name] for name in layouts),
        input_layout=lowering.input_layout,
        output_layouts=tuple(layouts[name] for name in made),
    )


def _output_layouts(lowering: _Lowering, made: tuple[str, ...]) -> dict[str, OutputLayout]:
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


def _map(lowering: _Lowering, name: str) -> Map:
    root, first_tile = name, 0
    while root in lowering.parents:
        root, offset = lowering.parents[root]
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


def _layers(lowering: _Lowering, maps: dict[str, Map]) -> Iterator[Layer]:
    for operation in lowering.operations:
        yield Layer(
            name=operation.name,
            node=operation.node,
            kind=operation.kind,
            source=maps[operation.source],
            output=maps[operation.name],
            residual=None if operation.residual is None else maps[operation.residual],
            parameters=operation.parameters,
            kernel=operation.kernel,
            stride=operation.stride,
            padding=operation.padding,
            tap_step=operation.tap_step,
            lo=operation.lo,
            hi=operation.hi,
        )
