"""Nodes whose output map has another size than a strided window gives it.

Transposed convolution, upsampling, pixel shuffles, and pools whose windows differ from place to place.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import AvgPool2d, IntWeights, Node, Pair, Shape, check_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneSource(Node):
    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvTranspose2d(_OneSource):
    """Transposed convolution: x[i] * w[k] is added to acc[i * stride + k - padding], of each axis.

    Then requantize and clamp as Conv2d.
    """

    weight: IntWeights  # (out_channels, in_channels / groups, kernel_height, kernel_width)
    bias: IntWeights  # (out_channels,) int32 at frac_x + frac_w
    weight_bits: int
    weight_frac: tuple[int, ...]  # one per output channel
    stride: Pair
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)  # rows below and columns right of what the stride gives
    groups: int = 1
    lo: int  # clamp, codes of `format`
    hi: int
    rounding: RoundingMode = RoundingMode.HALF_UP

    @property
    def out_channels(self) -> int:
        return int(self.weight.shape[0])

    @property
    def kernel_size(self) -> Pair:
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, *size = shapes[0]
        if self.weight.ndim != 4:
            raise ShapeError(
                f"{self.name}: weight {self.weight.shape} needs 4 axes, (out, in / groups, height, width)"
            )
        check_groups(self.name, self.weight, self.groups, channels)
        if min(self.stride) < 1 or min(*self.padding, *self.output_padding) < 0:
            raise ShapeError(
                f"{self.name}: stride {self.stride} must be at least 1, padding {self.padding} and output "
                f"padding {self.output_padding} at least 0"
            )
        rows, columns = (
            (n - 1) * stride - 2 * begin + kernel + more
            for n, stride, begin, kernel, more in zip(
                size, self.stride, self.padding, self.kernel_size, self.output_padding, strict=True
            )
        )
        if min(rows, columns) < 1:
            raise ShapeError(
                f"{self.name}: padding {self.padding} leaves {rows}x{columns} of the output; pad less"
            )
        return self.out_channels, rows, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample2d(_OneSource):
    """Nearest neighbour: each code becomes `factors` rows and columns of it."""

    factors: Pair

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, height, width = shapes[0]
        if min(self.factors) < 1:
            raise ShapeError(f"{self.name}: factors {self.factors} must be at least 1")
        return channels, height * self.factors[0], width * self.factors[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelShuffle2d(_OneSource):
    """Channels become pixels: y[c, i * f + a, j * f + b] = x[(c * f + a) * f + b, i, j]."""

    factor: int

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, height, width = shapes[0]
        if self.factor < 1 or channels % self.factor**2:
            raise ShapeError(
                f"{self.name}: {channels} channels cannot become {self.factor}x{self.factor} pixels; their "
                f"number must be a multiple of {self.factor**2}"
            )
        return channels // self.factor**2, height * self.factor, width * self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelUnshuffle2d(_OneSource):
    """Pixels become channels: y[(c * f + a) * f + b, i, j] = x[c, i * f + a, j * f + b]."""

    factor: int

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, height, width = shapes[0]
        if self.factor < 1 or height % self.factor or width % self.factor:
            raise ShapeError(
                f"{self.name}: a {height}x{width} map has no whole {self.factor}x{self.factor} blocks; pad "
                "or crop it to a multiple"
            )
        return channels * self.factor**2, height // self.factor, width // self.factor


class Interval(NamedTuple):
    """Rows or columns of a map that a pool's window covers, and how many it counts in an average."""

    first: int
    end: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPool2d(_OneSource):
    """Pool whose windows differ from place to place: adaptive pools, averages that leave padding out.

    Output (i, j) is the maximum of rows[i] x columns[j] of the source, or the average: their sum times
    m * 2**-s, of `average_multiplier(rows[i].counted * columns[j].counted)`, requantized.
    """

    is_max: bool
    rows: tuple[Interval, ...]
    columns: tuple[Interval, ...]
    rounding: RoundingMode = RoundingMode.HALF_UP
    WEIGHT_BITS: ClassVar[int] = AvgPool2d.WEIGHT_BITS

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, *sizes = shapes[0]
        for intervals, size in zip((self.rows, self.columns), sizes, strict=True):
            if not intervals or not all(0 <= w.first < w.end <= size and w.counted > 0 for w in intervals):
                raise ShapeError(
                    f"{self.name}: windows {intervals} do not fit the {sizes[0]}x{sizes[1]} map; each must "
                    "hold a row and a column of it"
                )
        return channels, len(self.rows), len(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolate2d(_OneSource):
    """Bilinear upsampling by the weights of `interpolation_taps`, then requantize."""

    factors: Pair
    align_corners: bool
    rounding: RoundingMode = RoundingMode.HALF_UP
    WEIGHT_BITS: ClassVar[int] = 8

    @property
    def weight_frac(self) -> int:
        """Binary point of the product of a row's and a column's weight."""
        return sum(interpolation_frac(factor, self.align_corners) for factor in self.factors)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        channels, height, width = shapes[0]
        if min(self.factors) < 1 or not is_interpolated_at_once(self.factors, self.align_corners):
            raise ShapeError(
                f"{self.name}: factors {self.factors}; interpolate by at least 1, and along one axis at a "
                f"time where weights of both take more than {ROUNDED_FRAC} bits"
            )
        return channels, height * self.factors[0], width * self.factors[1]


class Tap(NamedTuple):
    """A row or column that an output row or column takes part of."""

    place: int
    weight: int


ROUNDED_FRAC = 6  # binary point of weights that are rounded; the largest whose 1 is an 8-bit weight


def interpolation_frac(factor: int, align_corners: bool) -> int:
    """Binary point of the weights of one axis: exact where corners are not aligned and the factor is 2**n.

    >>> [interpolation_frac(factor, False) for factor in (1, 2, 4, 3, 64)], interpolation_frac(2, True)
    ([0, 2, 3, 6, 6], 6)
    """
    if factor == 1:
        return 0
    is_exact = not align_corners and factor & (factor - 1) == 0
    return min(factor.bit_length(), ROUNDED_FRAC) if is_exact else ROUNDED_FRAC


def is_interpolated_at_once(factors: Pair, align_corners: bool) -> bool:
    """Whether products of the weights of both axes are 8-bit weights."""
    return sum(interpolation_frac(factor, align_corners) for factor in factors) <= ROUNDED_FRAC


def interpolation_taps(size: int, factor: int, align_corners: bool) -> tuple[tuple[Tap, ...], ...]:
    """Taps of every output row (or column) of `size` rows stretched by `factor`, as PyTorch places them.

    The lower row's weight is rounded half up to 2**-frac, which changes nothing where corners are not aligned
    and the factor is a power of two up to 32. The weights of a row sum to 1; those of a neighbour beyond the
    map go to the row at its edge.

    >>> [[tuple(tap) for tap in taps] for taps in interpolation_taps(2, 2, False)]
    [[(0, 4)], [(0, 3), (1, 1)], [(0, 1), (1, 3)], [(1, 4)]]
    >>> [[tuple(tap) for tap in taps] for taps in interpolation_taps(2, 3, False)][1:4]
    [[(0, 64)], [(0, 43), (1, 21)], [(0, 21), (1, 43)]]
    """
    one = 1 << interpolation_frac(factor, align_corners)
    last, out_last = size - 1, size * factor - 1
    taps: list[tuple[Tap, ...]] = []
    for index in range(size * factor):
        if align_corners:
            place, rest = divmod(index * last, max(out_last, 1))
            above = (2 * rest * one + out_last) // (2 * max(out_last, 1))
        else:
            place, above = divmod((2 * (2 * index + 1 - factor) * one + 2 * factor) // (4 * factor), one)
        if place < 0:
            place, above = 0, 0
        if place >= last:
            place, above = last, 0
        pair = (Tap(place, one - above), Tap(place + 1, above))
        taps.append(tuple(tap for tap in pair if tap.weight))
    return tuple(taps)
