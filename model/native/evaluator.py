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

from bitlathe.model.graph.arrays import Codes, Int64s, Outputs, only
from bitlathe.model.graph.bounds import CodeRange, code_ranges
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.fixed_point import IntArray, RoundingMode, rounding_constant
from bitlathe.model.graph.graph import Graph, product_shift, residual_shifts, shifts
from bitlathe.model.graph.nodes import Concat, Conv2d, Input, Node, Pair
from bitlathe.model.graph.parts import Part
from bitlathe.model.graph.proof import sum_ranges
from bitlathe.model.graph.reference import check_input, evaluate_outputs
from bitlathe.model.native import winograd
from bitlathe.model.native.library import fastest_kernels
from bitlathe.model.native.packing import BLOCK, blocks, per_channel, rounded_up, taps

Evaluator = Callable[[IntArray], Outputs]  # codes (N, C, H, W) of the input -> those of every output

CHUNK_BYTES = 64 << 10  # of a chunk's largest tensor: with its source and padding it stays in a core's cache
CHUNK_IMAGES = 8

_LOG = logging.getLogger(__name__)
_CONVOLUTION, _WINOGRAD, _DEPTHWISE, _MAXIMUM, _CONCATENATION, _LOOKUP, _PRODUCT = range(7)


class _NativeTensor(ctypes.Structure):
    """As in kernels.cpp."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("slot", "height", "width", "stride"))


class _Layer(ctypes.Structure):
    """As in kernels.cpp."""

    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in (
                *("kind", "output", "source", "residual", "factor", "channels_in", "channels_out"),
                *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w"),
                *("dilation_h", "dilation_w", "rows", "columns", "origin_h", "origin_w", "step_h", "step_w"),
                *("pairs", "lo", "hi", "offset", "half_even"),
            )
        ),
        *((name, ctypes.c_void_p) for name in ("weight", "first", "bias", "shift", "residual_shift")),
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
    small = all(_fits_int16(ranges[node.name]) for node in graph.needed)
    sums = (sums for node in graph.needed for sums in sum_ranges(graph, node, ranges))
    return small and all(each.max_abs < INT32_EXACT for each in sums)


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
        if isinstance(node, Concat):
            offset = 0
            for operand in node.operands:
                yield self._layer(node, operand, kind=_CONCATENATION, offset=offset)
                offset += self._graph.shapes[operand][0]
        elif isinstance(node, Lookup):
            table = np.array(node.codes).astype(np.int16)  # wider codes are none that the source's become
            first = self._graph.format_of(node.source).lo
            yield self._layer(node, node.source, kind=_LOOKUP, lo=first, weight=self._address(table))
        elif isinstance(node, Product):
            yield self._product(node)
        elif not isinstance(node, Input):
            yield from map(self._windows, self._graph.parts(node))

    def _product(self, node: Product) -> _Layer:
        places = np.full(self._graph.shapes[node.name][0], product_shift(self._graph, node))
        return self._layer(
            node,
            node.source,
            kind=_PRODUCT,
            factor=self._index[node.factor],
            **self._requantization(node, np.zeros(len(places), np.int64), places),
        )

    def _windows(self, part: Part) -> _Layer:
        node = part.node
        size = node.windows.size(node.name, *self._graph.shapes[node.source][1:])
        placed = _placed(part, size)
        if not isinstance(node, Conv2d):
            return self._layer(node, node.source, kind=_MAXIMUM, lo=node.format.lo, **placed)
        residual: dict[str, int] = {}
        if node.residual is not None:
            places = np.array(residual_shifts(self._graph, node))
            residual = {
                "residual": self._index[node.residual],
                "residual_shift": self._address(per_channel(places.astype(np.int32))),
            }
        return self._layer(
            node,
            node.source,
            **self._requantization(node, node.bias.astype(np.int64), np.array(shifts(self._graph, node))),
            **self._weight(node, size),
            **residual,
            **placed,
        )

    def _requantization(self, node: Conv2d | Product, bias: Int64s, places: Int64s) -> dict[str, int]:
        return {
            "bias": self._address(per_channel((bias + rounding_constant(places)).astype(np.int32))),
            "shift": self._address(per_channel(places.astype(np.int32))),
            "lo": node.lo,
            "hi": node.hi,
            "half_even": int(node.rounding is RoundingMode.HALF_EVEN),
        }

    def _weight(self, conv: Conv2d, size: Pair) -> dict[str, int]:
        """How the kernels compute a convolution to a map of `size`, and the weights that this takes."""
        stride = self._strides[conv.source]
        if conv.is_depthwise:
            return {"kind": _DEPTHWISE, "weight": self._address(taps(conv, stride))}
        pays = stride % BLOCK == 0 and winograd.pays(conv, size)
        by_tiles = pays and winograd.is_exact(conv, self._ranges[conv.source])
        made = blocks(winograd.transformed(conv.weight) if by_tiles else conv.weight, conv.groups)
        return {
            "kind": _WINOGRAD if by_tiles else _CONVOLUTION,
            "weight": self._address(made.weight),
            "first": self._address(made.first),
            "pairs": made.pairs,
        }

    def _layer(self, node: Node, source: str, **fields: int) -> _Layer:
        shapes = self._graph.shapes
        common = {
            "output": self._index[node.name],
            "source": self._index[source],
            "residual": -1,
            "channels_in": shapes[source][0],
            "channels_out": shapes[node.name][0],
        }
        return _Layer(**{**common, **fields})

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
    channels = graph.shapes[node.name][0]
    readers = [reader for reader in graph.consumers(node.name) if not isinstance(reader, Concat)]
    is_inner = node is graph.input and node.name not in graph.output_tensors
    if is_inner and all(_reads_pairs(graph, reader, node.name) for reader in readers):
        return channels + channels % 2
    return rounded_up(channels)


def _reads_pairs(graph: Graph, reader: Node, tensor: str) -> bool:
    parts = [part.node for part in graph.parts(reader)]
    convolutions = [node for node in parts if isinstance(node, Conv2d) and node.residual != tensor]
    return bool(parts) and len(parts) == len(convolutions) and not any(c.is_depthwise for c in convolutions)


def _fits_int16(codes: CodeRange) -> bool:
    limits = np.iinfo(np.int16)
    return int(limits.min) <= codes.lo and codes.hi <= int(limits.max)


def _placed(part: Part, size: Pair) -> dict[str, int]:
    """A part's window and where its results go, a map of `size`."""
    windows = part.node.windows
    pairs = {
        "kernel": windows.kernel_size,
        "stride": windows.stride,
        "pad": windows.padding,
        "dilation": windows.dilation,
        "origin": part.origin,
        "step": part.step,
    }
    by_axis = {f"{name}_{axis}": pair[i] for name, pair in pairs.items() for i, axis in enumerate("hw")}
    return {"rows": size[0], "columns": size[1], **by_axis}


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))
