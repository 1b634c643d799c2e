"""Nodes of the integer graph: frozen specifications, one class per operation.

A node's output tensor has the node's name. Shapes are (channels, height, width); arrays are NCHW.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.codebook import Codebook
from bitlathe.model.graph.errors import ShapeError, UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode, weight_limit

Shape = tuple[int, int, int]  # channels, height, width
Pair = tuple[int, int]  # vertical, horizontal
IntWeights = npt.NDArray[np.signedinteger[Any]]


def window_size(
    size: int, kernel: int, stride: int, padding: int, *, end: int | None = None, dilation: int = 1
) -> int:
    """Number of positions a window takes along one axis (floor, as PyTorch).

    `padding` is before the map and, unless `end` says otherwise, behind it; a negative one leaves out rows or
    columns.

    >>> window_size(32, 3, 2, 1), window_size(32, 3, 2, 0, end=1), window_size(32, 3, 1, 2, dilation=2)
    (16, 16, 32)
    """
    padded = size + padding + (padding if end is None else end)
    return (padded - dilation * (kernel - 1) - 1) // stride + 1


class Windowed(Protocol):
    """A node whose kernel or window moves over its source, of an integer graph or of a float network."""

    @property
    def kernel_size(self) -> Pair: ...

    @property
    def stride(self) -> Pair: ...

    @property
    def padding(self) -> Pair: ...

    @property
    def end_padding(self) -> Pair | None: ...

    @property
    def dilation(self) -> Pair: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a window moves over a map: vertical, horizontal."""

    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # top, left; negative: rows or columns of the map that are left out
    end_padding: Pair = (0, 0)  # bottom, right
    dilation: Pair = (1, 1)

    @classmethod
    def of(cls, node: Windowed) -> Windows:
        """Those of a node; padding is even where it states no other end."""
        return cls(
            kernel_size=node.kernel_size,
            stride=node.stride,
            padding=node.padding,
            end_padding=node.padding if node.end_padding is None else node.end_padding,
            dilation=node.dilation,
        )

    def size(self, name: str, height: int, width: int) -> Pair:
        """Number of its positions on a map; ShapeError, naming the node `name`, if it fits nowhere."""
        if min(*self.kernel_size, *self.stride, *self.dilation) < 1:
            raise ShapeError(
                f"{name}: kernel {self.kernel_size}, stride {self.stride} and dilation {self.dilation} must "
                "be at least 1"
            )
        rows, columns = (
            window_size(size, kernel, stride, begin, end=end, dilation=dilation)
            for size, kernel, stride, begin, end, dilation in zip(
                (height, width),
                self.kernel_size,
                self.stride,
                self.padding,
                self.end_padding,
                self.dilation,
                strict=True,
            )
        )
        if rows < 1 or columns < 1:
            raise ShapeError(
                f"{name}: a {self.kernel_size[0]}x{self.kernel_size[1]} window does not fit a "
                f"{height}x{width} map; enlarge the input or its padding"
            )
        return rows, columns


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
    padding: Pair = (0, 0)  # top, left; negative: rows or columns of the map that are left out
    end_padding: Pair | None = None  # bottom, right, where they differ from `padding`
    dilation: Pair = (1, 1)
    groups: int = 1
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
    def windows(self) -> Windows:
        """How its kernel moves."""
        return Windows.of(self)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads the input channel of its own number."""
        return self.groups > 1 and self.groups == self.out_channels and self.weight.shape[1] == 1

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels = shapes[0][0]
        if self.weight.ndim != 4:
            raise ShapeError(
                f"{self.name}: weight {self.weight.shape} needs 4 axes, (out, in / groups, height, width)"
            )
        check_groups(self.name, self.weight, self.groups, channels)
        shape = (self.out_channels, *self.windows.size(self.name, *shapes[0][1:]))
        if self.residual is not None and shapes[1] != shape:
            raise ShapeError(
                f"{self.name}: residual {self.residual} is {shapes[1]}, the sum {shape}; they must be equal"
            )
        return shape


def check_groups(name: str, weight: IntWeights, groups: int, channels: int) -> None:
    """Raise ShapeError unless weights (out, in / groups, height, width) fit input channels and groups."""
    if groups < 1 or weight.shape[1] * groups != channels or weight.shape[0] % groups:
        raise ShapeError(
            f"{name}: weight {weight.shape} with groups {groups} does not fit {channels} input channels; "
            "groups must divide the input and the output channels"
        )


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
    end_padding: Pair | None = None  # bottom, right, where they differ from `padding`
    dilation: Pair = (1, 1)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def windows(self) -> Windows:
        """How its window moves."""
        return Windows.of(self)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, height, width = shapes[0]
        rows, columns = self.windows.size(self.name, height, width)
        for axis, (size, places) in enumerate(((height, rows), (width, columns))):
            taps = range(0, self.dilation[axis] * self.kernel_size[axis], self.dilation[axis])
            origins = range(0, places * self.stride[axis], self.stride[axis])
            if not all(any(0 <= o - self.padding[axis] + t < size for t in taps) for o in origins):
                raise ShapeError(
                    f"{self.name}: padding {self.padding} must be smaller than the window "
                    f"{self.kernel_size}: a maximum needs a code of the map"
                )
        return channels, rows, columns


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
        windows = Windows(
            kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, end_padding=self.padding
        )
        return shapes[0][0], *windows.size(self.name, *shapes[0][1:])

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
