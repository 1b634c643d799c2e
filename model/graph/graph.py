"""The integer graph: nodes in topological order, validated on construction."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from bitlathe.model.graph.codebook import Codebook, index_shape
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.fixed_point import (
    MAX_BITS,
    MAX_SHIFT,
    MIN_BITS,
    FixedPoint,
    RoundingMode,
    weight_limit,
)
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Shape
from bitlathe.model.graph.parts import Part, parts_of
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LONGEST = 200  # of an output's name


class Output(NamedTuple):
    """An output of a network."""

    name: str  # by which the network's user knows it
    tensor: str


class ImageCodes(Enum):
    """How a pixel 0..255 becomes a code of the input."""

    OFFSET = "pixel - 128"
    PIXEL = "pixel"
    TABLE = "table"  # beside the graph's file


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """What is known of the images that a graph is for."""

    codes: ImageCodes
    normalization: str | None  # that the network was trained with

    def __str__(self) -> str:
        seen = "" if self.normalization is None else f", trained with {self.normalization}"
        return f"{self.codes.value}{seen}"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """An integer network with one input and one or several outputs.

    `name` consists of letters, digits and underscores, a letter first: it becomes part of paths and sources.
    `nodes` are in topological order, the first one is the `Input`; `output` names the tensor of logits, or
    lists several outputs, whose tensors may be read by other nodes too.
    Raises ShapeError or FormatError, naming the node, if the nodes do not fit each other.
    """

    name: str
    nodes: tuple[Node, ...]
    output: str | tuple[Output, ...]
    images: ImageEntry | None = None  # how they enter, where that is not as pixel - 128 or is not known

    def __post_init__(self) -> None:
        _check_name(self)
        _check_order(self)
        _check_outputs(self)
        assert self.shapes  # computed here, so that errors are found now
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

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """Every output in order; a network's only one has the name of its tensor."""
        return outputs_of(self.output)

    @property
    def output_tensors(self) -> tuple[str, ...]:
        """The tensors of the outputs, each once, in order."""
        return tuple(dict.fromkeys(output.tensor for output in self.outputs))

    @property
    def only_output(self) -> str:
        """The tensor of the one output; FormatError where there are several."""
        if not isinstance(self.output, str):
            names = ", ".join(output.name for output in self.output)
            raise FormatError(f"{self.name}: has outputs {names}, where one is needed; take one of them")
        return self.output

    def format_of(self, tensor: str) -> FixedPoint:
        """Fixed-point format of a tensor."""
        return self.by_name[tensor].format

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """Nodes that read a tensor."""
        return tuple(node for node in self.nodes if tensor in node.sources)

    @cached_property
    def needed(self) -> tuple[Node, ...]:
        """The input and the nodes that an output depends on, in order."""
        names = {*self.output_tensors, self.input.name}
        for node in reversed(self.nodes):
            if node.name in names:
                names.update(node.sources)
        return tuple(node for node in self.nodes if node.name in names)

    def convolution(self, node: Conv2d | Dense | AvgPool2d) -> Conv2d:
        """A weighted node in the one form that hardware computes."""
        return node if isinstance(node, Conv2d) else node.as_convolution(self.shapes[node.source])

    def parts(self, node: Node) -> tuple[Part, ...]:
        """A node as windows, as hardware computes it; () where it is none: an input, a table ..."""
        if not node.sources:
            return ()
        return parts_of(node, self.shapes[node.sources[0]])


def outputs_of(output: str | tuple[Output, ...]) -> tuple[Output, ...]:
    """The outputs that a network's field `output` states."""
    return (Output(output, output),) if isinstance(output, str) else output


def shifts(graph: Graph, conv: Conv2d) -> tuple[int, ...]:
    """Requantize shift n = frac_x + frac_w - frac_y of each output channel."""
    base = graph.format_of(conv.source).frac - conv.format.frac
    return tuple(base + frac for frac in conv.weight_frac)


def residual_shifts(graph: Graph, conv: Conv2d) -> tuple[int, ...]:
    """Left shift frac_x + frac_w - frac_r of the residual for each output channel."""
    assert conv.residual is not None
    base = graph.format_of(conv.source).frac - graph.format_of(conv.residual).frac
    return tuple(base + frac for frac in conv.weight_frac)


def product_shift(graph: Graph, node: Product) -> int:
    """Requantize shift n = frac_x + frac_f - frac_y of a product."""
    return graph.format_of(node.source).frac + graph.format_of(node.factor).frac - node.format.frac


COPYING_NODES = MaxPool2d | Concat | Upsample2d | PixelShuffle2d | PixelUnshuffle2d
ROUNDING_NODES = Conv2d | Dense | AvgPool2d | ConvTranspose2d | Interpolate2d | IntervalPool2d | Product


def is_copy(node: Node) -> bool:
    """Whether every output code is one of the source's: source and output have one format."""
    return isinstance(node, COPYING_NODES) or (isinstance(node, IntervalPool2d) and node.is_max)


def with_rounding(graph: Graph, modes: Mapping[str, RoundingMode]) -> Graph:
    """The graph in which the layers named, of weights or average pools, round halves so."""
    nodes = (
        replace(node, rounding=modes.get(node.name, node.rounding))
        if isinstance(node, ROUNDING_NODES)
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node, padding included; 0 for pools."""
    if not isinstance(node, Conv2d | Dense | ConvTranspose2d):
        return 0
    _, height, width = graph.shapes[node.source if isinstance(node, ConvTranspose2d) else node.name]
    return int(node.weight.size) * height * width


def _check_name(graph: Graph) -> None:
    if not _NAME.fullmatch(graph.name):
        raise FormatError(
            f"a graph is called {graph.name!r}; name it by letters, digits and underscores, a letter first"
        )


def _check_order(graph: Graph) -> None:
    seen: set[str] = set()
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Input) != (position == 0):
            raise FormatError(
                f"{graph.name}: node {node.name} at {position}: the first node, only, must be the Input"
            )
        missing = [source for source in node.sources if source not in seen]
        if missing or node.name in seen:
            raise FormatError(
                f"{graph.name}: node {node.name} is a duplicate or reads {missing} before it is made; "
                "order the nodes"
            )
        seen.add(node.name)


def _check_outputs(graph: Graph) -> None:
    for output in graph.outputs:
        if output.tensor not in graph.by_name:
            raise FormatError(f"{graph.name}: output {output.tensor} is not a node of the graph")
    if isinstance(graph.output, str):
        return
    names = [output.name for output in graph.output]
    if len(names) < 2 or len(set(names)) < len(names):
        raise FormatError(
            f"{graph.name}: lists outputs {names}; list several of different names, or give the one tensor"
        )
    for output in graph.output:
        if not 1 <= len(output.name) <= _LONGEST or not output.name.isprintable():
            raise FormatError(
                f"{graph.name}: an output is called {output.name!r}; name it by 1 to {_LONGEST} printable "
                "characters"
            )
        if output.tensor == graph.input.name:
            raise FormatError(
                f"{graph.name}: its output {output.name} is its input, which the host has; leave it out"
            )


def _check_formats(graph: Graph, node: Node) -> None:
    formats = [graph.format_of(source) for source in node.sources]
    if is_copy(node) and any(f != node.format for f in formats):
        raise FormatError(
            f"{node.name}: {type(node).__name__} needs one format throughout, got {formats} and {node.format}"
        )
    if isinstance(node, Conv2d | Dense | ConvTranspose2d):
        _check_clamp(node)
        _check_weights(node)
        _check_bias(node)
    if isinstance(node, Conv2d | Dense):
        _check_shifts(graph, graph.convolution(node))
    if isinstance(node, AvgPool2d):
        _check_multiplier(graph, node)
    if isinstance(node, ConvTranspose2d | Interpolate2d | IntervalPool2d) and not is_copy(node):
        convolutions = (part.node for part in graph.parts(node) if isinstance(part.node, Conv2d))
        _check_requantization(node, tuple(shift for conv in convolutions for shift in shifts(graph, conv)))
    if isinstance(node, Product):
        _check_clamp(node)
        _check_requantization(node, (product_shift(graph, node),))
    if isinstance(node, Lookup):
        _check_table(node, formats[0])


def _check_multiplier(graph: Graph, node: AvgPool2d) -> None:
    if not 1 <= node.multiplier <= weight_limit(node.WEIGHT_BITS):
        raise FormatError(
            f"{node.name}: multiplier {node.multiplier} is not a positive {node.WEIGHT_BITS}-bit weight; "
            "use average_multiplier"
        )
    shift = graph.format_of(node.source).frac + node.multiplier_frac - node.format.frac
    _check_requantization(node, (shift,))


def _check_clamp(node: Conv2d | Dense | ConvTranspose2d | Product) -> None:
    if not node.format.lo <= node.lo <= node.hi <= node.format.hi:
        raise FormatError(
            f"{node.name}: clamp [{node.lo}, {node.hi}] leaves the output codes of {node.format}"
        )


def _check_table(node: Lookup, source: FixedPoint) -> None:
    if source.bits > node.LARGEST_BITS:
        raise FormatError(
            f"{node.name}: a table of {node.source}'s {source.bits}-bit codes; quantize it to at most "
            f"{node.LARGEST_BITS} bits"
        )
    if len(node.codes) != 1 << source.bits:
        raise ShapeError(
            f"{node.name}: a table of {len(node.codes)} codes, {node.source} has {1 << source.bits}; give "
            "one for each"
        )
    if not node.format.lo <= min(node.codes) <= max(node.codes) <= node.format.hi:
        raise FormatError(
            f"{node.name}: its table holds {min(node.codes)} to {max(node.codes)}, beyond the output codes "
            f"of {node.format}"
        )


def _check_weights(node: Conv2d | Dense | ConvTranspose2d) -> None:
    if not np.issubdtype(node.weight.dtype, np.integer) or node.weight.size == 0:
        raise FormatError(
            f"{node.name}: weights are {node.weight.size} of {node.weight.dtype}; they must be integers"
        )
    if not MIN_BITS <= node.weight_bits <= MAX_BITS:
        raise FormatError(f"{node.name}: {node.weight_bits} weight bits; choose {MIN_BITS} to {MAX_BITS}")
    limit = weight_limit(node.weight_bits)
    if max(-int(node.weight.min()), int(node.weight.max())) > limit:
        raise FormatError(
            f"{node.name}: a weight exceeds +-{limit}, the symmetric range of {node.weight_bits} bits"
        )
    if isinstance(node, Conv2d | Dense) and node.codebook is not None:
        _check_codebook(node, node.codebook, limit)


def _check_codebook(node: Conv2d | Dense, codebook: Codebook, limit: int) -> None:
    shape = index_shape(node.weight.shape, codebook.length)
    if codebook.indices.shape != shape:
        raise ShapeError(
            f"{node.name}: codebook indices are {codebook.indices.shape}, weights {node.weight.shape} in "
            f"vectors of {codebook.length} take {shape}"
        )
    if np.abs(codebook.values.astype(np.int16)).max() > limit:
        raise FormatError(
            f"{node.name}: a codeword exceeds +-{limit}, the symmetric range of {node.weight_bits} bits"
        )
    if not np.array_equal(codebook.decode(node.weight.shape[1]), node.weight):
        raise FormatError(
            f"{node.name}: the weights are not what its codebook decodes to; decode it, or drop the codebook"
        )


def _check_bias(node: Conv2d | Dense | ConvTranspose2d) -> None:
    channels = node.weight.shape[0]
    if node.bias.shape != (channels,) or len(node.weight_frac) != channels:
        raise ShapeError(
            f"{node.name}: {channels} output channels, but bias {node.bias.shape} "
            f"and {len(node.weight_frac)} weight fracs; they must agree"
        )
    if not np.issubdtype(node.bias.dtype, np.integer) or (node.bias != node.bias.astype(np.int32)).any():
        raise FormatError(f"{node.name}: bias must be integers within int32; lower the weights' frac")


def _check_shifts(graph: Graph, conv: Conv2d) -> None:
    _check_requantization(conv, shifts(graph, conv))
    if conv.residual is not None:
        _check_residual(conv, residual_shifts(graph, conv))


def _check_requantization(node: Node, places: tuple[int, ...]) -> None:
    if min(places) < 0:
        raise FormatError(
            f"{node.name}: output frac {node.format.frac} exceeds the accumulator's; choose a smaller one"
        )
    if max(places) > MAX_SHIFT:
        raise FormatError(
            f"{node.name}: requantize shift {max(places)} exceeds {MAX_SHIFT}; "
            f"raise the output frac {node.format.frac}"
        )


def _check_residual(conv: Conv2d, places: tuple[int, ...]) -> None:
    if min(places) < 0:
        raise FormatError(
            f"{conv.name}: residual {conv.residual} has more fraction bits than the sum; lower its frac"
        )
    if max(places) > MAX_SHIFT:
        raise FormatError(
            f"{conv.name}: residual {conv.residual} is shifted by {max(places)}, beyond {MAX_SHIFT}; "
            "lower the weights' frac"
        )


class TensorReader(Protocol):
    """A node of an integer graph, or of a float network."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[str, ...]: ...


def dead_after(nodes: Iterable[TensorReader]) -> dict[str, tuple[str, ...]]:
    """Tensors not read after each node; one that is never read is dead right after its own node."""
    last_reader: dict[str, str] = {}
    for node in nodes:
        last_reader[node.name] = node.name
        last_reader.update(dict.fromkeys(node.sources, node.name))
    readers = set(last_reader.values())
    return {reader: tuple(t for t, last in last_reader.items() if last == reader) for reader in readers}
