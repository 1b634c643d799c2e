"""An integer graph in compiled code: the codes of `reference.evaluate_outputs`, tens of times faster.

The reference still defines the integers; tests hold this code to it. A graph with accumulators wider than
int32 or codes wider than int16 is left to the reference.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Codes, Outputs, only
from bitlathe.model.graph.bounds import CodeRange, accumulator_range, code_ranges
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.fixed_point import IntArray, RoundingMode, rounding_constant
from bitlathe.model.graph.graph import Graph, residual_shifts, shifts
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    Input,
    IntWeights,
    MaxPool2d,
    Node,
)
from bitlathe.model.graph.reference import check_input, evaluate_outputs
from bitlathe.model.native import winograd
from bitlathe.model.native.library import fastest_kernels

Evaluator = Callable[[IntArray], Outputs]  # codes (N, C, H, W) of the input -> those of every output

BLOCK = 16  # channels that are computed together
CHUNK_BYTES = 64 << 10  # of a chunk's largest tensor: with its source and padding it stays in a core's cache
CHUNK_IMAGES = 8

_LOG = logging.getLogger(__name__)
_CONVOLUTION, _WINOGRAD, _DEPTHWISE, _MAXIMUM, _CONCATENATION = range(5)


class _NativeTensor(ctypes.Structure):
    """As in kernels.cpp."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("slot", "height", "width", "stride"))


class _Layer(ctypes.Structure):
    """As in kernels.cpp."""

    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in (
                *("kind", "output", "source", "residual", "channels_in", "channels_out"),
                *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "lo", "hi"),
                *("offset", "half_even"),
            )
        ),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "shift", "residual_shift")),
    )


def evaluator(graph: Graph) -> Evaluator:
    """The fastest exact evaluator available for a graph: compiled code, else the reference."""
    fast = compiled(graph)
    return partial(evaluate_outputs, graph) if fast is None else fast.evaluate_outputs


def compiled(graph: Graph) -> CompiledGraph | None:
    """The graph in compiled code; None if it is not compilable or there is no C++ compiler."""
    if not is_compilable(graph):
        return None
    try:
        return CompiledGraph(graph)
    except ToolError as error:
        _LOG.info("%s: left to slower evaluation: %s", graph.name, error)
        return None


def is_compilable(graph: Graph) -> bool:
    """Whether int16 codes and int32 accumulators hold everything the needed nodes compute."""
    ranges = code_ranges(graph)
    nodes = graph.needed
    if not all(map(_has_kernel, nodes)):
        return False
    small = all(_fits_int16(ranges[node.name]) for node in nodes)
    weighted = [graph.convolution(node) for node in nodes if isinstance(node, Conv2d | Dense | AvgPool2d)]
    return small and all(accumulator_range(graph, conv, ranges).max_abs < INT32_EXACT for conv in weighted)


def _has_kernel(node: Node) -> bool:
    """Whether the kernels compute a node, with its windows and groups."""
    if isinstance(node, Conv2d | MaxPool2d):
        windows = node.windows
        plain = windows.dilation == (1, 1) and windows.padding == windows.end_padding
        grouped = isinstance(node, Conv2d) and node.groups > 1 and not node.is_depthwise
        return plain and min(windows.padding) >= 0 and not grouped
    return isinstance(node, Input | Dense | AvgPool2d | Concat)


class CompiledGraph:
    """A graph laid out for the compiled kernels; `is_compilable` must hold."""

    def __init__(self, graph: Graph, library: ctypes.CDLL | None = None) -> None:
        """Raises ToolError without a `library` if kernels.cpp cannot be compiled."""
        self._graph, self._library = graph, library or fastest_kernels()
        self._nodes = graph.needed
        self._index = {node.name: place for place, node in enumerate(self._nodes)}
        self._ranges = code_ranges(graph)
        self._strides = {node.name: _stride(graph, node) for node in self._nodes}
        slots = _slots(self._nodes, graph.output_tensors)
        self._slots = 1 + max(slots.values())
        self._tensors = (_NativeTensor * len(self._nodes))(
            *(self._tensor(node, slots[node.name]) for node in self._nodes)
        )
        self._arrays: list[IntArray] = []  # kept alive as the layers point into them
        layers = [layer for node in self._nodes for layer in self._layers(node)]
        self._program = (_Layer * len(layers))(*layers)

    def evaluate(self, codes: IntArray, threads: int | None = None) -> Codes:
        """Codes (N, C, H, W) of the one output, as `evaluate_outputs`."""
        return only(self.evaluate_outputs(codes, threads))

    def evaluate_outputs(self, codes: IntArray, threads: int | None = None) -> Outputs:
        """Codes (N, C, H, W) of every output for input codes (N, C, H, W); errors as `reference.evaluate`.

        `threads` is OMP_NUM_THREADS, else the number of cores, when None.
        """
        check_input(self._graph, codes)
        given = self._empty(self._graph.input.name, len(codes))
        given[..., : codes.shape[1]] = codes.transpose(0, 2, 3, 1)
        made = {tensor: self._empty(tensor, len(codes)) for tensor in self._graph.output_tensors}
        status = self._library.bitlathe_evaluate(
            *(self._program, len(self._program), self._tensors, len(self._tensors), self._slots),
            (ctypes.c_int32 * len(made))(*(self._index[tensor] for tensor in made)),
            (ctypes.c_void_p * len(made))(*(array.ctypes.data for array in made.values())),
            *(len(made), given.ctypes.data, len(codes)),
            *(self._chunk(), max(1, min(threads or _threads(), len(codes)))),
        )
        if status:
            raise MemoryError(f"{self._graph.name}: no memory for a chunk of {self._chunk()} images")
        return tuple(self._codes(output.tensor, made[output.tensor]) for output in self._graph.outputs)

    def _codes(self, tensor: str, made: npt.NDArray[np.int16]) -> Codes:
        """Codes (N, C, H, W) of what the kernels made, (N, H, W, stride)."""
        channels = self._graph.shapes[tensor][0]
        return np.ascontiguousarray(made[..., :channels].transpose(0, 3, 1, 2), dtype=np.int32)

    def _empty(self, tensor: str, images: int) -> npt.NDArray[np.int16]:
        _, height, width = self._graph.shapes[tensor]
        return np.zeros((images, height, width, self._strides[tensor]), np.int16)

    def _chunk(self) -> int:
        """Number of images that pass through the layers together."""
        largest = max(2 * int(t.height) * int(t.width) * int(t.stride) for t in self._tensors)
        return min(CHUNK_IMAGES, max(1, CHUNK_BYTES // largest))

    def _tensor(self, node: Node, slot: int) -> _NativeTensor:
        _, height, width = self._graph.shapes[node.name]
        return _NativeTensor(slot=slot, height=height, width=width, stride=self._strides[node.name])

    def _layers(self, node: Node) -> Iterator[_Layer]:
        if isinstance(node, Conv2d | Dense | AvgPool2d):
            yield self._weighted(self._graph.convolution(node))
        elif isinstance(node, MaxPool2d):
            yield self._layer(_MAXIMUM, node, node.source, lo=node.format.lo, **_window(node))
        elif isinstance(node, Concat):
            offset = 0
            for operand in node.operands:
                yield self._layer(_CONCATENATION, node, operand, offset=offset)
                offset += self._graph.shapes[operand][0]

    def _weighted(self, conv: Conv2d) -> _Layer:
        channels = _rounded_up(conv.out_channels)
        half = rounding_constant(np.array(shifts(self._graph, conv)))
        residual: dict[str, int] = {"residual": -1}
        if conv.residual is not None:
            places = _padded(np.array(residual_shifts(self._graph, conv), np.int32), channels)
            residual = {"residual": self._index[conv.residual], "residual_shift": self._address(places)}
        kind, weight = self._kind_and_weight(conv)
        return self._layer(
            kind,
            conv,
            conv.source,
            weight=self._address(weight),
            bias=self._address(_padded((conv.bias.astype(np.int64) + half).astype(np.int32), channels)),
            shift=self._address(_padded(np.array(shifts(self._graph, conv), np.int32), channels)),
            lo=conv.lo,
            hi=conv.hi,
            half_even=int(conv.rounding is RoundingMode.HALF_EVEN),
            **residual,
            **_window(conv),
        )

    def _kind_and_weight(self, conv: Conv2d) -> tuple[int, IntArray]:
        stride = self._strides[conv.source]
        if conv.is_depthwise:
            return _DEPTHWISE, _taps(conv, stride)
        pays = stride % BLOCK == 0 and winograd.pays(conv, self._graph.shapes[conv.name])
        if pays and winograd.is_exact(conv, self._ranges[conv.source]):
            return _WINOGRAD, _blocks(winograd.transformed(conv.weight))
        return _CONVOLUTION, _blocks(conv.weight)

    def _layer(self, kind: int, node: Node, source: str, **fields: int) -> _Layer:
        shapes = self._graph.shapes
        return _Layer(
            kind=kind,
            output=self._index[node.name],
            source=self._index[source],
            channels_in=shapes[source][0],
            channels_out=shapes[node.name][0],
            **fields,
        )

    def _address(self, array: IntArray) -> int:
        kept = np.ascontiguousarray(array)
        self._arrays.append(kept)
        return int(kept.ctypes.data)


def _slots(nodes: Sequence[Node], outputs: Sequence[str]) -> dict[str, int]:
    """A buffer for each tensor; it is reused once the tensor's last reader has run."""
    last = {tensor: place for place, node in enumerate(nodes) for tensor in (node.name, *node.sources)}
    last.update(dict.fromkeys(outputs, len(nodes)))
    slots: dict[str, int] = {}
    for place, node in enumerate(nodes):
        taken = {slots[tensor] for tensor in slots if last[tensor] >= place}
        slots[node.name] = next(slot for slot in range(len(nodes)) if slot not in taken)
    return slots


def _stride(graph: Graph, node: Node) -> int:
    """Codes from one pixel of a tensor to the next: whole blocks, except in images that convolutions read."""
    readers = [reader for reader in graph.consumers(node.name) if not isinstance(reader, Concat)]
    channels = graph.shapes[node.name][0]
    is_inner = node is graph.input and node.name not in graph.output_tensors
    if is_inner and all(_reads_pairs(r, node.name) for r in readers):
        return channels + channels % 2
    return _rounded_up(channels)


def _reads_pairs(reader: Node, tensor: str) -> bool:
    if isinstance(reader, Dense):
        return True
    return isinstance(reader, Conv2d) and not reader.is_depthwise and reader.residual != tensor


def _rounded_up(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _fits_int16(codes: CodeRange) -> bool:
    limits = np.iinfo(np.int16)
    return int(limits.min) <= codes.lo and codes.hi <= int(limits.max)


def _window(node: Conv2d | MaxPool2d) -> dict[str, int]:
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w")
    return dict(zip(names, (*node.kernel_size, *node.stride, *node.padding), strict=True))


def _padded(values: npt.NDArray[np.int32], channels: int) -> npt.NDArray[np.int32]:
    return np.pad(values, (0, channels - len(values)))


def _taps(conv: Conv2d, stride: int) -> npt.NDArray[np.int16]:
    """Depthwise weights (kernel_height, kernel_width, stride)."""
    taps = conv.weight[:, 0].transpose(1, 2, 0).astype(np.int16)
    return np.pad(taps, ((0, 0), (0, 0), (0, stride - taps.shape[2])))


def _blocks(weight: IntWeights) -> npt.NDArray[np.int16]:
    """Weights (blocks, kernel_height, kernel_width, pairs of input channels, 16, 2)."""
    out_channels, in_channels, *kernel = weight.shape
    padding = ((0, _rounded_up(out_channels) - out_channels), (0, in_channels % 2), (0, 0), (0, 0))
    padded = np.pad(weight.astype(np.int16), padding)
    pairs = padded.reshape(-1, BLOCK, padded.shape[1] // 2, 2, *kernel)
    return pairs.transpose(0, 4, 5, 2, 1, 3)


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))
