"""The integer graph: nodes in topological order, validated when made."""

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Shape


@dataclass(frozen=True, kw_only=True)
class Graph:
    """An integer network with one input and one output tensor.

    `nodes` are in topological order, the first one is the `Input`; `output` names the tensor of logits.
    Raises ShapeError or FormatError, naming the node, when the nodes do not fit each other.
    """

    name: str
    nodes: tuple[Node, ...]
    output: str

    def __post_init__(self) -> None:
        _check_order(self)
        for node in self.nodes:
            _check_formats(self, node)

    @cached_property
    def by_name(self) -> MappingProxyType[str, Node]:
        """Node of each tensor."""
        return MappingProxyType({node.name: node for node in self.nodes})

    @cached_property
    def shapes(self) -> MappingProxyType[str, Shape]:
        """(channels, height, width) of each tensor."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            shapes[node.name] = node.output_shape(tuple(shapes[source] for source in node.sources))
        return MappingProxyType(shapes)

    @property
    def input(self) -> Input:
        node = self.nodes[0]
        assert isinstance(node, Input)
        return node

    def format_of(self, tensor: str) -> FixedPoint:
        """Fixed-point format of a tensor."""
        return self.by_name[tensor].format

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """Nodes that read a tensor."""
        return tuple(node for node in self.nodes if tensor in node.sources)

    def convolution(self, node: Conv2d | Dense | AvgPool2d) -> Conv2d:
        """A weighted node in the one form that hardware computes."""
        return node if isinstance(node, Conv2d) else node.as_convolution(self.shapes[node.source])


def shifts(graph: Graph, conv: Conv2d) -> tuple[int, ...]:
    """Requantize shift n = frac_x + frac_w - frac_y of each output channel."""
    base = graph.format_of(conv.source).frac - conv.format.frac
    return tuple(base + frac for frac in conv.weight_frac)


def residual_shifts(graph: Graph, conv: Conv2d) -> tuple[int, ...]:
    """Left shift frac_x + frac_w - frac_r of the residual for each output channel."""
    assert conv.residual is not None
    base = graph.format_of(conv.source).frac - graph.format_of(conv.residual).frac
    return tuple(base + frac for frac in conv.weight_frac)


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node (padding included; pools count none)."""
    if not isinstance(node, Conv2d | Dense):
        return 0
    _, height, width = graph.shapes[node.name]
    return int(node.weight.size) * height * width


def _check_order(graph: Graph) -> None:
    seen: set[str] = set()
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Input) != (position == 0):
            raise FormatError(f"{graph.name}: node {node.name} at position {position}: exactly the first node must be the Input")
        missing = [source for source in node.sources if source not in seen]
        if missing or node.name in seen:
            raise FormatError(f"{graph.name}: node {node.name} is a duplicate or reads {missing} before it is made; order the nodes")
        seen.add(node.name)
    if graph.output not in seen:
        raise FormatError(f"{graph.name}: output {graph.output} is no node of the graph")


def _check_formats(graph: Graph, node: Node) -> None:
    formats = [graph.format_of(source) for source in node.sources]
    if isinstance(node, MaxPool2d | Concat) and any(f != node.format for f in formats):
        raise FormatError(f"{node.name}: {type(node).__name__} needs one format throughout, got {formats} and {node.format}")
    if isinstance(node, Conv2d | Dense):
        _check_weights(node)
    if isinstance(node, Conv2d | Dense | AvgPool2d):
        _check_shifts(graph, graph.convolution(node))


def _check_weights(node: Conv2d | Dense) -> None:
    channels = node.weight.shape[0]
    if node.bias.shape != (channels,) or len(node.weight_frac) != channels:
        raise ShapeError(
            f"{node.name}: {channels} output channels, but bias {node.bias.shape} and {len(node.weight_frac)} weight fracs"
        )
    if not node.format.lo <= node.lo <= node.hi <= node.format.hi:
        raise FormatError(f"{node.name}: clamp [{node.lo}, {node.hi}] leaves the output codes of {node.format}")
    limit = (1 << (node.weight_bits - 1)) - 1
    if abs(node.weight.astype(int)).max(initial=0) > limit:
        raise FormatError(f"{node.name}: a weight exceeds +-{limit}, the symmetric range of {node.weight_bits} bits")


def _check_shifts(graph: Graph, conv: Conv2d) -> None:
    if min(shifts(graph, conv)) < 0:
        raise FormatError(
            f"{conv.name}: output frac {conv.format.frac} exceeds the accumulator's; choose a smaller output frac"
        )
    if conv.residual is not None and min(residual_shifts(graph, conv)) < 0:
        raise FormatError(f"{conv.name}: residual {conv.residual} has more fraction bits than the accumulator; lower its frac")
