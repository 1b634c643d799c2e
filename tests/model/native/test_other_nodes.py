"""Every node of the integer graph in compiled code gives the reference's integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import log2, prod
from typing import Any

import numpy as np
import pytest
from compiled_kernels import mismatches
from small_graphs import conv2d, graph_of

from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray, RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Input, MaxPool2d, Node, Shape
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)
from bitlathe.model.native.evaluator import compiled, is_compilable
from bitlathe.model.native.packing import blocks

SHAPES: tuple[Shape, ...] = ((1, 6, 5), (3, 1, 9), (16, 5, 1), (17, 7, 6), (36, 4, 4), (40, 1, 1), (24, 6, 8))
LARGEST_AREA = 400


@dataclass(frozen=True, kw_only=True)
class Source:
    """A tensor that a node is to be drawn for."""

    rng: np.random.Generator
    name: str  # of the node
    source: str
    shape: Shape
    form: FixedPoint

    def named(self) -> dict[str, Any]:
        return {"name": self.name, "format": self.form, "source": self.source}

    def rounded(self, frac: int, terms: float) -> dict[str, Any]:
        """Fields of a node that rounds sums as large as `terms` codes, at `frac`; few of them saturate."""
        bits, signed = int(self.rng.choice([4, 8, 8, 12])), bool(self.rng.integers(2))
        shift = max(0, round(log2(max(terms * self.form.max_abs / 2, 1))) - bits + 2)
        rounding = RoundingMode.HALF_EVEN if self.rng.integers(2) else RoundingMode.HALF_UP
        form = FixedPoint(bits=bits, frac=frac - shift, signed=signed)
        return {**self.named(), "format": form, "rounding": rounding}


Maker = Callable[[Source], Node]


def any_of(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def weights(at: Source, outputs: int, inside: int, kernel: tuple[int, int]) -> dict[str, Any]:
    """Weights at random, at one end of their range, or mostly zeros, and what goes with them."""
    rng, shape = at.rng, (outputs, inside, *kernel)
    weight = rng.integers(-127, 128, shape)
    kind = int(rng.integers(4))
    if kind == 0:
        weight = np.full(shape, 127 * any_of(rng, (-1, 1)))
    elif kind == 1:
        weight *= rng.random(shape) < 0.2
    frac = 7
    fields = at.rounded(at.form.frac + frac, 64 * inside * prod(kernel) ** 0.5)
    form = fields["format"]
    least = form.lo if rng.integers(2) else 3
    return {
        **fields,
        "weight": weight.astype(np.int8),
        "bias": rng.integers(-5000, 5000, outputs).astype(np.int32),
        "weight_bits": 8,
        "weight_frac": tuple(int(each) for each in rng.integers(frac, frac + 3, outputs)),
        "lo": least,
        "hi": form.hi,
    }


def grouping(at: Source) -> tuple[int, int, int]:
    """Groups, output channels and input channels of a group."""
    channels = at.shape[0]
    groups = any_of(at.rng, [g for g in range(1, channels + 1) if channels % g == 0])
    outputs = max(1, int(at.rng.integers(1, 41)) // groups)
    return groups, groups * outputs, channels // groups


def axis_windows(rng: np.random.Generator, size: int, whole: bool) -> dict[str, int]:
    """Kernel, stride, dilation and paddings of an axis; with `whole` each window holds a code of the map."""
    options = [
        {"kernel": k, "stride": s, "dilation": d, "begin": begin, "end": end}
        for k, s, d, begin, end in product((1, 2, 3, 4), (1, 2, 3), (1, 2, 3), (-2, -1, 0, 1, 3), (-1, 0, 2))
        if size + begin + end >= d * (k - 1) + 1
        and size + min(begin, 0) + min(end, 0) >= 1
        and (not whole or holds_codes(size, k, s, d, begin, end))
    ]
    return any_of(rng, options)


def holds_codes(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int) -> bool:
    firsts = range(-begin, size + end - dilation * (kernel - 1), stride)
    return all(any(0 <= first + dilation * tap < size for tap in range(kernel)) for first in firsts)


def windows(at: Source, *, whole: bool = False) -> dict[str, Any]:
    rows, columns = (axis_windows(at.rng, size, whole) for size in at.shape[1:])
    names = {
        "kernel": "kernel_size",
        "stride": "stride",
        "dilation": "dilation",
        "begin": "padding",
        "end": "end_padding",
    }
    return {field: (rows[name], columns[name]) for name, field in names.items()}


def convolution(at: Source) -> Node:
    groups, outputs, inside = grouping(at)
    geometry = windows(at)
    kernel = geometry.pop("kernel_size")
    return Conv2d(**weights(at, outputs, inside, kernel), groups=groups, **geometry)


def depthwise(at: Source) -> Node:
    geometry = windows(at)
    channels, kernel = at.shape[0], geometry.pop("kernel_size")
    return Conv2d(**weights(at, channels, 1, kernel), groups=channels, **geometry)


def square(at: Source) -> Node:
    """A 3x3 convolution of stride 1, which may go by tiles; its padding is uneven."""
    edges = [int(edge) for edge in at.rng.integers(-1 if min(at.shape[1:]) > 4 else 0, 3, 4)]
    bottom, right = (
        max(edges[i], 3 - size - edges[i - 2]) for i, size in zip((2, 3), at.shape[1:], strict=True)
    )
    fields = weights(at, int(at.rng.integers(1, 41)), at.shape[0], (3, 3))
    return Conv2d(**fields, padding=(edges[0], edges[1]), end_padding=(bottom, right))


def maximum(at: Source) -> Node:
    return MaxPool2d(**at.named(), **windows(at, whole=True))


def transposed(at: Source) -> Node:
    rng, (groups, outputs, inside) = at.rng, grouping(at)
    kernel = tuple(int(k) for k in rng.integers(1, 6 if at.shape[0] < 20 else 4, 2))
    stride = tuple(int(s) for s in rng.integers(1, 4, 2))
    padding = tuple(
        int(rng.integers(0, min(k, ((n - 1) * s + k - 1) // 2 + 1)))
        for n, k, s in zip(at.shape[1:], kernel, stride, strict=True)
    )
    more = tuple(int(rng.integers(0, s)) for s in stride)
    fields = weights(at, outputs, inside, (kernel[0], kernel[1]))
    return ConvTranspose2d(**fields, groups=groups, stride=stride, padding=padding, output_padding=more)


def upsampled(at: Source) -> Node:
    return Upsample2d(**at.named(), factors=any_of(at.rng, ((1, 2), (2, 1), (2, 2), (3, 2))))


def shuffled(at: Source) -> Node:
    factors = [factor for factor in (1, 2, 3, 4, 6) if at.shape[0] % factor**2 == 0]
    return PixelShuffle2d(**at.named(), factor=factors[-1 - int(at.rng.integers(min(len(factors), 2)))])


def unshuffled(at: Source) -> Node:
    factors = [factor for factor in (1, 2, 3) if not any(size % factor for size in at.shape[1:])]
    return PixelUnshuffle2d(**at.named(), factor=factors[-1])


def intervals(rng: np.random.Generator, size: int) -> tuple[Interval, ...]:
    """Of an adaptive pool, or at random."""
    count = int(rng.integers(1, size + 3))
    if rng.integers(2):
        ends = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    else:
        firsts = [int(first) for first in rng.integers(0, size, count)]
        ends = [(first, int(rng.integers(first + 1, size + 1))) for first in firsts]
    return tuple(Interval(first, end, end - first + int(rng.integers(2))) for first, end in ends)


def pooled(at: Source) -> Node:
    rows, columns = (intervals(at.rng, size) for size in at.shape[1:])
    if at.rng.integers(2):
        return IntervalPool2d(**at.named(), is_max=True, rows=rows, columns=columns)
    return IntervalPool2d(**at.rounded(at.form.frac, 1), is_max=False, rows=rows, columns=columns)


def averaged(at: Source) -> Node:
    kernel = (min(3, at.shape[1]), min(2, at.shape[2]))
    fields = {"kernel_size": kernel, "stride": (2, 1), "multiplier": 21, "multiplier_frac": 7}
    return AvgPool2d(**at.rounded(at.form.frac, 1), **fields)


def interpolated(at: Source) -> Node:
    factors, aligned = any_of(
        at.rng,
        [((2, 2), False), ((4, 1), False), ((1, 3), False), ((2, 8), False), ((2, 1), True), ((1, 5), True)],
    )
    return Interpolate2d(**at.rounded(at.form.frac, 1), factors=factors, align_corners=aligned)


def looked_up(at: Source) -> Node:
    form = FixedPoint(bits=int(at.rng.choice([4, 8, 12])), frac=3, signed=bool(at.rng.integers(2)))
    codes = at.rng.integers(form.lo, form.hi + 1, 1 << at.form.bits)
    table = tuple(int(code) for code in codes)
    return Lookup(name=at.name, format=form, source=at.source, function="any", codes=table)


def squared(at: Source) -> Node:
    fields = at.rounded(2 * at.form.frac, at.form.max_abs)
    form = fields["format"]
    return Product(**fields, factor=at.source, lo=form.lo, hi=form.hi)


def added(at: Source) -> Node:
    """A dilated convolution of as many groups as fit, with its source added."""
    channels = at.shape[0]
    groups = any_of(at.rng, [g for g in range(1, channels + 1) if channels % g == 0])
    fields = weights(at, channels, channels // groups, (3, 3))
    return Conv2d(**fields, groups=groups, padding=(2, 1), dilation=(2, 1), residual=at.source)


GROWING: tuple[Maker, ...] = (transposed, upsampled, interpolated)
MAKERS: tuple[Maker, ...] = (
    *(convolution, depthwise, square, added, maximum, shuffled, unshuffled),
    *(pooled, averaged, looked_up, squared, *GROWING),
)


def network(rng: np.random.Generator, makers: list[Maker]) -> Graph:
    """A chain of nodes."""
    shape = any_of(rng, SHAPES)
    form = FixedPoint(bits=8, frac=int(rng.integers(-2, 9)), signed=bool(rng.integers(2)))
    image = Input(name="image", format=form, shape=shape)
    nodes: list[Node] = [image]
    for place, maker in enumerate(makers):
        at = Source(rng=rng, name=f"n{place}", source=nodes[-1].name, shape=shape, form=form)
        is_too_large = maker in GROWING and prod(shape[1:]) > LARGEST_AREA
        is_too_wide = maker is looked_up and form.bits > Lookup.LARGEST_BITS
        nodes.append(depthwise(at) if is_too_large or is_too_wide else maker(at))
        shape, form = nodes[-1].output_shape((shape, shape)), nodes[-1].format
    return Graph(name="small", nodes=tuple(nodes), output=nodes[-1].name)


def codes_for(rng: np.random.Generator, graph: Graph) -> IntArray:
    return np.concatenate([random_inputs(rng, graph, 5), corner_inputs(graph)])


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: str(maker.__name__))
@pytest.mark.parametrize("seed", range(12))
def test_a_node_of_the_image_gives_the_references_integers(maker: Maker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, [maker])
    assert is_compilable(graph)
    assert mismatches(graph, codes_for(rng, graph)) == 0


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: str(maker.__name__))
@pytest.mark.parametrize("seed", range(12))
def test_a_node_between_others_gives_the_references_integers(maker: Maker, seed: int) -> None:
    """What fills up the blocks of its source's channels is any code, and what its own hold is read too."""
    rng = np.random.default_rng(seed)
    graph = network(rng, [any_of(rng, MAKERS), maker, any_of(rng, MAKERS)])
    assert is_compilable(graph)
    assert mismatches(graph, codes_for(rng, graph)) == 0


@pytest.mark.parametrize("padding", [(0, -5), (-4, 0), (-6, -5)])
@pytest.mark.parametrize("groups", [1, 17])
def test_windows_beyond_what_is_left_of_a_map_see_zeros(
    rng: np.random.Generator, padding: tuple[int, int], groups: int
) -> None:
    weight = rng.integers(-127, 128, (17, 17 // groups, 2, 2)).astype(np.int8)
    bias = rng.integers(-9999, 9999, 17).astype(np.int32)
    conv = conv2d(weight, bias=bias, groups=groups, padding=padding, end_padding=(9, 9))
    graph = graph_of(conv, shape=(17, 4, 3))
    assert mismatches(graph, codes_for(rng, graph)) == 0


@pytest.mark.parametrize("channels", [1, 7, 16, 33])
@pytest.mark.parametrize("is_map", [False, True])
@pytest.mark.parametrize("rounding", list(RoundingMode))
def test_products_with_a_map_or_a_vector_are_exact(
    rng: np.random.Generator, channels: int, is_map: bool, rounding: RoundingMode
) -> None:
    image = FixedPoint(bits=8, frac=3)
    pool = MaxPool2d(name="pool", format=image, source="image", kernel_size=(3, 5), stride=(1, 1))
    table = rng.integers(0, 256, 256)
    gate = Lookup(
        name="gate",
        format=FixedPoint(bits=8, frac=8, signed=False),
        source="image" if is_map else "pool",
        function="any",
        codes=tuple(map(int, table)),
    )
    scaled = Product(
        name="scaled",
        format=FixedPoint(bits=8, frac=3),
        source="image",
        factor="gate",
        lo=-100,
        hi=120,
        rounding=rounding,
    )
    graph = graph_of(*([] if is_map else [pool]), gate, scaled, shape=(channels, 3, 5), image=image)
    assert mismatches(graph, codes_for(rng, graph)) == 0


@pytest.mark.parametrize("ends", [(-128, -128), (-128, 255), (127, 255)])
def test_products_of_the_largest_codes_are_not_rounded_without_a_shift(ends: tuple[int, int]) -> None:
    table = Lookup(
        name="table",
        format=FixedPoint(bits=9, frac=0),
        source="image",
        function="any",
        codes=tuple(any_of(np.random.default_rng(code), ends) for code in range(256)),
    )
    wide = FixedPoint(bits=16, frac=0)
    result = Product(name="y", format=wide, source="table", factor="image", lo=wide.lo, hi=wide.hi)
    graph = graph_of(table, result, shape=(5, 16, 16), image=FixedPoint(bits=8, frac=0))
    every = np.arange(-128, 128).reshape(1, 1, 16, 16).repeat(5, axis=1)
    assert mismatches(graph, every) == 0


def test_a_product_that_may_leave_int32_is_left_to_the_reference() -> None:
    image, low = FixedPoint(bits=16, frac=0), FixedPoint(bits=16, frac=-30)
    result = Product(name="y", format=low, source="image", factor="image", lo=low.lo, hi=low.hi)
    graph = graph_of(result, shape=(2, 2, 2), image=image)
    assert is_compilable(graph)  # 2**30 and half a step of 2**30
    assert mismatches(graph, corner_inputs(graph)) == 0
    unsigned = FixedPoint(bits=16, frac=0, signed=False)
    assert compiled(graph_of(result, shape=(2, 2, 2), image=unsigned)) is None


def test_a_table_may_hold_codes_beyond_int16_where_its_source_never_leads() -> None:
    clamp = conv2d(np.ones((1, 1, 1, 1), np.int8), weight_frac=(0,), lo=0, hi=3)
    wide = FixedPoint(bits=16, frac=0, signed=False)
    codes = tuple(min(abs(code) * 9000, 65535) for code in range(-128, 128))
    table = Lookup(name="table", format=wide, source="conv", function="any", codes=codes)
    graph = graph_of(clamp, table, shape=(1, 4, 4))
    assert is_compilable(graph)
    assert mismatches(graph, np.arange(-128, -112).reshape(1, 1, 4, 4)) == 0
    assert mismatches(graph, np.arange(16).reshape(1, 1, 4, 4)) == 0
    assert compiled(graph_of(replace(table, source="image"), shape=(1, 4, 4))) is None


@pytest.mark.parametrize(("channels", "groups"), [(32, 8), (24, 24), (48, 16), (40, 5), (6, 3)])
def test_a_block_reads_no_more_channels_than_its_groups_have(channels: int, groups: int) -> None:
    inside = channels // groups
    made = blocks(np.ones((channels, inside, 3, 3), np.int8), groups)
    in_a_block = min(16, channels)
    spanned = max(-(-(first + in_a_block) // inside) - first // inside for first in range(0, channels, 16))
    assert 2 * made.pairs <= spanned * inside + 1
    assert (made.first + 2 * made.pairs <= channels + channels % 2).all()
    assert made.weight.sum() == channels * inside * 9
