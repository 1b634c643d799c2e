"""Groups of tensors that must share one fixed-point format, and what is known of them without images."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatInput,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
)
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.quantize.config import QuantizeConfig

INPUT_BITS = 8  # a pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tensors of one format."""

    tensors: tuple[str, ...]  # in the order of the nodes
    bits: int
    signed: bool


def format_groups(network: FloatNetwork, config: QuantizeConfig) -> tuple[Group, ...]:
    """Partition the tensors: max pools, concatenations and selections keep the format of what they read.

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
    return isinstance(node, (FloatMaxPool2d, FloatConcat))


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
        if isinstance(node, (FloatInput, FloatConv2d, FloatDense)) and node.low >= 0:
            found.add(node.name)
        passes = isinstance(node, (FloatMaxPool2d, FloatAvgPool2d, FloatConcat))
        passes = passes or (isinstance(node, FloatConv2d) and (node.is_selection or node.own_format))
        if passes and all(source in found for source in node.sources):
            found.add(node.name)
    return found


def _bits(network: FloatNetwork, tensors: tuple[str, ...], config: QuantizeConfig) -> int:
    settings = {name: config.layer(name).activation_bits for name in tensors}
    if network.input.name in tensors:
        settings[network.input.name] = INPUT_BITS
    asked = {name: bits for name, bits in settings.items() if bits is not None}
    if len(set(asked.values())) > 1:
        raise FormatError(
            f"quantize: {asked} ask for several widths of tensors that share one format; ask for one"
        )
    return next(iter(asked.values()), config.activation_bits)
