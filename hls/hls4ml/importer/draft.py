"""Values on their way from hls4ml's model to the integer graph.

A layer's sum stays a *draft* until it is known to which type it is assigned, so that a ReLU or a residual
that follows joins it. hls4ml's arrays are channels-last and may be reshaped at will; so a value carries the
place of each of its elements in the graph's (C, H, W) tensor.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from bitlathe.hls.hls4ml.importer.precision import CodeType, assign, narrowest
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import MAX_BITS, MIN_BITS, FixedPoint
from bitlathe.model.graph.nodes import Conv2d, Node, Pair, Shape

Places = npt.NDArray[np.int64]  # of hls4ml's elements in the flattened (C, H, W) tensor, in hls4ml's shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A convolution whose output format is still open."""

    source: str
    weight: Int64s  # (out_channels, in_channels / groups, height, width)
    bias: Int64s  # (out_channels,) at `frac`
    weight_frac: int
    frac: int  # of the sums
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    residual: str | None = None
    shape: Shape
    lowest: int  # of any sum
    highest: int
    has_relu: bool = False  # sums below 0 count as 0


@dataclass(slots=True, kw_only=True, eq=False)
class LayerOutput:
    """Output of a layer of hls4ml's."""

    layer: str
    places: Places
    type: CodeType
    draft: Draft | None = None
    tensor: str | None = None  # node of the graph, once made

    @property
    def is_exact(self) -> bool:
        """Whether its type holds every sum of the draft."""
        draft = self.draft
        if draft is None or draft.has_relu:
            return False
        return self.type.holds(draft.lowest, draft.highest, draft.frac)


@dataclass(slots=True, kw_only=True)
class GraphDraft:
    """The graph in the making."""

    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    ranges: dict[str, CodeRange] = field(default_factory=dict)

    def add(self, node: Node, shape: Shape, lo: int, hi: int) -> str:
        self.nodes.append(node)
        self.shapes[node.name] = shape
        self.ranges[node.name] = CodeRange(lo=min(lo, 0), hi=max(hi, 0))
        return node.name

    def format(self, tensor: str) -> FixedPoint:
        return next(node.format for node in self.nodes if node.name == tensor)

    def unused(self, wanted: str) -> str:
        return wanted if wanted not in self.shapes else self.unused(f"{wanted}_")

    def tensor(self, value: LayerOutput) -> str:
        """Node that holds a value; made now if it was a draft."""
        if value.tensor is None:
            assert value.draft is not None
            value.tensor = self._finish(value.layer, value.draft, value.type)
        return value.tensor

    def map(self, value: LayerOutput) -> str:
        """Node of a value in (height, width, channels) order; UnsupportedLayer for another order."""
        tensor = self.tensor(value)
        if not np.array_equal(value.places, standard_places(self.shapes[tensor])):
            raise UnsupportedLayer(
                f"{value.layer}: its array {value.places.shape} is a reordered {self.shapes[tensor]} map; "
                "only dense layers read one: drop the reshape or transpose before this layer"
            )
        return tensor

    def as_format(self, value: LayerOutput, code: FixedPoint) -> str:
        """Node of a value in a format that holds it, by way of a 1x1 convolution where it has another."""
        tensor = self.map(value)
        if self.format(tensor) == code:
            return tensor
        draft = self.identity(tensor, max(0, code.frac - self.format(tensor).frac))
        exact = CodeType(bits=code.bits, frac=code.frac, signed=code.signed, rounding="RND", saturation="SAT")
        return self._finish(f"{value.layer}_cast", draft, exact, code)

    def identity(self, tensor: str, places: int = 0) -> Draft:
        """A 1x1 depthwise convolution by 2**places * 2**-places: sums with `places` more fraction bits."""
        shape, codes = self.shapes[tensor], self.ranges[tensor]
        channels = shape[0]
        return Draft(
            source=tensor,
            weight=np.full((channels, 1, 1, 1), 1 << places, np.int64),
            bias=np.zeros(channels, np.int64),
            weight_frac=places,
            frac=self.format(tensor).frac + places,
            groups=channels,
            shape=shape,
            lowest=codes.lo << places,
            highest=codes.hi << places,
        )

    def _finish(self, layer: str, draft: Draft, precision: CodeType, code: FixedPoint | None = None) -> str:
        least = max(draft.lowest, 0) if draft.has_relu else draft.lowest
        outcome = assign(layer, precision, draft.frac, least, max(draft.highest, least))
        lo, hi = max(outcome.lo, 0) if draft.has_relu else outcome.lo, outcome.hi
        places = self._spare_places(draft, outcome.shift)
        weight = draft.weight >> places[:, None, None, None]
        offset = _halves(outcome.shift - places) if outcome.offset else 0
        node = Conv2d(
            name=self.unused(layer),
            format=code or narrowest(outcome.type, outcome.lo, outcome.hi),
            source=draft.source,
            weight=weight.astype(np.int16),
            bias=_int32(layer, (draft.bias >> places) + offset),
            weight_bits=weight_bits(layer, weight),
            weight_frac=tuple(int(draft.weight_frac - n) for n in places),
            stride=draft.stride,
            padding=draft.padding,
            groups=draft.groups,
            residual=draft.residual,
            lo=lo,
            hi=hi,
            rounding=outcome.mode,
        )
        return self.add(node, draft.shape, max(outcome.least, lo), outcome.most)

    def _spare_places(self, draft: Draft, shift: int) -> Int64s:
        """Fraction bits (out_channels,) that a channel's weights and bias both can do without.

        hls4ml has one weight type a layer; where channels had fracs of their own this finds them again.
        """
        most = shift
        if draft.residual is not None:
            most = min(most, draft.frac - self.format(draft.residual).frac)
        united = np.bitwise_or.reduce(np.abs(draft.weight).reshape(len(draft.weight), -1), axis=1)
        united |= np.abs(draft.bias) | (np.int64(1) << most)
        return np.asarray(np.log2(united & -united), np.int64)


def standard_places(shape: Shape) -> Places:
    """Places of a (C, H, W) tensor's elements in hls4ml's (H, W, C) order."""
    places: Places = np.arange(prod(shape)).reshape(shape).transpose(1, 2, 0)
    return places


def weight_bits(layer: str, codes: Int64s) -> int:
    """Bits of the symmetric range that holds weights; UnsupportedLayer beyond 16."""
    bits = max(int(np.abs(codes).max()).bit_length() + 1, MIN_BITS)
    if bits > MAX_BITS:
        raise UnsupportedLayer(
            f"{layer}: its weights need {bits} bits to be exact, {MAX_BITS} is the limit; "
            "lower its weight precision"
        )
    return bits


def _halves(shifts: Int64s) -> Int64s:
    """The bias that lowers sums by half a step of the shifted codes, so that rounding acts as AP_TRN."""
    return -((np.int64(1) << shifts) >> 1)


def _int32(layer: str, bias: Int64s) -> npt.NDArray[np.int32]:
    narrowed = bias.astype(np.int32)
    if (narrowed != bias).any():
        raise UnsupportedLayer(
            f"{layer}: its bias reaches {np.abs(bias).max()}, beyond int32; lower its fraction bits"
        )
    return narrowed
