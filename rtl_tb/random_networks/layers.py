"""One random layer at a time, its shift chosen from the accumulators of a few images that flow along."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, log2, prod
from typing import TypeVar

import numpy as np

from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.codebook import Codebook
from bitlathe.model.graph.convolution import products_of
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray, requantize, weight_limit
from bitlathe.model.graph.graph import Graph
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
    Shape,
    average_multiplier,
    window_size,
)
from bitlathe.model.graph.other_kernels import kernel_of
from bitlathe.model.graph.random_inputs import random_codes
from bitlathe.model.graph.reference import largest_in_windows
from bitlathe.rtl_tb.random_networks.draws import (
    OutputChoice,
    aligned_weights,
    fitting_shift,
    frac_steps,
    one_of,
    random_bias,
    random_codebook,
    random_weights,
    relu_choice,
    signed_choice,
)

AnyWeighted = TypeVar("AnyWeighted", Conv2d, Dense)

SAMPLES = 8  # images that flow along
SATURATING = 4  # bits off a shift that leave few codes between the ends of their range
LAYER_BITS = 28  # products, and the residual, stay below 2**28, so that all terms together stay below 2**31


@dataclass(kw_only=True)
class Sketch:
    """A network in the making: a method that names an operation adds a node and returns its name."""

    rng: np.random.Generator
    widths: Sequence[int]  # bits of weights and activations, one is drawn each time
    budget: float = inf  # MACs left
    product: bool = False  # some layers share codewords
    nodes: list[Node] = field(default_factory=list)
    samples: dict[str, IntArray] = field(default_factory=dict)  # codes (SAMPLES, H, W, C) of each tensor

    def shape(self, tensor: str) -> Shape:
        """(channels, height, width)."""
        _, height, width, channels = self.samples[tensor].shape
        return channels, height, width

    def window_shape(
        self,
        tensor: str,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        *,
        end_padding: Pair | None = None,
        dilation: Pair = (1, 1),
    ) -> Pair:
        """Height and width of the map that a window makes of a tensor; below 1 where it does not fit."""
        _, *size = self.shape(tensor)
        ends = padding if end_padding is None else end_padding
        rows, columns = (
            window_size(size[axis], kernel[axis], stride[axis], padding[axis], end=ends[axis], dilation=taps)
            for axis, taps in enumerate(dilation)
        )
        return rows, columns

    def format(self, tensor: str) -> FixedPoint:
        """Fixed-point format."""
        return next(node.format for node in self.nodes if node.name == tensor)

    def nodes_behind(self, *outputs: str) -> tuple[Node, ...]:
        """The input and the nodes that `outputs` need, in topological order."""
        needed = {*outputs, self.nodes[0].name}
        for node in reversed(self.nodes):
            needed |= set(node.sources) if node.name in needed else set()
        return tuple(node for node in self.nodes if node.name in needed)

    def width(self) -> int:
        """Random bits of a weight or an activation."""
        return one_of(self.rng, self.widths)

    def input(self, code: FixedPoint, shape: Shape) -> str:
        """The input."""
        codes = random_codes(self.rng, code, (SAMPLES, *shape)).transpose(0, 2, 3, 1)
        return self._add(Input(name="image", format=code, shape=shape), codes.astype(np.int64))

    def convolution(
        self,
        source: str,
        out_channels: int,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        *,
        end_padding: Pair | None = None,
        dilation: Pair = (1, 1),
        groups: int = 1,
        residual: str | None = None,
        target: FixedPoint | None = None,
        relu: bool | None = None,
    ) -> str:
        """A convolution of random weights; `target` is the format that its output must have, if any."""
        fan_in = self.shape(source)[0] // groups * prod(kernel)
        bits = self._weight_bits(source, fan_in)
        shape = (out_channels, fan_in // prod(kernel), *kernel)
        weight, codebook = self._weights(shape, bits)
        draft = replace(
            self._draft(source, weight, bits),
            codebook=codebook,
            stride=stride,
            padding=padding,
            end_padding=end_padding,
            dilation=dilation,
            groups=groups,
            residual=residual,
        )
        size = draft.windows.size(draft.name, *self.shape(source)[1:])
        self.budget -= draft.weight.size * prod(size)
        return self._settle(draft, draft, self._output_choice(target, relu))

    def aligned_pair(self, source: str, between: int, out_channels: int, bits: int) -> str:
        """Two 1x1 convolutions whose products all add up: codes of `bits` <= 8 at their ends, weights too."""
        (channels, *size), limit = self.shape(source), weight_limit(bits)
        first = self._draft(source, np.full((between, channels, 1, 1), limit, np.int8), bits)
        choice = relu_choice(self.rng, bits) if self.rng.random() < 0.7 else signed_choice(bits)
        head = self._settle(first, first, choice, gain=SATURATING)
        ends = aligned_weights(self.rng, out_channels, between, bits).reshape(out_channels, between, 1, 1)
        second = self._draft(head, ends, bits)
        self.budget -= (first.weight.size + second.weight.size) * prod(size)
        return self._settle(second, second, self._output_choice(None, None))

    def _draft(self, source: str, weight: IntWeights, bits: int) -> Conv2d:
        """A convolution of these weights, with everything else as plain as can be."""
        channels = len(weight)
        return Conv2d(
            name=f"conv{len(self.nodes)}",
            format=self.format(source),
            source=source,
            weight=weight,
            bias=np.zeros(channels, dtype=np.int32),
            weight_bits=bits,
            weight_frac=(0,) * channels,
            lo=0,
            hi=0,
        )

    def dense(self, source: str, features: int, *, relu: bool) -> str:
        """A dense layer of random weights; logits (no `relu`) are not narrower than 5 bits."""
        fan_in = prod(self.shape(source))
        bits = self._weight_bits(source, fan_in)
        weight, codebook = self._weights((features, fan_in), bits)
        draft = Dense(
            name=f"dense{len(self.nodes)}",
            format=self.format(source),
            source=source,
            weight=weight,
            codebook=codebook,
            bias=np.zeros(features, dtype=np.int32),
            weight_bits=bits,
            weight_frac=(0,) * features,
            lo=0,
            hi=0,
        )
        self.budget -= draft.weight.size
        choice = self._output_choice(None, relu) if relu else signed_choice(max(5, self.width()))
        return self._settle(draft, draft.as_convolution(self.shape(source)), choice)

    def max_pool(
        self,
        source: str,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        *,
        end_padding: Pair | None = None,
        dilation: Pair = (1, 1),
    ) -> str:
        """A max pool."""
        node = MaxPool2d(
            name=f"max_pool{len(self.nodes)}",
            format=self.format(source),
            source=source,
            kernel_size=kernel,
            stride=stride,
            padding=padding,
            end_padding=end_padding,
            dilation=dilation,
        )
        return self._add(node, largest_in_windows(node, self.samples[source]))

    def average_pool(self, source: str, kernel: Pair, stride: Pair, padding: Pair) -> str:
        """An average pool, global where the kernel covers the map; its frac may follow the averages' size."""
        multiplier, multiplier_frac = average_multiplier(prod(kernel))
        draft = AvgPool2d(
            name=f"average_pool{len(self.nodes)}",
            format=self.format(source),
            source=source,
            kernel_size=kernel,
            stride=stride,
            padding=padding,
            multiplier=multiplier,
            multiplier_frac=multiplier_frac,
        )
        acc = self._products(draft.as_convolution(self.shape(source)))
        keep = self.rng.random() < 0.5
        shift = multiplier_frac if keep else min(multiplier_frac, fitting_shift(acc, draft.format.hi))
        output = replace(draft.format, frac=draft.format.frac + multiplier_frac - shift)
        return self._add(replace(draft, format=output), requantize(acc, shift, output.lo, output.hi))

    def concat(self, operands: tuple[str, ...]) -> str:
        """Tensors of one format, one after the other."""
        node = Concat(name=f"concat{len(self.nodes)}", format=self.format(operands[0]), operands=operands)
        return self._add(node, np.concatenate([self.samples[name] for name in operands], axis=-1))

    def other(self, node: Node) -> str:
        """Any node that is computed by its definition alone: no convolution, no pool of even windows."""
        graph = Graph(name="sketch", nodes=(*self.nodes, node), output=node.name)
        return self._add(node, kernel_of(graph, node)(tuple(self.samples[name] for name in node.sources)))

    def selection(self, source: str, channels: Sequence[int]) -> str:
        """Some channels of a tensor, in this order: a convolution whose weights are 1."""
        code, count = self.format(source), len(channels)
        weight = np.zeros((count, self.shape(source)[0], 1, 1), np.int8)
        weight[np.arange(count), channels] = 1
        node = replace(
            self._draft(source, weight, 2), name=f"selection{len(self.nodes)}", lo=code.lo, hi=code.hi
        )
        return self._add(node, self.samples[source][..., list(channels)])

    def _add(self, node: Node, codes: IntArray) -> str:
        self.nodes.append(node)
        self.samples[node.name] = codes
        return node.name

    def _weight_bits(self, source: str, fan_in: int) -> int:
        """Random width that keeps sums of `fan_in` products below 2**LAYER_BITS."""
        return max(2, min(self.width(), LAYER_BITS + 1 - self.format(source).bits - ceil(log2(fan_in))))

    def _weights(self, shape: tuple[int, ...], bits: int) -> tuple[IntWeights, Codebook | None]:
        """Random weights, and their codebook if they have one."""
        if self.product and bits <= 8 and self.rng.random() < 0.6:
            codebook = random_codebook(self.rng, shape, bits)
            return codebook.decode(shape[1]), codebook
        return random_weights(self.rng, shape[0], prod(shape[1:]), bits).reshape(shape), None

    def _output_choice(self, target: FixedPoint | None, relu: bool | None) -> OutputChoice:
        if target is not None:
            return OutputChoice(
                bits=target.bits, signed=target.signed, frac=target.frac, lo=target.lo, hi=target.hi
            )
        if relu is None:
            relu = self.rng.random() < 0.7
        return relu_choice(self.rng, self.width()) if relu else signed_choice(self.width())

    def _products(self, conv: Conv2d) -> IntArray:
        limits = self.format(conv.source)
        return products_of(conv, CodeRange(lo=limits.lo, hi=limits.hi), np.int64)(self.samples[conv.source])

    def _settle(self, draft: AnyWeighted, conv: Conv2d, output: OutputChoice, gain: int = 0) -> str:
        """Add `draft`, as a convolution `conv`, with bias, fracs and shift that suit its accumulators.

        A `gain` takes bits off the shift, so that most codes saturate.
        """
        source_frac = self.format(draft.source).frac
        finer = frac_steps(
            self.rng, conv.out_channels
        )  # fraction bits a channel has beyond the coarsest one's
        acc = self._products(conv)
        bias = random_bias(self.rng, acc)
        acc += bias
        weight_frac = self._add_residual(acc, conv, finer)
        shift = max(0, fitting_shift(acc >> finer, output.hi) - gain)
        if weight_frac is None:
            weight_frac = draft.weight_bits - 1 + int(self.rng.integers(-1, 3))
        if output.frac is not None:
            weight_frac = output.frac + shift - source_frac
        node = replace(
            draft,
            format=FixedPoint(bits=output.bits, frac=source_frac + weight_frac - shift, signed=output.signed),
            bias=bias,
            weight_frac=tuple(int(weight_frac + step) for step in finer),
            lo=output.lo,
            hi=output.hi,
        )
        return self._add(node, requantize(acc, shift + finer, output.lo, output.hi))

    def _add_residual(self, acc: IntArray, conv: Conv2d, finer: IntArray) -> int | None:
        """Add the residual, if any, in about the size of the products; return the weight frac it takes."""
        if conv.residual is None:
            return None
        residual, code = self.samples[conv.residual], self.format(conv.residual)
        alike = round(log2((acc >> finer).std() + 1) - log2(residual.std() + 1)) + int(
            self.rng.integers(-1, 2)
        )
        places = max(0, min(alike, LAYER_BITS - code.bits - int(finer.max())))
        acc += residual << (places + finer)
        return places + code.frac - self.format(conv.source).frac
