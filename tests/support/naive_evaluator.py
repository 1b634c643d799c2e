"""Evaluator of integer graphs written from the definition of the arithmetic: slow and plain.

Python integers do all sums and shifts, one output code at a time. It shares no arithmetic with ours.
"""

import itertools
from fractions import Fraction

import numpy as np

from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d, Node

Position = tuple[int, int, int]  # channel, row, column
Image = dict[Position, int]  # codes; what is absent is padding


def evaluate_naively(graph: Graph, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Codes (N, C, H, W) of every tensor."""
    images = [_evaluate_image(graph, image) for image in codes]
    return {name: np.stack([image[name] for image in images]) for name in graph.by_name}


def _evaluate_image(graph: Graph, codes: np.ndarray) -> dict[str, np.ndarray]:
    tensors = {graph.nodes[0].name: codes.astype(np.int64)}
    for node in graph.nodes[1:]:
        output = np.zeros(graph.shapes[node.name], dtype=np.int64)
        sources = [as_image(tensors[source]) for source in node.sources]
        for position in itertools.product(*map(range, output.shape)):
            output[position] = _code(graph, node, sources, position)
        tensors[node.name] = output
    return tensors


def as_image(codes: np.ndarray) -> Image:
    """Codes (C, H, W) by position, as Python integers."""
    return {position: int(code) for position, code in np.ndenumerate(codes)}


def _code(graph: Graph, node: Node, sources: list[Image], position: Position) -> int:
    if isinstance(node, Conv2d):
        return _convolution(graph, node, sources, position)
    if isinstance(node, Dense):
        return _dense(graph, node, sources[0], position)
    if isinstance(node, AvgPool2d):
        total = sum(sources[0].get(place, 0) for place in _window(node, position))
        shift = graph.format_of(node.source).frac + node.multiplier_frac - node.format.frac
        return _requantize(total * node.multiplier, shift, node, node.format.lo, node.format.hi)
    if isinstance(node, MaxPool2d):
        return max(sources[0].get(place, node.format.lo) for place in _window(node, position))
    assert isinstance(node, Concat)
    return _concat(graph, node, sources, position)


def _window(node: Conv2d | MaxPool2d | AvgPool2d, position: Position) -> list[Position]:
    """Places in the channel of `position` that its window covers, padding included."""
    channel, row, column = position
    top = row * node.stride[0] - node.padding[0]
    left = column * node.stride[1] - node.padding[1]
    offsets = itertools.product(range(node.kernel_size[0]), range(node.kernel_size[1]))
    return [(channel, top + down, left + right) for down, right in offsets]


def _convolution(graph: Graph, node: Conv2d, sources: list[Image], position: Position) -> int:
    shift = graph.format_of(node.source).frac + node.weight_frac[position[0]] - node.format.frac
    return _requantize(accumulator(graph, node, sources, position), shift, node, node.lo, node.hi)


def accumulator(graph: Graph, node: Conv2d, sources: list[Image], position: Position) -> int:
    """Bias, products and residual of one output code, before it is requantized."""
    channel, row, column = position
    acc = int(node.bias[channel])
    for i in range(node.weight.shape[1]):
        in_channel = channel if node.groups > 1 else i
        places = _window(node, (in_channel, row, column))
        weights = [int(weight) for weight in node.weight[channel, i].flat]
        acc += sum(sources[0].get(place, 0) * weight for place, weight in zip(places, weights, strict=True))
    if node.residual is not None:
        accumulator_frac = graph.format_of(node.source).frac + node.weight_frac[channel]
        acc += sources[1][position] << (accumulator_frac - graph.format_of(node.residual).frac)
    return acc


def _dense(graph: Graph, node: Dense, source: Image, position: Position) -> int:
    row = position[0]
    weights = [int(weight) for weight in node.weight[row]]
    codes = [source[place] for place in sorted(source)]
    acc = int(node.bias[row]) + sum(code * weight for code, weight in zip(codes, weights, strict=True))
    shift = graph.format_of(node.source).frac + node.weight_frac[row] - node.format.frac
    return _requantize(acc, shift, node, node.lo, node.hi)


def _concat(graph: Graph, node: Concat, sources: list[Image], position: Position) -> int:
    channel, row, column = position
    for name, source in zip(node.operands, sources, strict=True):
        if channel < graph.shapes[name][0]:
            return source[channel, row, column]
        channel -= graph.shapes[name][0]
    raise AssertionError("no operand holds that channel")


def _requantize(acc: int, shift: int, node: Conv2d | Dense | AvgPool2d, lo: int, hi: int) -> int:
    if node.rounding is RoundingMode.HALF_EVEN:
        return min(max(round(Fraction(acc, 2**shift)), lo), hi)
    half = 2 ** (shift - 1) if shift > 0 else 0
    return min(max((acc + half) // 2**shift, lo), hi)
