"""Simplification: fold batch norm, fuse sums and clamps, until every node has an integer counterpart.

One walk in topological order. A layer absorbs the node that reads its output if nothing else reads it; a node
that cannot be absorbed becomes a depthwise 1x1 convolution, which is exact too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from bitlathe.model.capture.float_network import (
    Affine,
    Clamp,
    CodeGrid,
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInput,
    FloatInterpolate2d,
    FloatLookup,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatProduct,
    FloatUpsample2d,
    Front,
    OntoGrid,
    Sum,
)
from bitlathe.model.capture.folding import (
    clamped,
    composed,
    flattens,
    identity,
    is_linear,
    is_unpadded,
    pointwise,
    preceded,
    scaled,
    with_sources,
)
from bitlathe.model.capture.image_copies import with_image_copies
from bitlathe.model.capture.names import unused
from bitlathe.model.capture.scalar_function import ScalarFunction, clamp_function, line_function
from bitlathe.model.graph.errors import DataError, UnsupportedLayer, together
from bitlathe.model.graph.graph import Output


def simplify(network: FloatNetwork, *, keeps_grids: bool = False) -> FloatNetwork:
    """The same function without `Affine`, `Clamp`, `Sum`; a normalisation of the input is its `front`.

    Each `OntoGrid` becomes the `grid` of a node if `keeps_grids`; else its bounds remain where it
    rounds an activation. Raises DataError when folding makes a weight NaN or infinite.
    """
    walk = _Walk(source=_without_dead_nodes(network), keeps_grids=keeps_grids)
    for node in walk.source.nodes:
        walk.take(node)
    simplified = with_image_copies(walk.network())
    _check_finite(simplified)
    return simplified


def _without_dead_nodes(network: FloatNetwork) -> FloatNetwork:
    needed = {network.input.name, *(output.tensor for output in network.outputs)}
    for node in reversed(network.nodes):
        needed.update(node.sources if node.name in needed else ())
    return replace(network, nodes=tuple(node for node in network.nodes if node.name in needed))


_LAYERS = (FloatConv2d, FloatConvTranspose2d, FloatDense)  # what weighs, and can clamp and round
_CLAMPING = (*_LAYERS, FloatProduct)
_KEEPING_ORDER = (  # a clamp or a rounding may go before them
    FloatConcat,
    FloatMaxPool2d,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatUpsample2d,
)
_ROUNDING = (FloatInput, *_CLAMPING, FloatAvgPool2d, FloatLookup)  # what rounds to a grid of its own


def _is_selection(node: FloatNode) -> bool:
    return isinstance(node, FloatConv2d) and node.is_selection


def _check_finite(network: FloatNetwork) -> None:
    errors = [
        DataError(
            f"{node.name}: folding its batch norm makes NaN or infinite weights; "
            "check its running_var, which must be >= 0"
        )
        for node in network.nodes
        if isinstance(node, _LAYERS) and not np.isfinite([*node.weight.flat, *node.bias]).all()
    ]
    if errors:
        raise together(errors, network.name)


@dataclass(kw_only=True)
class _Walk:
    """The simplified network under construction."""

    source: FloatNetwork
    keeps_grids: bool
    done: dict[str, FloatNode] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)  # absorbed node -> the node that now makes its tensor
    reads: dict[str, int] = field(default_factory=dict)
    front: Front | None = None
    affine: dict[str, Affine] = field(default_factory=dict)  # what became a convolution of its own

    def __post_init__(self) -> None:
        self.reads = dict(self.source.reads)

    def network(self) -> FloatNetwork:
        """The simplified network, after the last node."""
        made = {output: self.alias.get(output.tensor, output.tensor) for output in self.source.outputs}
        output: str | tuple[Output, ...] = tuple(Output(name, tensor) for (name, _), tensor in made.items())
        if isinstance(self.source.output, str):
            (output,) = made.values()
        else:
            self._check_made(made)
        return replace(self.source, nodes=tuple(self.done.values()), output=output, front=self.front)

    def _check_made(self, made: Mapping[Output, str]) -> None:
        for output, tensor in made.items():
            if isinstance(self.done[tensor], FloatInput):
                raise UnsupportedLayer(
                    f"{self.source.name}: its output {output.name} is the image itself, which the host has; "
                    "leave it out"
                )

    def take(self, node: FloatNode) -> None:
        """Absorb the next node, or add it."""
        node = with_sources(node, lambda name: self.alias.get(name, name))
        if isinstance(node, Affine):
            self._take_affine(node)
        elif isinstance(node, Clamp):
            self._take_clamp(node)
        elif isinstance(node, OntoGrid):
            self._take_grid(node)
        elif isinstance(node, Sum):
            self._take_sum(node)
        elif isinstance(node, FloatLookup):
            self._take_lookup(node)
        elif isinstance(node, (FloatConv2d, FloatDense)):
            self._keep(self._taking_in(node))
        else:
            self._keep(node)

    def _keep(self, node: FloatNode) -> None:
        self.done[node.name] = node

    def _forward(self, node: FloatNode, tensor: str) -> None:
        """Let readers of `node` read `tensor` instead."""
        self.alias[node.name] = tensor
        self.reads[tensor] += self.reads[node.name] - 1

    def _sole_producer(self, tensor: str) -> FloatNode | None:
        """The node that makes a tensor, if the tensor is read once."""
        return self.done[tensor] if self.reads[tensor] == 1 else None

    def _take_affine(self, node: Affine) -> None:
        producer = self._sole_producer(node.source)
        if isinstance(producer, FloatInput) and producer.grid is None:
            self.front = composed(self.front, node)
            self._forward(node, producer.name)
        elif isinstance(producer, _LAYERS) and is_linear(producer):
            self._note_affine(producer, node)
            self._keep(scaled(producer, node))
            self._forward(node, producer.name)
        elif isinstance(producer, FloatLookup) and producer.grid is None and node.uniform is not None:
            self._then(producer, line_function(node.uniform))
            self._forward(node, producer.name)
        else:
            self._keep(pointwise(node))
            self.affine[node.name] = node

    def _note_affine(self, layer: FloatNode, affine: Affine) -> None:
        """Remember what a layer that weighs nothing else has absorbed, in case the next one can."""
        if layer.name in self.affine:
            self.affine[layer.name] = self.affine[layer.name].then(affine)
        elif self._flattens(layer):
            source = layer.sources[0]
            self.affine[layer.name] = replace(affine, source=source, shape=self.done[source].shape)

    def _flattens(self, node: FloatNode) -> bool:
        return bool(node.sources) and flattens(node, self.done[node.sources[0]].shape)

    def _take_lookup(self, node: FloatLookup) -> None:
        """Add a function, or join it with those before it."""
        producer = self._sole_producer(node.source)
        before = self._own_affine(producer)
        if isinstance(producer, FloatLookup) and producer.grid is None:
            self._then(producer, node.function)
            self._forward(node, producer.name)
        elif before is not None and before.uniform is not None and before.shape == node.shape:
            del self.done[node.source]
            function = node.function.of_result(line_function(before.uniform))
            self._keep(replace(node, source=before.source, function=function))
        else:
            self._keep(node)

    def _then(self, node: FloatLookup, function: ScalarFunction) -> None:
        self._keep(replace(node, function=function.of_result(node.function)))

    def _own_affine(self, producer: FloatNode | None) -> Affine | None:
        """The affine map that a convolution of its own is, if nothing has been absorbed into that."""
        if not isinstance(producer, FloatConv2d) or not is_linear(producer):
            return None
        return self.affine.get(producer.name)

    def _taking_in(self, layer: FloatConv2d | FloatDense) -> FloatConv2d | FloatDense:
        """A layer that takes in the affine map before it, where it pads no zeros, and a flattening."""
        producer = self._sole_producer(layer.source)
        before = self._own_affine(producer)
        if before is not None and is_unpadded(layer, self.done[before.source].shape):
            del self.done[layer.source]
            layer = preceded(layer, before)
            producer = self._sole_producer(layer.source)
        if not isinstance(layer, FloatDense) or producer is None or not self._flattens(producer):
            return layer
        del self.done[producer.name]
        return replace(layer, source=producer.sources[0])

    def _take_clamp(self, node: Clamp) -> None:
        low, high = self._interval(node.source)
        if node.low <= low and high <= node.high:
            self._forward(node, node.source)
        elif self._can_clamp(node.source, node):
            self._clamp(node.source, node)
            self._forward(node, node.source)
        else:
            self._keep(clamped(identity(node.name, node.source, node.shape), node.low, node.high))

    def _take_grid(self, node: OntoGrid) -> None:
        """Let the layers before a rounding round; a copy rounds what none of them can round."""
        if not self.keeps_grids:
            self._bound_by_codes(node)
            self._forward(node, node.source)
        elif self._is_on(node.source, node.grid):
            self._forward(node, node.source)
        elif self._can_round(node.source):
            self._round(node.source, node.grid)
            self._forward(node, node.source)
        elif isinstance(joined := self._sole_producer(node.source), FloatConcat):
            self._round_operands(joined, node.grid)
            self._forward(node, node.source)
        else:
            self._keep(replace(identity(node.name, node.source, node.shape), grid=node.grid))

    def _bound_by_codes(self, node: OntoGrid) -> None:
        """Clamp an activation to its codes' ends: a quantizer leaves the 6 of a ReLU6 to the largest code."""
        clamp = Clamp(
            name=node.name, shape=node.shape, source=node.source, low=node.grid.low, high=node.grid.high
        )
        low, high = self._interval(node.source)
        is_activation, is_within = -inf < low or high < inf, clamp.low <= low and high <= clamp.high
        if is_activation and not is_within and self._can_clamp(node.source, clamp):
            self._clamp(node.source, clamp)

    def _is_on(self, tensor: str, grid: CodeGrid) -> bool:
        """Whether rounding to a grid leaves a tensor as it is."""
        node = self.done[tensor]
        own = getattr(node, "grid", None)
        if own is not None:
            return bool(own.step == grid.step and grid.lo <= own.lo and own.hi <= grid.hi)
        if isinstance(node, _KEEPING_ORDER) or _is_selection(node):
            return all(self._is_on(source, grid) for source in node.sources)
        return False

    def _can_round(self, tensor: str) -> bool:
        """Whether nothing else reads the layers between a rounding and those that are to round."""
        node = self._sole_producer(tensor)
        # rounding keeps order, so it may go before a maximum
        if isinstance(node, _KEEPING_ORDER):
            return all(self._can_round(name) for name in node.sources)
        return isinstance(node, _ROUNDING) and node.grid is None

    def _round(self, tensor: str, grid: CodeGrid) -> None:
        node = self.done[tensor]
        if isinstance(node, _ROUNDING):
            self._keep(replace(node, grid=grid))
            return
        for name in node.sources:
            self._round(name, grid)

    def _round_operands(self, concat: FloatConcat, grid: CodeGrid) -> None:
        """Round each operand of a concatenation by itself, in a copy where it is on another grid."""
        del self.done[concat.name]  # its new place is after the copies
        operands = []
        for name in concat.operands:
            if not self._is_on(name, grid):
                if self._can_round(name):
                    self._round(name, grid)
                else:
                    copy = identity(unused(f"{name}_rounded", self.reads), name, self.done[name].shape)
                    self._keep(replace(copy, grid=grid))
                    self.reads[copy.name] = 1
                    name = copy.name
            operands.append(name)
        self._keep(replace(concat, operands=tuple(operands)))

    def _take_sum(self, node: Sum) -> None:
        conv = self._absorber(node)
        if conv is None:
            self._keep(replace(identity(node.name, node.left, node.shape), residual=node.right))
            return
        del self.done[conv.name]  # its new place is after both summands
        self._keep(replace(conv, residual=node.right if conv.name == node.left else node.left))
        self._forward(node, conv.name)

    def _absorber(self, node: Sum) -> FloatConv2d | None:
        """The convolution that makes a summand; the larger of two, so that selections stay selections."""
        made = [self._sole_producer(name) for name in (node.left, node.right) if node.left != node.right]
        candidates = [layer for layer in made if isinstance(layer, FloatConv2d) and is_linear(layer)]
        return max(candidates, key=lambda layer: layer.weight.size, default=None)

    def _interval(self, tensor: str) -> tuple[float, float]:
        """Bounds that clamps and roundings guarantee for a tensor's values."""
        low, high = self._clamped_interval(tensor)
        grid = getattr(self.done[tensor], "grid", None)
        return (low, high) if grid is None else (max(low, grid.low), min(high, grid.high))

    def _clamped_interval(self, tensor: str) -> tuple[float, float]:
        node = self.done[tensor]
        if isinstance(node, _CLAMPING):
            return node.low, node.high
        if isinstance(node, (*_KEEPING_ORDER, FloatAvgPool2d, FloatInterpolate2d)):
            lows, highs = zip(*(self._interval(name) for name in node.sources), strict=True)
            padded = isinstance(node, FloatAvgPool2d) and node.padding != (0, 0)
            return min(*lows, 0.0 if padded else inf), max(*highs, 0.0 if padded else -inf)
        return -inf, inf

    def _can_clamp(self, tensor: str, clamp: Clamp) -> bool:
        """Whether nothing else reads the layers between a clamp and those that are to absorb it.

        A layer that rounds clamps before it does: the same for bounds that rounding leaves as they are.
        """
        node = self._sole_producer(tensor)
        # a clamp keeps order, so it may go before a maximum
        if isinstance(node, _KEEPING_ORDER):
            return all(self._can_clamp(name, clamp) for name in node.sources)
        return isinstance(node, (FloatLookup, *_CLAMPING)) and (
            node.grid is None or (node.grid.has(clamp.low) and node.grid.has(clamp.high))
        )

    def _clamp(self, tensor: str, clamp: Clamp) -> None:
        node = self.done[tensor]
        if isinstance(node, _CLAMPING):
            self._keep(clamped(node, clamp.low, clamp.high))
            return
        if isinstance(node, FloatLookup):
            self._then(node, clamp_function(clamp.low, clamp.high))
            return
        for name in node.sources:
            self._clamp(name, clamp)
