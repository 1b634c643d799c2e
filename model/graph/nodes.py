"""Nodes of the integer graph: frozen specifications, one class per operation.

A node's output tensor has the node's name. Shapes are (channels, height, width); arrays are NCHW.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.codebook import Codebook
from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode, weight_limit

Shape = tuple[int, int, int]  # channels, height, width
Pair = tuple[int, int]  # vertical, horizontal
IntWeights = npt.NDArray[np.signedinteger[Any]]


def window_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Number of positions a window takes along one axis (floor, as PyTorch).

    >>> window_size(32, 3, 2, 1)
    16
    """
    return (size + 2 * padding - kernel) // stride + 1


def _windowed(name: str, shape: Shape, channels: int, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ShapeError(
            f"{name}: kernel {kernel} and stride {stride} must be at least 1, padding {padding} at least 0"
        )
    height, width = (
        window_size(n, k, s, p) for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)
    )
    if height < 1 or width < 1:
        raise ShapeError(
            f"{name}: a {kernel[0]}x{kernel[1]} window does not fit a {shape[1]}x{shape[2]} map; "
            "enlarge the input or its padding"
        )
    return channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An operation with one output tensor of fixed-point format `format`."""

    name: str
    format: FixedPoint  # of the output

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the tensors it reads, in order."""
        return ()

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the output for the given source shapes; ShapeError if they do not fit."""
        raise UnsupportedLayer(
            f"{self.name}: {type(self).__name__} states no output shape; define output_shape"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Node):
    """The network's input."""

    shape: Shape

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if min(self.shape) < 1:
            raise ShapeError(
                f"{self.name}: shape {self.shape} must be (channels, height, width), each at least 1"
            )
        return self.shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv2d(Node):
    """Convolution, optionally with a fused residual add, then requantize and clamp.

    acc = bias + sum(x * w) + (residual << (frac_x + frac_w - frac_residual)), at frac_x + frac_w;
    y = clamp(requantize(acc, frac_x + frac_w - frac_y), lo, hi), by `rounding`. A ReLU is lo = 0.
    """

    source: str
    weight: IntWeights  # (out_channels, in_channels / groups, kernel_height, kernel_width)
    bias: IntWeights  # (out_channels,) int32 at frac_x + frac_w
    weight_bits: int
    weight_frac: tuple[int, ...]  # one per output channel
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1  # 1, or in_channels for a depthwise convolution
    residual: str | None = None
    lo: int  # clamp, codes of `format`
    hi: int
    rounding: RoundingMode = RoundingMode.HALF_UP
    codebook: Codebook | None = None  # what `weight` is decoded from, if shared

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if self.residual is None else (self.source, self.residual)

    @property
    def out_channels(self) -> int:
        return int(self.weight.shape[0])

    @property
    def kernel_size(self) -> Pair:
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    @property
    def is_depthwise(self) -> bool:
        return self.groups > 1

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels = shapes[0][0]
        if self.weight.ndim != 4:
            raise ShapeError(
                f"{self.name}: weight {self.weight.shape} needs 4 axes, (out, in / groups, height, width)"
            )
        if self.groups not in (1, channels) or self.weight.shape[1] * self.groups != channels:
            raise ShapeError(
                f"{self.name}: weight {self.weight.shape} with groups {self.groups} does not fit {channels} "
                "input channels; groups must be 1 or the number of input channels"
            )
        if self.is_depthwise and self.out_channels != channels:
            raise ShapeError(
                f"{self.name}: depthwise with {self.out_channels} outputs for {channels} input channels; "
                "they must be equal"
            )
        shape = _windowed(
            self.name, shapes[0], self.out_channels, self.kernel_size, self.stride, self.padding
        )
        if self.residual is not None and shapes[1] != shape:
            raise ShapeError(
                f"{self.name}: residual {self.residual} is {shapes[1]}, the sum {shape}; they must be equal"
            )
        return shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(Node):
    """Fully connected layer on the flattened (C, H, W) source, with the arithmetic of Conv2d."""

    source: str
    weight: IntWeights  # (out_features, in_features), columns in C, H, W order
    bias: IntWeights  # (out_features,)
    weight_bits: int
    weight_frac: tuple[int, ...]
    lo: int
    hi: int
    rounding: RoundingMode = RoundingMode.HALF_UP
    codebook: Codebook | None = None  # of sub-vectors along the columns

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        features = prod(shapes[0])
        if self.weight.ndim != 2:
            raise ShapeError(
                f"{self.name}: weight {self.weight.shape} needs 2 axes, (out_features, in_features)"
            )
        if self.weight.shape[1] != features:
            raise ShapeError(
                f"{self.name}: weight takes {self.weight.shape[1]} features, {self.source} has {features}"
            )
        return int(self.weight.shape[0]), 1, 1

    def as_convolution(self, shape: Shape) -> Conv2d:
        """The same layer as a convolution whose kernel covers the source map of `shape`.

        It keeps its codebook only if the map is one pixel; else codewords would span kernel positions.
        """
        pixel = self.codebook if shape[1:] == (1, 1) else None
        return Conv2d(
            name=self.name,
            format=self.format,
            source=self.source,
            weight=self.weight.reshape(-1, *shape),
            bias=self.bias,
            weight_bits=self.weight_bits,
            weight_frac=self.weight_frac,
            lo=self.lo,
            hi=self.hi,
            rounding=self.rounding,
            codebook=None if pixel is None else pixel.on_pixels(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d(Node):
    """Maximum of codes over a window; padding never wins."""

    source: str
    kernel_size: Pair
    stride: Pair
    padding: Pair = (0, 0)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if self.padding[0] >= self.kernel_size[0] or self.padding[1] >= self.kernel_size[1]:
            raise ShapeError(
                f"{self.name}: padding {self.padding} must be smaller than the window {self.kernel_size}"
            )
        return _windowed(self.name, shapes[0], shapes[0][0], self.kernel_size, self.stride, self.padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool2d(Node):
    """Average over a window, padding counted: depthwise by `multiplier` * 2**-`multiplier_frac`."""

    source: str
    kernel_size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    multiplier: int
    multiplier_frac: int
    rounding: RoundingMode = RoundingMode.HALF_UP
    WEIGHT_BITS: ClassVar[int] = 8

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        return _windowed(self.name, shapes[0], shapes[0][0], self.kernel_size, self.stride, self.padding)

    def as_convolution(self, shape: Shape) -> Conv2d:
        """The same pool as a depthwise convolution over a source map of `shape`."""
        channels = shape[0]
        return Conv2d(
            name=self.name,
            format=self.format,
            source=self.source,
            weight=np.full((channels, 1, *self.kernel_size), self.multiplier, dtype=np.int16),
            bias=np.zeros(channels, dtype=np.int32),
            weight_bits=self.WEIGHT_BITS,
            weight_frac=(self.multiplier_frac,) * channels,
            stride=self.stride,
            padding=self.padding,
            groups=channels,
            lo=self.format.lo,
            hi=self.format.hi,
            rounding=self.rounding,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Node):
    """Concatenation along channels of tensors that share one format."""

    operands: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return self.operands

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if len({shape[1:] for shape in shapes}) != 1:
            raise ShapeError(
                f"{self.name}: maps of sizes {[s[1:] for s in shapes]} cannot be joined; sizes must be equal"
            )
        return sum(shape[0] for shape in shapes), *shapes[0][1:]


def average_multiplier(area: int) -> tuple[int, int]:
    """(m, s) with m * 2**-s closest to 1 / area, m an 8-bit weight; exact for powers of two.

    >>> average_multiplier(64), average_multiplier(49)
    ((1, 6), (21, 10))
    """
    candidates = ((round((1 << frac) / area), frac) for frac in range(area.bit_length() + 7))
    fitting = [(m, frac) for m, frac in candidates if 1 <= m <= weight_limit(AvgPool2d.WEIGHT_BITS)]
    return min(fitting, key=lambda pair: abs(pair[0] * 2.0 ** -pair[1] - 1 / area))
