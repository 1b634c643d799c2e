"""The fake-quantized forward pass for training: the layers of an integer graph on live weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import Any

from torch import Tensor

from bitlathe.model.capture.float_network import FloatConv2d, FloatLookup, FloatNetwork, FloatProduct
from bitlathe.model.capture.formula import Evaluation
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import RoundingMode, weight_limit
from bitlathe.model.graph.graph import ROUNDING_NODES, Graph, dead_after
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, MaxPool2d, Node
from bitlathe.model.graph.resampling import ConvTranspose2d, Interpolate2d, IntervalPool2d
from bitlathe.model.qat.thresholds import Thresholds
from bitlathe.model.qat.training_layers import (
    Average,
    IntervalAverage,
    Limit,
    LiveConcatenation,
    LiveInterpolation,
    LiveMovement,
    LiveProduct,
    LiveProducts,
    LiveTable,
    Maximum,
    RealFunction,
    Rounding,
    TrainingLayer,
    WeightRounding,
    WeightScale,
    powers,
)
from bitlathe.model.quantize.resampled import MovingNode, shares_of_intervals
from bitlathe.model.quantize.weight_formats import WeightedNode


@dataclass(frozen=True, slots=True, kw_only=True)
class RealParts:
    """The layers and tensors that stay real in training."""

    weights: frozenset[str] = frozenset()  # layers with real weights
    activations: frozenset[str] = frozenset()  # real tensors


class TrainingForward:
    """Layers with the formats of a graph; weights come with each call."""

    def __init__(
        self,
        network: FloatNetwork,
        graph: Graph,
        thresholds: Thresholds,
        unrounded: RealParts,
        at: Evaluation,
    ) -> None:
        self.graph, self.dead = graph, dead_after(graph.nodes)
        self._network, self._thresholds, self._unrounded, self._at = network, thresholds, unrounded, at
        self.layers = {node.name: self._layer(node) for node in graph.nodes[1:]}

    def __call__(self, values: Tensor, at: Evaluation) -> Any:
        """Outputs, in the module's form, of values (N, C, H, W) of the input, at a state of the module."""
        graph = self.graph
        live = {graph.input.name: values * 2.0 ** self._exponent(graph.input.name)}
        for node in graph.nodes[1:]:
            live[node.name] = self.layers[node.name]([live[name] for name in node.sources], at)
            for name in self.dead.get(node.name, ()):
                if name not in graph.output_tensors:
                    del live[name]
        outputs = [output.tensor for output in graph.outputs]
        return self._network.form.returned([live[name] * 2.0 ** -self._exponent(name) for name in outputs])

    def _layer(self, node: Node) -> TrainingLayer:
        if isinstance(node, Conv2d | Dense | ConvTranspose2d):
            return self._weighted(node)
        if isinstance(node, AvgPool2d):
            scale = self._share(node) * self._scale(node)
            return Average(node=node, scale=scale, finish=self._finish(node))
        if isinstance(node, MaxPool2d):
            return Maximum(node=node, lowest=-inf if self._is_real(node.name) else node.format.lo)
        if isinstance(node, Product):
            return LiveProduct(scale=self._scale(node), finish=self._finish(node))
        if isinstance(node, Lookup):
            return self._function(node)
        return self._resampling(node)

    def _resampling(self, node: Node) -> TrainingLayer:
        if isinstance(node, Interpolate2d):
            real = self._network.by_name[node.name] if self._is_real(node.name) else None
            return LiveInterpolation(node=node, real=real, scale=self._scale(node), finish=self._finish(node))
        if isinstance(node, IntervalPool2d) and not node.is_max:
            shares = shares_of_intervals(node, exact=self._is_real(node.name)) * self._scale(node)
            return IntervalAverage(node=node, shares=shares, finish=self._finish(node))
        if isinstance(node, MovingNode | IntervalPool2d):
            return LiveMovement(node=node)
        return LiveConcatenation()

    def _is_real(self, tensor: str) -> bool:
        return tensor in self._unrounded.activations

    def _scale(self, node: Node) -> float:
        """Output codes per source code, or per product of the sources' codes."""
        return 2.0 ** (self._exponent(node.name) - sum(self._exponent(source) for source in node.sources))

    def _function(self, node: Lookup) -> LiveTable | RealFunction:
        """A table with the codes of the graph's, unless source or output are real."""
        layer, finish = self._network.by_name[node.name], self._finish(node)
        assert isinstance(layer, FloatLookup)
        scale = 2.0 ** self._exponent(node.name)
        if isinstance(finish, Limit) or self._is_real(node.source):
            value = 2.0 ** -self._exponent(node.source)
            return RealFunction(function=layer.function, value=value, scale=scale, finish=finish)
        source = self.graph.format_of(node.source)
        return LiveTable(function=layer.function, source=source, scale=scale, finish=finish)

    def _share(self, node: AvgPool2d) -> float:
        """Weight of one pixel in an average."""
        real = self._is_real(node.name)
        return 1 / prod(node.kernel_size) if real else node.multiplier * 2.0**-node.multiplier_frac

    def _weighted(self, node: Conv2d | Dense | ConvTranspose2d) -> LiveProducts:
        layer = self._network.by_name[node.name]
        conv = node if isinstance(node, ConvTranspose2d) else self.graph.convolution(node)
        assert isinstance(layer, WeightedNode)
        residual = sum(self._exponent(source) for source in layer.sources[1:])
        return LiveProducts(
            conv=conv,
            origin=layer.origin,
            prepare=self._prepare(conv),
            residual_scale=2.0 ** (self._exponent(node.name) - residual),
            finish=None if self._copies(layer) else self._finish(node),
        )

    def _copies(self, layer: WeightedNode) -> bool:
        """Whether a layer passes codes on unchanged."""
        selects = isinstance(layer, FloatConv2d) and layer.is_selection and layer.origin.is_constant
        return selects and self.graph.format_of(layer.name) == self.graph.format_of(layer.source)

    def _prepare(self, conv: Conv2d | ConvTranspose2d) -> WeightRounding | WeightScale:
        source, output = self._exponent(conv.source), self._exponent(conv.name)
        if conv.name in self._unrounded.weights:
            return WeightScale(weight=2.0 ** (output - source), bias=2.0**output)
        fracs = list(conv.weight_frac)
        return WeightRounding(
            steps=powers(fracs, self._at).view(-1, 1, 1, 1),
            bias_steps=powers([source + frac for frac in fracs], self._at),
            to_output=powers([output - source - frac for frac in fracs], self._at).view(-1, 1, 1, 1),
            limit=weight_limit(conv.weight_bits),
            log2_t=self._thresholds.of_layer(conv.name),
        )

    def _finish(self, node: Node) -> Rounding | Limit:
        form = node.format
        if self._is_real(node.name):
            layer = self._network.by_name[node.name]
            if isinstance(layer, WeightedNode | FloatProduct):
                return Limit(low=layer.low, high=layer.high)
            return Limit(low=-inf, high=inf)
        clamp = node if isinstance(node, Conv2d | Dense | ConvTranspose2d | Product) else form
        lo, hi = clamp.lo, clamp.hi
        return Rounding(
            lo=lo,
            hi=hi,
            clips=hi == form.hi and lo in (0, form.lo),
            log2_t=self._thresholds.of_tensor(node.name),
            mode=node.rounding if isinstance(node, ROUNDING_NODES) else RoundingMode.HALF_UP,
        )

    def _exponent(self, tensor: str) -> int:
        """log2 of the codes per unit; tensors that stay real count in units."""
        return 0 if self._is_real(tensor) else self.graph.format_of(tensor).frac
