"""Nodes that work on each code by itself: a table of codes, and the product of two maps."""

from dataclasses import dataclass
from typing import ClassVar

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import Node, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Node):
    """Any function of one value, by table: y = codes[x - lo] for codes x from the source format's lo on."""

    LARGEST_BITS: ClassVar[int] = 8  # of the source's codes

    source: str
    function: str  # that the table was made of, such as "hardswish"
    codes: tuple[int, ...]  # codes of `format`, one for each code of the source's format

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(Node):
    """Product of two maps, or of a map and a vector of channels: squeeze-and-excitation.

    acc = x * f at frac_x + frac_f; y = clamp(requantize(acc, frac_x + frac_f - frac_y), lo, hi).
    """

    source: str
    factor: str  # a map of the source's shape, or (channels, 1, 1)
    lo: int  # clamp, codes of `format`
    hi: int
    rounding: RoundingMode = RoundingMode.HALF_UP

    @property
    def sources(self) -> tuple[str, ...]:
        return self.source, self.factor

    def output_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        shape, factor = shapes
        if factor not in (shape, (shape[0], 1, 1)):
            raise ShapeError(
                f"{self.name}: {self.source} is {shape}, its factor {self.factor} {factor}; a factor has "
                f"the same shape or is ({shape[0]}, 1, 1)"
            )
        return shape
