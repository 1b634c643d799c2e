"""From the integer graph to layers over tiled maps.

Concatenation costs nothing: its operands are tile ranges of one region. A tensor that cannot be such a range
(the graph's input, or an operand of two concatenations) is copied by a 1x1 max pool; a residual whose
channels are in other lanes than those of its sum is moved by a 1x1 convolution with weights of 1. Both are
exact. A selection of channels costs nothing either: the same region under other slots. A table or a pixel
shuffle that alone reads a tensor is done by the layers that make it.
"""

from dataclasses import replace

import numpy as np

from bitlathe.hls.compile.behind import table_of
from bitlathe.hls.compile.convolutions import lower_parts
from bitlathe.hls.compile.copies import copied, repacked
from bitlathe.hls.compile.fold import fold_of, folded_layout, packed_tensors
from bitlathe.hls.compile.layout import InputLayout, joined_slots, natural_slots, selected_slots
from bitlathe.hls.compile.limits import check_graph
from bitlathe.hls.compile.lowering import Lowering, MappedTensor, Operation, behind_of, network_of
from bitlathe.hls.compile.network import LayerKind, Network, Parameters, Placement, Window
from bitlathe.hls.compile.shuffles import copies_phases, lower_shuffle, lower_unshuffle, shuffled_tiles
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.aliases import channels_of
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph, product_shift
from bitlathe.model.graph.nodes import Concat, Conv2d, Dense, Input, Node
from bitlathe.model.graph.resampling import PixelShuffle2d, PixelUnshuffle2d


def lower(graph: Graph, configuration: EngineConfiguration) -> Network:
    """Layers of `graph` for the engine; UnsupportedLayer or CapacityError names what it cannot hold."""
    check_graph(graph)
    nodes = graph.needed
    lowering = Lowering(
        graph=graph,
        configuration=configuration,
        input_layout=_input_layout(graph, nodes, configuration),
        packed=packed_tensors(graph, nodes, configuration),
    )
    for node in nodes:
        if node.name not in lowering.done:
            _lower_node(lowering, node)
    return network_of(lowering, [_output_of(lowering, output.tensor) for output in graph.outputs])


def _output_of(lowering: Lowering, tensor: str) -> str:
    """A tensor, or the copy of it that has tiles of its own."""
    if tensor != lowering.graph.input.name and tensor not in lowering.aliases:
        return tensor
    name = f"{tensor}[copy]"
    return name if name in lowering.tensors else copied(lowering, tensor, name, tensor)


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


def _lower_node(lowering: Lowering, node: Node) -> None:
    if isinstance(node, Input):
        layout = lowering.input_layout
        slots = natural_slots(layout.lanes, layout.word_bytes)
        lowering.tensors[node.name] = MappedTensor(
            slots=slots, height=layout.height, width=layout.packed_width, format=node.format
        )
    elif isinstance(node, Concat):
        _lower_concat(lowering, node)
    elif (channels := channels_of(lowering.graph, node)) is not None:
        _lower_alias(lowering, node, channels)
    elif isinstance(node, Lookup):
        _lower_lookup(lowering, node)
    elif isinstance(node, Product):
        _lower_product(lowering, node)
    elif isinstance(node, PixelShuffle2d) and (phases := shuffled_tiles(lowering, node)) is not None:
        lower_shuffle(lowering, node, phases)
    elif isinstance(node, PixelUnshuffle2d) and copies_phases(lowering, node):
        lower_unshuffle(lowering, node)
    else:
        lower_parts(lowering, node)


def _lower_alias(lowering: Lowering, node: Node, channels: tuple[int, ...]) -> None:
    (name,) = node.sources
    source = lowering.tensors[name]
    first, slots = selected_slots(source.slots, lowering.lanes(name), channels)
    lowering.aliases[node.name] = name, first
    lowering.tensors[node.name] = replace(source, slots=slots, format=node.format)


def _lower_lookup(lowering: Lowering, node: Lookup) -> None:
    source = lowering.tensors[node.source]
    behind = behind_of(lowering, node).preceded_by(table_of(lowering.graph, node))
    copy = Operation(
        name=node.name,
        node=node.name,
        kind=LayerKind.MAX,
        source=node.source,
        windows=(Window(placed=Placement(size=(source.height, source.width))),),
        tile_step=1,
        lo=source.format.lo,
        hi=source.format.hi,
    )
    lowering.add(copy, behind, source.slots)


def _lower_product(lowering: Lowering, node: Product) -> None:
    """A product has its factor's channels in the lanes of its source's."""
    source = lowering.tensors[node.source]
    factor = node.factor
    if lowering.tensors[factor].slots != source.slots:
        factor = repacked(lowering, factor, source.slots, node.name)
    channels, *size = lowering.graph.shapes[node.name]
    zeros = (0,) * channels
    parameters = Parameters(
        weight=np.zeros((channels, 1, 1, 1), np.int8),
        bias=np.zeros(channels, np.int64),
        shifts=(product_shift(lowering.graph, node),) * channels,
        residual_shifts=zeros,
        half_even=node.rounding is RoundingMode.HALF_EVEN,
    )
    product = Operation(
        name=node.name,
        node=node.name,
        kind=LayerKind.PRODUCT,
        source=node.source,
        residual=factor,
        windows=(Window(placed=Placement(size=(size[0], size[1])), parameters=parameters),),
        tile_step=1,
        lo=node.lo,
        hi=node.hi,
    )
    lowering.add(product, behind_of(lowering, node), source.slots)


def _lower_concat(lowering: Lowering, node: Concat) -> None:
    first, parts = 0, []
    for index, operand in enumerate(node.operands):
        taken = (lowering.graph.input.name, *lowering.parents, *lowering.aliases)
        if operand in taken:
            operand = copied(lowering, operand, f"{node.name}[{index}]", node.name)
        lowering.parents[operand] = (node.name, first)
        parts.append(lowering.tensors[operand].slots)
        first += lowering.tiles(operand)
    _, height, width = lowering.graph.shapes[node.name]
    lowering.tensors[node.name] = MappedTensor(
        slots=joined_slots(tuple(parts)), height=height, width=width, format=node.format
    )
