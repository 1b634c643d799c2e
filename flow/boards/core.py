"""The core in a bundle's overlay: the engine with a program, or the kernel of one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board import bundle as names
from bitlathe.board.manifest import DescriptorEntry, Engine
from bitlathe.hls.compile import InputLayout, OutputLayout
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.model import DdrModel, move_beats, predict
from bitlathe.hls.program import Descriptor, ErrorCode, LoadMove, LoadWeights
from bitlathe.hls.program.registers import HLS_OFFSETS, KERNEL_OFFSETS, OFFSETS
from bitlathe.hls.target.config import PROGRAM_VERSION, EngineConfiguration, Target
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.model.graph.errors import ToolError, UnsupportedLayer
from bitlathe.model.graph.files.npy import npy_from_array
from bitlathe.model.graph.graph import Graph

Index = NDArray[np.int32]
_DIGITS = 3  # bytes that an index into an input's codes has; 16 million codes
_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A network on a core."""

    engine: Engine
    files: Mapping[str, bytes]  # program, weights and the layouts of both ends
    descriptors: tuple[DescriptorEntry, ...]
    outputs_signed: tuple[bool, ...]  # of each output
    input_stride: int  # bytes from an input to the next
    output_stride: int
    scratch_bytes: int
    predicted_cycles: int  # of one input
    predicted_cycles_first: int  # of one input that also loads the weights


def core_of(graph: Graph, target: Target, kind: EngineKind) -> Core:
    """A graph on the core of a target's overlay; raises what compiling or planning it raises."""
    return _CORES[kind](graph, target)


def input_index(layout: InputLayout) -> Index:
    """Which code of a flattened input each packed byte is, -1 for a zero; found by packing numbers."""
    shape = (layout.channels, layout.height, layout.width)
    numbers = np.arange(1, np.prod(shape) + 1).reshape(1, *shape)
    return _joined(layout.pack(digits)[0] for digits in _digits(numbers)) - np.int32(1)


def output_index(layout: OutputLayout) -> Index:
    """Which byte of an image's outputs each code of a flattened output is; found by unpacking numbers."""
    numbers = np.arange(layout.offset + layout.bytes)[np.newaxis]
    return _joined(layout.unpack(digits.astype(np.uint8)).ravel() for digits in _digits(numbers))


def output_files(name: str, arrays: Sequence[NDArray[np.integer[Any]]]) -> dict[str, bytes]:
    """A bundle's files of an array for each output."""
    count = len(arrays)
    return {names.numbered(name, number, count): npy_from_array(array) for number, array in enumerate(arrays)}


def _digits(numbers: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.integer[Any]]]:
    """Numbers cut into bytes, the lowest first."""
    return ((numbers >> 8 * digit) & 0xFF for digit in range(_DIGITS))


def _joined(digits: Iterator[NDArray[np.integer[Any]]]) -> Index:
    joined = [(values.astype(np.int32) & 0xFF) << 8 * digit for digit, values in enumerate(digits)]
    index: Index = np.sum(joined, axis=0, dtype=np.int32)
    return index


def _engine(graph: Graph, target: Target, registers: Mapping[str, int]) -> Core:
    compiled = compile_for(graph, target)
    program = compiled.program
    return Core(
        engine=Engine(
            identity=target.engine.identity,
            version=PROGRAM_VERSION,
            word_bytes=target.engine.word_bytes,
            registers=dict(registers),
            errors={code.name: code.value for code in ErrorCode},
        ),
        files={
            names.PROGRAM: program.encode(),
            names.WEIGHTS: compiled.weights,
            names.INPUT_INDEX: npy_from_array(input_index(compiled.input_layout)),
            **output_files(names.OUTPUT_INDEX, [output_index(layout) for layout in compiled.output_layouts]),
        },
        descriptors=tuple(
            DescriptorEntry(
                opcode=descriptor.opcode.name,
                node=descriptor.node,
                bytes=_bytes_read(descriptor, target.engine),
            )
            for descriptor in program.descriptors
        ),
        outputs_signed=tuple(layout.signed for layout in compiled.output_layouts),
        input_stride=program.input_stride,
        output_stride=program.output_stride,
        scratch_bytes=compiled.scratch_bytes,
        predicted_cycles=predict(program, DdrModel.of(target), weights_resident=True).cycles,
        predicted_cycles_first=compiled.predicted.cycles,
    )


def _bytes_read(descriptor: Descriptor, engine: EngineConfiguration) -> int:
    """Bytes that a descriptor reads from memory."""
    if isinstance(descriptor, LoadMove | LoadWeights):
        return move_beats(descriptor) * engine.word_bytes
    return 0


def _kernel(graph: Graph, target: Target) -> Core:
    """hls4ml's kernel reads and writes codes, a byte each, channels last; its weights are in the fabric."""
    try:
        from bitlathe.hls.hls4ml import make_plan
        from bitlathe.hls.hls4ml.project.emit import identity_of
    except ImportError as error:
        raise ToolError(
            f"a kernel's bundle needs hls4ml ({error}): pip install 'bitlathe[hls4ml]'"
        ) from error
    plan = make_plan(graph, target)
    made = plan.last.types["result"]
    if max(plan.layers[0].types["result"].bits, made.bits) > _BYTE:
        raise UnsupportedLayer(f"{graph.name}: its codes at the ends exceed 8 bits; the runner moves bytes")
    first, last = graph.input.shape, graph.shapes[graph.only_output]
    inputs = np.arange(np.prod(first), dtype=np.int32).reshape(first).transpose(1, 2, 0)
    height_width_channels = (last[1], last[2], last[0])
    outputs = np.arange(np.prod(last), dtype=np.int32).reshape(height_width_channels).transpose(2, 0, 1)
    return Core(
        engine=Engine(
            identity=identity_of(graph),
            version=PROGRAM_VERSION,
            word_bytes=1,
            registers=dict(KERNEL_OFFSETS),
            errors={},
        ),
        files={
            names.INPUT_INDEX: npy_from_array(inputs.ravel()),
            names.OUTPUT_INDEX: npy_from_array(outputs.ravel()),
        },
        descriptors=(),
        outputs_signed=(made.signed,),
        input_stride=inputs.size,
        output_stride=outputs.size,
        scratch_bytes=0,
        predicted_cycles=plan.interval_cycles,
        predicted_cycles_first=plan.interval_cycles,
    )


_CORES: Mapping[EngineKind, Callable[[Graph, Target], Core]] = {
    EngineKind.RTL: lambda graph, target: _engine(graph, target, OFFSETS),
    EngineKind.HLS: lambda graph, target: _engine(graph, target, HLS_OFFSETS),
    EngineKind.HLS4ML: _kernel,
}
