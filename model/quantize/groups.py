"""Groups of tensors that must share one fixed-point format, and what is known of them without images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatInput,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatLookup,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatProduct,
    FloatUpsample2d,
)
from bitlathe.model.graph.elementwise import Lookup
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.quantize.config import FLOAT_BITS, QuantizeConfig
from bitlathe.model.quantize.weight_formats import WeightedNode

INPUT_BITS = 8  # a pixel
TABLE_BITS = Lookup.LARGEST_BITS  # at most, of codes that a table or a product takes

_MOVES = (FloatMaxPool2d, FloatConcat, FloatUpsample2d, FloatPixelShuffle2d, FloatPixelUnshuffle2d)
_MEANS = (FloatAvgPool2d, FloatIntervalPool2d, FloatInterpolate2d)  # by weights that are not negative
_EXPONENTS = np.arange(-32, 25)  # of the codes' steps in the tables that are searched for negative values


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tensors of one format."""

    tensors: tuple[str, ...]  # in the order of the nodes
    bits: int
    signed: bool


def format_groups(network: FloatNetwork, config: QuantizeConfig) -> tuple[Group, ...]:
    """Partition the tensors: whatever only copies codes, such as a max pool, keeps the format of its sources.

    A group is unsigned if no tensor in it can be negative. Raises FormatError if settings ask for two
    widths in one group.
    """
    leaders = _leaders(network, config)
    non_negative = _non_negative(network)
    groups = []
    for leader in dict.fromkeys(leaders.values()):
        tensors = tuple(name for name in leaders if leaders[name] == leader)
        signed = not all(name in non_negative for name in tensors)
        groups.append(Group(tensors=tensors, bits=_bits(network, tensors, config), signed=signed))
    return tuple(groups)


def keeps_format(node: FloatNode, config: QuantizeConfig) -> bool:
    """Whether a node's output has the format of its sources; a selection can be set to another width."""
    if isinstance(node, FloatConv2d):
        return node.is_selection and config.layer(node.name).activation_bits is None
    return isinstance(node, _MOVES) or (isinstance(node, FloatIntervalPool2d) and node.is_max)


def _leaders(network: FloatNetwork, config: QuantizeConfig) -> dict[str, str]:
    """A representative of each tensor's group."""
    leaders = {node.name: node.name for node in network.nodes}
    for node in network.nodes:
        for source in node.sources if keeps_format(node, config) else ():
            old, new = leaders[node.name], leaders[source]
            leaders = {name: new if leader == old else leader for name, leader in leaders.items()}
    return leaders


def _non_negative(network: FloatNetwork) -> set[str]:
    found: set[str] = set()
    for node in network.nodes:
        passes = isinstance(node, (*_MOVES, *_MEANS, FloatProduct))
        passes = passes or (isinstance(node, FloatConv2d) and (node.is_selection or node.own_format))
        if (
            (isinstance(node, FloatInput | WeightedNode | FloatProduct) and node.low >= 0)
            or (passes and all(source in found for source in node.sources))
            or (isinstance(node, FloatLookup) and _never_negative(node, node.source in found))
        ):
            found.add(node.name)
    return found


def _never_negative(node: FloatLookup, of_non_negative: bool) -> bool:
    """Whether no table of the function holds a negative value, whatever the binary point of its codes."""
    half = 1 << (TABLE_BITS - 1)
    codes = np.arange(0.0 if of_non_negative else -half, 2 * half)
    values = node.function.values(np.ldexp(codes[:, np.newaxis], _EXPONENTS))
    return bool((values >= 0).all())


def _bits(network: FloatNetwork, tensors: tuple[str, ...], config: QuantizeConfig) -> int:
    settings = {name: config.layer(name).activation_bits for name in tensors}
    if network.input.name in tensors:
        settings[network.input.name] = INPUT_BITS
    asked = {name: bits for name, bits in settings.items() if bits is not None}
    if len(set(asked.values())) > 1:
        raise FormatError(
            f"quantize: {asked} ask for several widths of tensors that share one format; ask for one"
        )
    bits = next(iter(asked.values()), config.activation_bits)
    readers = [node for node in network.nodes if isinstance(node, FloatLookup | FloatProduct)]
    reader = next((node for node in readers if not set(node.sources).isdisjoint(tensors)), None)
    if reader is None or bits <= TABLE_BITS or bits == FLOAT_BITS:
        return bits
    if asked:
        raise FormatError(
            f"quantize: {bits} bits are asked for {', '.join(asked)}, which {reader.name} reads; a "
            f"{_kind(reader)} takes codes of at most {TABLE_BITS} bits"
        )
    return TABLE_BITS


def _kind(node: FloatNode) -> str:
    return "table" if isinstance(node, FloatLookup) else "product"
