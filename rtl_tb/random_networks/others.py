"""Random nodes beside plain convolutions and pools: transposed, resampled, by table, multiplied, selected."""

from math import prod, sqrt
from typing import Any

import numpy as np

from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.nodes import Node, Pair
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)
from bitlathe.rtl_tb.random_networks.draws import fitting_shift, frac_steps, one_of, random_weights
from bitlathe.rtl_tb.random_networks.layers import Sketch

LARGEST_AREA = 900  # pixels of a map that grows
CHANNELS = (1, 2, 3, 4, 6, 8, 8, 12, 16, 24)
FUNCTIONS = "hardswish", "silu", "tanh"


def _pair(rng: np.random.Generator, *choices: int) -> Pair:
    return one_of(rng, choices), one_of(rng, choices)


def windowed(sketch: Sketch, head: str) -> str:
    """A convolution or a max pool of any dilation, stride and padding; a convolution of any groups."""
    rng, (channels, *size) = sketch.rng, sketch.shape(head)
    kernel, dilation = _pair(rng, 1, 2, 3, 3, 5), _pair(rng, 1, 1, 2, 3)
    stride = _pair(rng, 1, 1, 2, 3) if rng.random() < 0.9 else _pair(rng, 1, 16, 17)
    edges = tuple(int(rng.integers(-1, k // 2 + 2)) for k in (*kernel, *kernel))
    geometry: dict[str, Any] = {"padding": edges[:2], "end_padding": edges[2:], "dilation": dilation}
    rows, columns = sketch.window_shape(head, kernel, stride, **geometry)
    groups = one_of(rng, [g for g in range(1, channels + 1) if channels % g == 0])
    outputs = groups * one_of(rng, (1, 1, 2, 3, 4, channels // groups))
    cost = outputs * channels // groups * prod(kernel) * rows * columns
    if min(rows, columns) < 1 or cost > sketch.budget:
        return head
    if rng.random() < 0.25 and _touches(size, kernel, stride, (rows, columns), **geometry):
        return sketch.max_pool(head, kernel, stride, **geometry)
    return sketch.convolution(head, outputs, kernel, stride, groups=groups, **geometry)


def _touches(
    size: list[int],
    kernel: Pair,
    stride: Pair,
    places: Pair,
    *,
    padding: Pair,
    end_padding: Pair,
    dilation: Pair,
) -> bool:
    """Whether every window has a code of the map."""
    return all(
        any(
            0 <= place * stride[axis] - padding[axis] + tap * dilation[axis] < size[axis]
            for tap in range(kernel[axis])
        )
        for axis in range(2)
        for place in range(places[axis])
    )


def transposed(sketch: Sketch, head: str) -> str:
    """A transposed convolution."""
    rng, (channels, *size) = sketch.rng, sketch.shape(head)
    kernel, stride = _pair(rng, 1, 2, 3, 4, 5), _pair(rng, 1, 2, 2, 3)
    padding = int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1]))
    more = int(rng.integers(0, stride[0])), int(rng.integers(0, stride[1]))
    groups = one_of(rng, [g for g in range(1, channels + 1) if channels % g == 0])
    outputs = groups * one_of(rng, (1, 1, 2, 3))
    rows, columns = (
        (n - 1) * s - 2 * p + k + m for n, s, p, k, m in zip(size, stride, padding, kernel, more, strict=True)
    )
    cost = outputs * channels // groups * prod(kernel) * prod(size)
    if min(rows, columns) < 1 or rows * columns > LARGEST_AREA or cost > sketch.budget:
        return head
    sketch.budget -= cost
    bits, source = min(8, sketch.width()), sketch.format(head)
    weight = random_weights(rng, outputs, channels // groups * prod(kernel), bits)
    terms = channels // groups * max(1, prod(kernel) // prod(stride))
    acc = _spread(sketch.samples[head]) * _spread(weight) * sqrt(terms)
    finer, output = (
        frac_steps(rng, outputs),
        FixedPoint(bits=sketch.width(), frac=0, signed=bool(rng.random() < 0.7)),
    )
    frac = bits - 1
    shift = fitting_shift(np.array([acc]), output.hi)
    node = ConvTranspose2d(
        name=f"transposed{len(sketch.nodes)}",
        format=FixedPoint(bits=output.bits, frac=source.frac + frac - shift, signed=output.signed),
        source=head,
        weight=weight.reshape(outputs, channels // groups, *kernel),
        bias=np.rint(rng.normal(size=outputs) * acc / 4).astype(np.int32),
        weight_bits=bits,
        weight_frac=tuple(int(frac + step) for step in finer),
        stride=stride,
        padding=padding,
        output_padding=more,
        groups=groups,
        lo=output.lo,
        hi=output.hi,
    )
    return sketch.other(node)


def _spread(codes: IntArray) -> float:
    return float(np.sqrt(np.square(codes, dtype=np.float64).mean())) + 1


def resampled(sketch: Sketch, head: str) -> str:
    """A tensor of another size: upsampled, interpolated or pooled."""
    rng, (_, height, width) = sketch.rng, sketch.shape(head)
    common = _named(sketch, head)
    factors = _pair(rng, 1, 2, 3)
    places = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    intervals = [_intervals(rng, size, count) for size, count in zip((height, width), places, strict=True)]
    nodes: list[Node] = [
        IntervalPool2d(**common, is_max=bool(rng.random() < 0.4), rows=intervals[0], columns=intervals[1])
    ]
    if height * width * prod(factors) <= LARGEST_AREA:
        nodes.append(Upsample2d(**common, factors=factors))
    aligned = bool(rng.random() < 0.4)
    bilinear = one_of(rng, ((2, 1), (1, 3), (4, 1)) if aligned else ((2, 2), (1, 4), (3, 1), (4, 4), (1, 8)))
    if height * width * prod(bilinear) <= LARGEST_AREA:
        nodes.append(Interpolate2d(**common, factors=bilinear, align_corners=aligned))
    return sketch.other(one_of(rng, nodes))


def shuffled(sketch: Sketch, head: str) -> str:
    """Pixels for the channels of a convolution, or of any tensor that has them; or channels for pixels."""
    rng, factor = sketch.rng, one_of(sketch.rng, (2, 2, 3))
    channels, height, width = sketch.shape(head)
    if height % factor == width % factor == 0 and channels * factor**2 <= 64 and rng.random() < 0.4:
        return sketch.other(PixelUnshuffle2d(**_named(sketch, head), factor=factor))
    outputs = factor**2 * one_of(rng, (1, 2, 3, 8, 9))
    if height * width * factor**2 > LARGEST_AREA:
        return head
    if channels % factor**2 or rng.random() < 0.7:
        if channels * outputs * height * width > sketch.budget:
            return head
        head = sketch.convolution(head, outputs, (1, 1), (1, 1), (0, 0))
    if rng.random() < 0.3:
        head = looked_up(sketch, head)
    return sketch.other(PixelShuffle2d(**_named(sketch, head), factor=factor))


def _named(sketch: Sketch, source: str) -> dict[str, Any]:
    """The fields of a node of a tensor's own format."""
    return {"name": f"resampled{len(sketch.nodes)}", "format": sketch.format(source), "source": source}


def _intervals(rng: np.random.Generator, size: int, count: int) -> tuple[Interval, ...]:
    """Windows of an adaptive pool, or a few of any kind."""
    if rng.random() < 0.6:
        ends = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        return tuple(Interval(first, end, end - first) for first, end in ends)
    firsts = [int(rng.integers(size)) for _ in range(min(count, 4))]
    ends = [(first, int(rng.integers(first + 1, size + 1))) for first in firsts]
    return tuple(Interval(first, end, end - first + int(rng.integers(2))) for first, end in ends)


def looked_up(sketch: Sketch, head: str) -> str:
    """Any function of one code."""
    rng, source = sketch.rng, sketch.format(head)
    if source.bits > Lookup.LARGEST_BITS:
        return head
    output = FixedPoint(bits=min(8, sketch.width()), frac=source.frac, signed=bool(rng.random() < 0.6))
    codes = rng.integers(output.lo, output.hi + 1, 1 << source.bits)
    node = Lookup(
        name=f"looked_up{len(sketch.nodes)}",
        format=output,
        source=head,
        function=one_of(rng, FUNCTIONS),
        codes=tuple(int(code) for code in codes),
    )
    return sketch.other(node)


def multiplied(sketch: Sketch, head: str) -> str:
    """The product with a vector made of the tensor's averages, or with another tensor of the same shape."""
    rng, (channels, *size) = sketch.rng, sketch.shape(head)
    equal = [node.name for node in sketch.nodes if sketch.shape(node.name) == (channels, *size)]
    factor = one_of(rng, equal)
    if rng.random() < 0.6:
        area = size[0], size[1]
        factor = sketch.average_pool(head, area, area, (0, 0))
        if channels * channels <= sketch.budget:
            factor = sketch.convolution(factor, channels, (1, 1), (1, 1), (0, 0))
        if rng.random() < 0.6:
            factor = looked_up(sketch, factor)
    frac = sketch.format(head).frac + sketch.format(factor).frac
    acc = sketch.samples[head].astype(np.int64) * sketch.samples[factor]
    output = FixedPoint(bits=sketch.width(), frac=0, signed=bool(rng.random() < 0.7))
    shift = fitting_shift(acc, output.hi)
    node = Product(
        name=f"product{len(sketch.nodes)}",
        format=FixedPoint(bits=output.bits, frac=frac - shift, signed=output.signed),
        source=head,
        factor=factor,
        lo=output.lo if rng.random() < 0.7 else 0,
        hi=output.hi,
    )
    return sketch.other(node)


def selected(sketch: Sketch, head: str) -> str:
    """Some of a tensor's channels in any order, now and then one twice."""
    rng, channels = sketch.rng, sketch.shape(head)[0]
    order = rng.permutation(channels) if rng.random() < 0.5 else np.arange(channels)
    first = int(rng.integers(channels))
    order = order[first : first + int(rng.integers(1, channels + 1))]
    if rng.random() < 0.1:
        order = np.append(order, order[:1])
    return sketch.selection(head, [int(channel) for channel in order])


OTHERS = windowed, windowed, transposed, resampled, shuffled, looked_up, multiplied, selected
