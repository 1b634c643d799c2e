"""The float network that capture reads from PyTorch, node for node like the integer graph to come.

Its nodes mirror those of `model/graph/nodes.py` with real weights and without fixed-point formats. `Affine`,
`OntoGrid`, `Clamp` and `Sum` exist only while a network is captured; `simplify` turns them into the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import frexp, inf, isinf
from types import MappingProxyType

import numpy as np

from bitlathe.model.capture.float_arrays import Float32s, Float64s
from bitlathe.model.capture.formula import Formula, constant
from bitlathe.model.capture.returned import ReturnedForm
from bitlathe.model.capture.scalar_function import Line, ScalarFunction, followed
from bitlathe.model.graph.graph import Output, outputs_of
from bitlathe.model.graph.nodes import Pair, Shape, Windows
from bitlathe.model.graph.resampling import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGrid:
    """Values that a network rounds a tensor to by itself: `step` times the codes from `lo` to `hi`.

    Halves round to even codes.
    """

    step: float
    lo: int  # <= 0
    hi: int  # >= 0

    @property
    def frac(self) -> int | None:
        """Binary point of the codes; None where the step is not a power of two."""
        mantissa, exponent = frexp(self.step)
        return 1 - exponent if mantissa == 0.5 else None

    @property
    def low(self) -> float:
        """Smallest value."""
        return self.lo * self.step

    @property
    def high(self) -> float:
        """Largest value."""
        return self.hi * self.step

    def has(self, value: float) -> bool:
        """Whether rounding leaves a value as it is, or it is infinite."""
        return isinf(value) or (value / self.step).is_integer()


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatNode:
    """An operation with one output tensor, named like the node."""

    name: str
    shape: Shape  # of the output

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the tensors it reads, in order."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatInput(FloatNode):
    """The network's input: (pixel - 128) / 128, or what the network's front makes of it."""

    low: float = -inf  # no value is smaller

    grid: CodeGrid | None = None  # that the network rounds it to


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneSource(FloatNode):
    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """Weight and bias of a layer as formulas of the module's tensors."""

    weight: Formula
    bias: Formula

    @property
    def is_constant(self) -> bool:
        """Whether they depend on no tensor of the module."""
        return self.weight.is_constant and self.bias.is_constant


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatConv2d(_OneSource):
    """Convolution, residual add and clamp: y = clamp(bias + sum(x * w) + residual, low, high)."""

    weight: Float32s  # (out_channels, in_channels / groups, kernel_height, kernel_width)
    bias: Float64s  # (out_channels,)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # top, left; negative: rows or columns of the map that are left out
    end_padding: Pair | None = None  # bottom, right, where they differ from `padding`
    dilation: Pair = (1, 1)
    groups: int = 1
    residual: str | None = None
    low: float = -inf
    high: float = inf
    own_format: bool = False  # whether it is a copy in a format of its own
    grid: CodeGrid | None = None  # that the network rounds the output to, after the clamp
    captured: Origin | None = None  # None: weight and bias do not depend on the module

    @property
    def origin(self) -> Origin:
        """Formulas of weight and bias; constants if they do not depend on the module."""
        return self.captured or Origin(weight=constant(self.weight), bias=constant(self.bias))

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if self.residual is None else (self.source, self.residual)

    @property
    def kernel_size(self) -> Pair:
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    @property
    def windows(self) -> Windows:
        """How its kernel moves."""
        return Windows.of(self)

    @property
    def is_selection(self) -> bool:
        """Whether each output is one input or 0, with the same code: a shortcut without parameters."""
        rows = self.weight.reshape(len(self.weight), -1)
        one_hot = np.isin(rows, (0, 1)).all() and (rows.sum(axis=1) <= 1).all()
        bare = self.residual is None and self.low == -inf and self.high == inf
        bare = bare and self.grid is None
        return bool(one_hot and bare and not self.bias.any() and not self.own_format)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatDense(_OneSource):
    """Fully connected layer on the flattened (C, H, W) source."""

    weight: Float32s  # (out_features, in_features), columns in C, H, W order
    bias: Float64s  # (out_features,)
    low: float = -inf
    high: float = inf
    grid: CodeGrid | None = None  # that the network rounds the output to, after the clamp
    captured: Origin | None = None  # None: weight and bias do not depend on the module

    @property
    def origin(self) -> Origin:
        """Formulas of weight and bias; constants if they do not depend on the module."""
        return self.captured or Origin(weight=constant(self.weight), bias=constant(self.bias))


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatMaxPool2d(_OneSource):
    """Maximum over a window; padding never wins."""

    kernel_size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    end_padding: Pair | None = None  # bottom, right, where they differ from `padding`
    dilation: Pair = (1, 1)

    @property
    def windows(self) -> Windows:
        """How its window moves."""
        return Windows.of(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatAvgPool2d(_OneSource):
    """Average over a window, padding counted."""

    kernel_size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    grid: CodeGrid | None = None  # that the network rounds the output to


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatConvTranspose2d(_OneSource):
    """Transposed convolution and clamp, as the integer graph's `ConvTranspose2d`."""

    weight: Float32s  # (out_channels, in_channels / groups, kernel_height, kernel_width)
    bias: Float64s  # (out_channels,)
    stride: Pair
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    groups: int = 1
    low: float = -inf
    high: float = inf
    grid: CodeGrid | None = None  # that the network rounds the output to, after the clamp
    captured: Origin | None = None  # of the weight as it is here, and the bias

    @property
    def origin(self) -> Origin:
        """Formulas of weight and bias; constants if they do not depend on the module."""
        return self.captured or Origin(weight=constant(self.weight), bias=constant(self.bias))


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatIntervalPool2d(_OneSource):
    """Pool whose windows differ from place to place, as the integer graph's `IntervalPool2d`."""

    is_max: bool
    rows: tuple[Interval, ...]
    columns: tuple[Interval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatUpsample2d(_OneSource):
    """Nearest neighbour."""

    factors: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPixelShuffle2d(_OneSource):
    """Channels become pixels, as the integer graph's `PixelShuffle2d`."""

    factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPixelUnshuffle2d(_OneSource):
    """Pixels become channels, as the integer graph's `PixelUnshuffle2d`."""

    factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatInterpolate2d(_OneSource):
    """Bilinear upsampling."""

    factors: Pair
    align_corners: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatLookup(_OneSource):
    """A function of one value; a table of codes in the integer graph."""

    function: ScalarFunction
    grid: CodeGrid | None = None  # that the network rounds the output to


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatProduct(FloatNode):
    """Product of two maps, or of a map and a vector (C, 1, 1), and clamp."""

    source: str
    factor: str
    low: float = -inf
    high: float = inf
    grid: CodeGrid | None = None  # that the network rounds the output to, after the clamp

    @property
    def sources(self) -> tuple[str, ...]:
        return self.source, self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatConcat(FloatNode):
    """Concatenation along channels."""

    operands: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return self.operands


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine(_OneSource):
    """y = x * scale + offset, channel by channel: batch norm, or a normalisation of the image."""

    scale: Formula  # (C,)
    offset: Formula  # (C,)
    uniform: Line | None = None  # both as (1,), where every channel has the same

    def then(self, affine: Affine) -> Affine:
        """This map and another one behind it."""
        scale, offset = followed((self.scale, self.offset), (affine.scale, affine.offset))
        lines = (self.uniform, affine.uniform)
        uniform = None if lines[0] is None or lines[1] is None else followed(lines[0], lines[1])
        return replace(self, scale=scale, offset=offset, uniform=uniform)


@dataclass(frozen=True, slots=True, kw_only=True)
class OntoGrid(_OneSource):
    """y = the value of `grid` nearest to x: fake quantization."""

    grid: CodeGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp(_OneSource):
    """y = min(max(x, low), high): ReLU, ReLU6."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(FloatNode):
    """Sum of two tensors of one shape."""

    left: str
    right: str

    @property
    def sources(self) -> tuple[str, ...]:
        return self.left, self.right


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Front:
    """Normalisation of the image before the first layer: y = x * scale + offset, channel by channel."""

    scale: Float64s  # (C,)
    offset: Float64s  # (C,)


@dataclass(frozen=True, kw_only=True)
class FloatNetwork:
    """Nodes in topological order, the first one the `FloatInput`; `output` as the integer graph's."""

    name: str
    nodes: tuple[FloatNode, ...]
    output: str | tuple[Output, ...]
    form: ReturnedForm = field(compare=False)
    front: Front | None = field(default=None, compare=False)
    host: tuple[str, ...] = field(default=(), compare=False)  # operators behind outputs, left to the host

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Every output in order."""
        return outputs_of(self.output)

    @cached_property
    def by_name(self) -> MappingProxyType[str, FloatNode]:
        """Node of each tensor."""
        return MappingProxyType({node.name: node for node in self.nodes})

    @cached_property
    def reads(self) -> MappingProxyType[str, int]:
        """How often each tensor is read; an output is read once more, from outside."""
        counts = Counter(source for node in self.nodes for source in node.sources)
        counts.update(output.tensor for output in self.outputs)
        return MappingProxyType({node.name: counts[node.name] for node in self.nodes})

    @property
    def input(self) -> FloatInput:
        node = self.nodes[0]
        assert isinstance(node, FloatInput)
        return node
