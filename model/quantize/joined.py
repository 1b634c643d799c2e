"""Operands of concatenations whose ranges differ: without care the smallest would keep few of its bits.

A concatenation has one format, that of its largest operand. Where only layers with weights read it, a small
operand is made 2**k times as large and the weights that read it 2**-k times: exact, and without cost if
nothing else reads the operand. What does read it elsewhere would be held to the joined format: a copy then
stands between operand and concatenation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log2

import numpy as np
import torch
from torch import Tensor

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatInput,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatUpsample2d,
    Origin,
)
from bitlathe.model.capture.folding import identity
from bitlathe.model.capture.formula import constant
from bitlathe.model.capture.names import unused
from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.quantize.calibrate import BATCH
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.front import per_weight
from bitlathe.model.quantize.weight_formats import WeightedNode

_LOST_BITS = 2.0  # of an operand in the joined format, from which on something is done
_WORTH = 0.5  # of the readers' estimated error, the most that scaling must leave
_BY_CHANNEL = FloatMaxPool2d | FloatAvgPool2d | FloatIntervalPool2d | FloatInterpolate2d | FloatUpsample2d


def with_joined_ranges(
    network: FloatNetwork, images: Tensor, config: QuantizeConfig, *, scales: bool
) -> FloatNetwork:
    """The same function, whose concatenations take no accuracy from small operands that can be kept.

    `images` (N, C, H, W) are x = (pixel - 128) / 128. Without `scales` operands are copied at most.
    """
    joins = [node.name for node in network.nodes if isinstance(node, FloatConcat)]
    if not joins:
        return network
    joined = _Joins(network, images, config.with_integers())
    for join in joins:
        for operand in dict.fromkeys(joined.nodes[join].sources):
            joined.settle(join, operand, scales=scales)
    return joined.made()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """A node that reads channels of a tensor: a layer with weights, or one that passes them on."""

    node: FloatNode
    source: str
    channels: tuple[int, ...]  # of the source


class _Joins:
    """A network in which concatenations are settled one after the other."""

    def __init__(self, network: FloatNetwork, images: Tensor, config: QuantizeConfig) -> None:
        self._network, self._config = network, config
        self.nodes: dict[str, FloatNode] = dict(network.by_name)
        self._largest, self._squares = _measured(network, images)

    def made(self) -> FloatNetwork:
        """The network as it is now."""
        return replace(self._network, nodes=tuple(self.nodes.values()))

    def settle(self, join: str, operand: str, *, scales: bool) -> None:
        """Scale or copy an operand where the joined format would cost accuracy."""
        small, large = self._largest[operand], self._largest[join]
        lost = log2(large / small) if small > 0 else 0.0
        if lost < _LOST_BITS or isinstance(self.nodes[operand], FloatInput):
            return
        channels = self._channels(join, operand)
        readers = self._readers(join, channels) if scales else None
        places = 0 if readers is None else self._places(readers, self._step(large), int(lost))
        if readers is not None and places > 0:
            self._scale_readers(readers, places)
        if self._is_read_elsewhere(join, operand):
            self._copy(join, operand, places)
        elif places > 0:
            self._scale(join, operand, places)

    def _channels(self, join: str, operand: str) -> tuple[int, ...]:
        """The operand's channels in the concatenation."""
        found: list[int] = []
        first = 0
        for name in self.nodes[join].sources:
            count = self.nodes[name].shape[0]
            found += range(first, first + count) if name == operand else ()
            first += count
        return tuple(found)

    def _is_read_elsewhere(self, join: str, operand: str) -> bool:
        readers = [node.name for node in self.nodes.values() if operand in node.sources]
        return readers != [join] or self._is_output(operand)

    def _is_output(self, tensor: str) -> bool:
        return tensor in {output.tensor for output in self._network.outputs}

    def _readers(self, tensor: str, channels: tuple[int, ...]) -> list[_Reader] | None:
        """Whatever reads the channels, also through nodes that pass them on; None if not all are linear."""
        if self._is_output(tensor):
            return None
        found: list[_Reader] = []
        for node in [node for node in self.nodes.values() if tensor in node.sources]:
            found.append(_Reader(node=node, source=tensor, channels=channels))
            if isinstance(node, _BY_CHANNEL):
                further = self._readers(node.name, channels)
            elif isinstance(node, FloatConcat):
                own = self._channels(node.name, tensor)
                width = self.nodes[tensor].shape[0]
                places = (own[first + c] for first in range(0, len(own), width) for c in channels)
                further = self._readers(node.name, tuple(places))
            else:
                further = [] if _is_linear(node, tensor) else None
            if further is None:
                return None
            found += further
        return found

    def _step(self, largest: float) -> float:
        return largest / (1 << self._config.activation_bits - 1)

    def _places(self, readers: list[_Reader], step: float, most: int) -> int:
        """By how many places to scale, with the least error in the sums of the readers."""
        errors = [sum(self._error(reader, k, step) for reader in readers) for k in range(most + 1)]
        best = int(np.argmin(errors))
        return best if errors[best] <= _WORTH * errors[0] else 0

    def _error(self, reader: _Reader, places: int, step: float) -> float:
        """Expected squared error (times 12) of a reader's sums, from its inputs' and its weights' steps."""
        node = reader.node
        if not isinstance(node, WeightedNode):
            return 0.0
        squares = self._squares[reader.source] * _scales(reader, self.nodes, 4.0**places)
        weight = node.weight * per_weight(node, _scales(reader, self.nodes, 2.0**-places))
        rows = weight.reshape(len(weight), -1)
        means = np.broadcast_to(per_weight(node, squares), weight.shape).reshape(len(weight), -1)
        steps = np.abs(rows).max(axis=1) / weight_limit(self._config.weight_bits_of(node.name))
        return float((rows**2).sum() * step**2 + (steps**2 * means.sum(axis=1)).sum())

    def _scale_readers(self, readers: list[_Reader], places: int) -> None:
        for reader in readers:
            node = self.nodes[reader.node.name]
            if isinstance(node, WeightedNode):
                factor = constant(per_weight(node, _scales(reader, self.nodes, 2.0**-places)))
                origin = Origin(weight=node.origin.weight * factor, bias=node.origin.bias)
                self.nodes[node.name] = _weighted(node, origin)
        for source, channels in {(reader.source, reader.channels) for reader in readers}:
            self._squares[source][list(channels)] *= 4.0**places

    def _scale(self, join: str, operand: str, places: int) -> None:
        """Make an operand that nothing else reads larger: in its own layer if it can."""
        node, factor = self.nodes[operand], 2.0**places
        can_scale = isinstance(node, WeightedNode) and len(node.sources) == 1 and not _is_selection(node)
        if not can_scale:
            self._copy(join, operand, places)
            return
        assert isinstance(node, WeightedNode)
        by = constant(np.array(factor))
        made = _weighted(node, Origin(weight=node.origin.weight * by, bias=node.origin.bias * by))
        self.nodes[operand] = replace(made, low=node.low * factor, high=node.high * factor)
        self._largest[operand] *= factor
        self._squares[operand] *= factor**2

    def _copy(self, join: str, operand: str, places: int) -> None:
        """Put a copy in the joined format between operand and concatenation."""
        copy = identity(unused(f"{operand}_copy", self.nodes), operand, self.nodes[operand].shape)
        copy = replace(copy, weight=copy.weight * np.float32(2.0**places), own_format=True)
        node = self.nodes[join]
        assert isinstance(node, FloatConcat)
        operands = tuple(copy.name if name == operand else name for name in node.operands)
        self._largest[copy.name] = self._largest[operand] * 2.0**places
        self._squares[copy.name] = self._squares[operand] * 4.0**places
        self.nodes = dict(self._with_copy(copy, replace(node, operands=operands)))

    def _with_copy(self, copy: FloatConv2d, join: FloatConcat) -> Iterator[tuple[str, FloatNode]]:
        for name, node in self.nodes.items():
            if name == join.name:
                yield copy.name, copy
            yield name, join if name == join.name else node


def _scales(reader: _Reader, nodes: dict[str, FloatNode], scale: float) -> Float64s:
    """A factor for each channel of a reader's source."""
    factors = np.ones(nodes[reader.source].shape[0])
    factors[list(reader.channels)] = scale
    return factors


def _is_linear(node: FloatNode, tensor: str) -> bool:
    """Whether a node takes a tensor times weights of its own, and nothing else of it."""
    if not isinstance(node, WeightedNode) or _is_selection(node):
        return False
    return node.sources.count(tensor) == 1 and node.source == tensor


def _is_selection(node: FloatNode) -> bool:
    return isinstance(node, FloatConv2d) and node.is_selection


def _weighted(node: WeightedNode, origin: Origin) -> WeightedNode:
    return replace(node, weight=origin.weight.float32s(), bias=origin.bias.float64s(), captured=origin)


@torch.no_grad()
def _measured(network: FloatNetwork, images: Tensor) -> tuple[dict[str, float], dict[str, Float64s]]:
    """Of every tensor the largest magnitude, and the mean square (C,) of each channel."""
    largest = dict.fromkeys(network.by_name, 0.0)
    squares = {node.name: np.zeros(node.shape[0]) for node in network.nodes}
    for batch in images.split(BATCH):
        for node, values in forward(network, batch):
            largest[node.name] = max(largest[node.name], float(values.abs().max()))
            sums = values.double().square().mean((2, 3)).sum(0)
            squares[node.name] += sums.numpy() / len(images)
    return largest, squares
