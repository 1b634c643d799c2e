"""Reference evaluation: what every implementation of an integer graph must compute, bit for bit.

Codes are (N, C, H, W) outside and (N, H, W, C) inside. Images are evaluated in chunks that stay in
cache, and a tensor is freed after its last consumer.
"""

from collections.abc import Callable, Iterator

import numpy as np

from bitlathe.model.graph.arrays import Codes, Outputs
from bitlathe.model.graph.bounds import CodeRange, accumulator_range, code_ranges
from bitlathe.model.graph.convolution import FLOAT64_EXACT, INT32_EXACT, IntType, Window, products_of
from bitlathe.model.graph.errors import FormatError, OverflowRisk, ShapeError
from bitlathe.model.graph.fixed_point import IntArray, requantize_in_place
from bitlathe.model.graph.graph import Graph, dead_after, residual_shifts, shifts
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d, Node
from bitlathe.model.graph.other_kernels import Kernel, kernel_of

KernelCall = tuple[Node, Kernel, tuple[str, ...]]  # a node, how to run it, tensors to free afterwards

CHUNK_BYTES = 4 << 20  # of the largest matrix of windows


def evaluate(graph: Graph, codes: IntArray) -> Codes:
    """Codes (N, C, H, W) of the graph's one output for input `codes` (N, C, H, W).

    Exact also where `proof.check` would refuse the graph, as long as no sum can reach 2**53.
    Raises ShapeError, FormatError or OverflowRisk.
    """
    return _evaluate(graph, codes, frozenset([graph.only_output]))[graph.only_output]


def evaluate_outputs(graph: Graph, codes: IntArray) -> Outputs:
    """Codes (N, C, H, W) of every output, in order; errors as `evaluate`."""
    made = _evaluate(graph, codes, frozenset(graph.output_tensors))
    return tuple(made[output.tensor] for output in graph.outputs)


def evaluate_all(graph: Graph, codes: IntArray) -> dict[str, Codes]:
    """Codes (N, C, H, W) of every tensor, in the order of the nodes; errors as `evaluate`."""
    return _evaluate(graph, codes, frozenset(graph.by_name))


def check_input(graph: Graph, codes: IntArray) -> None:
    """Raise ShapeError or FormatError unless the graph's input can hold the integers `codes` (N, C, H, W)."""
    if codes.ndim != 4 or codes.shape[1:] != graph.input.shape:
        raise ShapeError(
            f"{graph.name}: input codes have shape {codes.shape}; they must be (N, C, H, W) with "
            f"(C, H, W) = {graph.input.shape}"
        )
    if not np.issubdtype(codes.dtype, np.integer):
        raise FormatError(f"{graph.name}: input codes are {codes.dtype}, not integers; convert them exactly")
    lo, hi = graph.input.format.lo, graph.input.format.hi
    if codes.size and not lo <= codes.min() <= codes.max() <= hi:
        raise FormatError(
            f"{graph.name}: input codes span [{codes.min()}, {codes.max()}], beyond [{lo}, {hi}]; clip them"
        )


def largest_in_windows(node: MaxPool2d, codes: IntArray) -> IntArray:
    """Codes of a max pool for source codes (N, H, W, C)."""
    taken = Window(windows=node.windows).views(codes, node.format.lo, codes.dtype)
    largest = taken[:, :, :, 0, 0].copy()
    for row, column in np.ndindex(*node.kernel_size):
        np.maximum(largest, taken[:, :, :, row, column], out=largest)
    return largest


def _evaluate(graph: Graph, codes: IntArray, wanted: frozenset[str]) -> dict[str, Codes]:
    check_input(graph, codes)
    count = codes.shape[0]
    results = {
        name: np.empty((count, *graph.shapes[name]), np.int32) for name in graph.by_name if name in wanted
    }
    steps = tuple(_steps(graph))
    chunk = _chunk_images(graph)
    for start in range(0, count, chunk):
        images = slice(start, start + chunk)
        for name, tensor in _run(steps, codes[images]):
            if name in wanted:
                results[name][images] = tensor.transpose(0, 3, 1, 2)
    return results


def _run(steps: tuple[KernelCall, ...], codes: IntArray) -> Iterator[tuple[str, IntArray]]:
    tensors: dict[str, IntArray] = {}
    channels_last = np.ascontiguousarray(codes.transpose(0, 2, 3, 1), dtype=np.int32)
    for node, kernel, dead in steps:
        sources = tuple(tensors[source] for source in node.sources) or (channels_last,)
        tensors[node.name] = kernel(sources)
        yield node.name, tensors[node.name]
        for name in dead:
            del tensors[name]


def _steps(graph: Graph) -> Iterator[KernelCall]:
    ranges = code_ranges(graph)
    dead = dead_after(graph.nodes)
    for node in graph.nodes:
        yield node, _kernel(graph, node, ranges), dead.get(node.name, ())


def _chunk_images(graph: Graph) -> int:
    """Number of images whose largest matrix of windows fits CHUNK_BYTES."""
    largest = max(_window_elements(graph, node) for node in graph.nodes)
    return max(1, CHUNK_BYTES // (largest * np.dtype(np.float32).itemsize))


def _window_elements(graph: Graph, node: Node) -> int:
    elements = int(np.prod(graph.shapes[node.name]))
    if not isinstance(node, Conv2d) or node.is_depthwise:
        return elements
    return elements // node.out_channels * int(node.weight[0].size)


def _kernel(graph: Graph, node: Node, ranges: dict[str, CodeRange]) -> Kernel:
    if isinstance(node, Conv2d | Dense | AvgPool2d):
        return _convolution(graph, graph.convolution(node), ranges)
    if isinstance(node, MaxPool2d):
        return lambda sources: largest_in_windows(node, sources[0])
    if isinstance(node, Concat):
        return lambda sources: np.concatenate(sources, axis=-1)
    return kernel_of(graph, node)


def _convolution(graph: Graph, conv: Conv2d, ranges: dict[str, CodeRange]) -> Kernel:
    dtype = _sum_type(graph, conv, ranges)
    products = products_of(conv, ranges[conv.source], dtype)
    width = graph.shapes[conv.name][2]
    bias = _per_channel(conv.bias, width, dtype)
    shift = _per_channel(shifts(graph, conv), width, dtype)
    add_residual = _residual_adder(graph, conv, dtype)

    def run(sources: tuple[IntArray, ...]) -> IntArray:
        acc = products(sources[0])
        acc += bias
        add_residual(acc, sources)
        return requantize_in_place(acc, shift, conv.lo, conv.hi, conv.rounding).astype(np.int32, copy=False)

    return run


def _residual_adder(
    graph: Graph, conv: Conv2d, dtype: IntType
) -> Callable[[IntArray, tuple[IntArray, ...]], None]:
    if conv.residual is None:
        return lambda acc, sources: None
    places = _per_channel(residual_shifts(graph, conv), graph.shapes[conv.name][2], dtype)

    def add(acc: IntArray, sources: tuple[IntArray, ...]) -> None:
        acc += np.left_shift(sources[1], places, dtype=dtype)

    return add


def _sum_type(graph: Graph, conv: Conv2d, ranges: dict[str, CodeRange]) -> IntType:
    bound = accumulator_range(graph, conv, ranges).max_abs
    if bound >= FLOAT64_EXACT:
        raise OverflowRisk(
            f"{conv.name}: an accumulator may reach {bound}; narrow weights, activations or residual"
        )
    return np.int32 if bound < INT32_EXACT else np.int64


def _per_channel(values: IntArray | tuple[int, ...], width: int, dtype: IntType) -> IntArray:
    """Constants of the channels: a scalar if equal, else a whole row of the map, as long runs are fast."""
    row = np.asarray(values, dtype=dtype)
    return row[0] if (row == row[0]).all() else np.tile(row, (width, 1))
