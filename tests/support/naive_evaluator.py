"""Evaluator of integer graphs written from the arithmetic's definition: slow, plain, sharing no code with ours.

Python integers do all sums and shifts, one output code at a time.
"""

import itertools

import numpy as np

from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d, Node

Image = dict[tuple[int, int, int], int]  # code at (channel, row, column); what is absent is padding


def evaluate_naively(graph: Graph, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Codes (N, C, H, W) of every tensor."""
    images = [_evaluate_image(graph, image) for image in codes]
    return {name: np.stack([image[name] for image in images]) for name in graph.by_name}


def _evaluate_image(graph: Graph, codes: np.ndarray) -> dict[str, np.ndarray]:
    tensors = {graph.nodes[0].name: codes.astype(np.int64)}
    for node in graph.nodes[1:]:
        output = np.zeros(graph.shapes[node.name], dtype=np.int64)
        sources = [_as_image(tensors[source]) for source in node.sources]
        for position in itertools.product(*map(range, output.shape)):
            output[position] = _code(graph, node, sources, position)
        tensors[node.name] = output
    return tensors


def _as_image(codes: np.ndarray) -> Image:
    return {position: int(code) for position, code in np.ndenumerate(codes)}


def _code(graph: Graph, node: Node, sources: list[Image], position: tuple[int, int, int]) -> int:
    if isinstance(node, Conv2d):
        return _convolution(graph, node, sources, position)
    if isinstance(node, Dense):
        return _dense(graph, node, sources[0], position)
    if isinstance(node, AvgPool2d):
        total = sum(sources[0].get(place, 0) for place in _window(node, position))
        shift = graph.format_of(node.source).frac + node.multiplier_frac - node.format.frac
        return _requantize(total * node.multiplier, shift, node.format.lo, node.format.hi)
    if isinstance(node, MaxPool2d):
        return max(sources[0].get(place, node.format.lo) for place in _window(node, position))
    assert isinstance(node, Concat)
    return _concat(sources, position)


def _window(
    node: Conv2d | MaxPool2d | AvgPool2d, position: tuple[int, int, int]
) -> list[tuple[int, int, int]]:
    """Places in the channel of `position` that its window covers, padding included."""
    channel, row, column = position
    top = row * node.stride[0] - node.padding[0]
    left = column * node.stride[1] - node.padding[1]
    return [
        (channel, top + i, left + j) for i in range(node.kernel_size[0]) for j in range(node.kernel_size[1])
    ]


def _convolution(graph: Graph, node: Conv2d, sources: list[Image], position: tuple[int, int, int]) -> int:
    channel, row, column = position
    accumulator_frac = graph.format_of(node.source).frac + node.weight_frac[channel]
    acc = int(node.bias[channel])
    for i in range(node.weight.shape[1]):
        in_channel = channel if node.groups > 1 else i
        places = _window(node, (in_channel, row, column))
        weights = [int(weight) for weight in node.weight[channel, i].flat]
        acc += sum(sources[0].get(place, 0) * weight for place, weight in zip(places, weights, strict=True))
    if node.residual is not None:
        acc += sources[1][position] << (accumulator_frac - graph.format_of(node.residual).frac)
    return _requantize(acc, accumulator_frac - node.format.frac, node.lo, node.hi)


def _dense(graph: Graph, node: Dense, source: Image, position: tuple[int, int, int]) -> int:
    row = position[0]
    codes = [source[place] for place in sorted(source)]
    acc = int(node.bias[row]) + sum(
        code * int(weight) for code, weight in zip(codes, node.weight[row], strict=True)
    )
    shift = graph.format_of(node.source).frac + node.weight_frac[row] - node.format.frac
    return _requantize(acc, shift, node.lo, node.hi)


def _concat(sources: list[Image], position: tuple[int, int, int]) -> int:
    channel, row, column = position
    for source in sources:
        channels = 1 + max(place[0] for place in source)
        if channel < channels:
            return source[channel, row, column]
        channel -= channels
    raise AssertionError("no operand holds that channel")


def _requantize(acc: int, shift: int, lo: int, hi: int) -> int:
    half = 2 ** (shift - 1) if shift > 0 else 0
    return min(max((acc + half) // 2**shift, lo), hi)
