"""Bundles for a board: a compiled network, test vectors and an overlay, with all that the runner must know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board import bundle as names
from bitlathe.board.bundle import Bundle, write_bundle
from bitlathe.board.manifest import Descriptor, Engine, FileEntry, Manifest, Overlay, OverlayKind
from bitlathe.board.sim.hwh import ENGINE, hwh_text
from bitlathe.board.sim.overlay_text import SimulatedOverlay
from bitlathe.board.sim.settings import Memory, board_model
from bitlathe.hls.compile import Compiled, InputLayout, OutputLayout, compile_graph
from bitlathe.hls.config import PROGRAM_VERSION, Target
from bitlathe.hls.cycle_model import DdrModel, predict
from bitlathe.hls.program import ErrorCode
from bitlathe.hls.registers import OFFSETS
from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.model.graph import file as graph_file
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import evaluate

ByteArray = NDArray[np.uint8]
_DIGITS = 3  # bytes that an index into an input's codes has; 16 million codes


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayFiles:
    """An overlay's files, named after their own digest."""

    overlay: Overlay
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Test images of a bundle."""

    images: ByteArray  # (N, H, W, C)
    labels: NDArray[np.integer[Any]]  # (N,)
    table: NDArray[np.int8]  # (256, C): input code of each pixel value

    @property
    def codes(self) -> NDArray[np.int8]:
        """Input codes (N, C, H, W)."""
        return self.table[self.images, np.arange(self.table.shape[1])].transpose(0, 3, 1, 2)


def make_bundle(
    graph: Graph, target: Target, overlay: OverlayFiles, vectors: Vectors, parent: Path
) -> Bundle:
    """Compile a graph and write its bundle into `parent`; raises what compiling raises."""
    compiled = compile_graph(graph, target.engine, DdrModel.of(target))
    expected = evaluate(graph, vectors.codes)
    files = {
        **overlay.files,
        names.PROGRAM: compiled.program.encode(),
        names.WEIGHTS: compiled.weights,
        names.INPUT_INDEX: _npy(input_index(compiled.input_layout)),
        names.OUTPUT_INDEX: _npy(output_index(compiled.output_layout)),
        names.PREPROCESS: _npy(vectors.table),
        names.IMAGES: _npy(vectors.images),
        names.LABELS: _npy(vectors.labels.astype(np.int32)),
        names.EXPECTED: _npy(expected.astype(np.int32)),
        names.GRAPH: graph_file.encode(graph),
    }
    manifest = _manifest(graph, compiled, target, overlay.overlay, expected.shape, files)
    return write_bundle(parent, manifest, files)


def simulated_overlay(target: Target) -> OverlayFiles:
    """The overlay of a simulated board; builds the simulator where it is not there yet. ToolError as `build_model`."""
    board = board_model(target.name)
    library, hwh = engine_model(target.engine).read_bytes(), hwh_text(board, OFFSETS)
    ddr = SimulatedDdr.of(target)
    memory = Memory(
        latency=ddr.latency, write_latency=ddr.write_latency, outstanding=ddr.outstanding, busy=ddr.busy
    )
    stem = _stem(library, hwh, repr(memory).encode())
    text = SimulatedOverlay(
        board=target.name, library=f"{stem}.so", identity_offset=OFFSETS["IDENTITY"], memory=memory
    )
    overlay = Overlay(
        kind=OverlayKind.SIMULATION,
        bit=f"{stem}.bit",
        hwh=f"{stem}.hwh",
        ip=ENGINE,
        address=board.ip_address,
        clock_mhz=target.clock_mhz,
    )
    return OverlayFiles(
        overlay=overlay,
        files={f"{stem}.bit": text.encode(), f"{stem}.hwh": hwh, f"{stem}.so": library},
    )


def input_index(layout: InputLayout) -> NDArray[np.int32]:
    """Which code of a flattened input each packed byte is, -1 for a zero; found by packing numbers digit by digit."""
    shape = (layout.channels, layout.height, layout.width)
    numbers = np.arange(1, np.prod(shape) + 1).reshape(1, *shape)
    digits = [layout.pack((numbers >> 8 * digit) & 0xFF)[0].astype(np.int32) for digit in range(_DIGITS)]
    return sum(values << 8 * digit for digit, values in enumerate(digits)) - np.int32(1)


def output_index(layout: OutputLayout) -> NDArray[np.int32]:
    """Which byte each code of a flattened output is."""
    numbers = np.arange(layout.bytes)
    digits = [
        layout.unpack(((numbers >> 8 * digit) & 0xFF).astype(np.uint8)[np.newaxis])
        for digit in range(_DIGITS)
    ]
    return sum((values.ravel() & 0xFF) << 8 * digit for digit, values in enumerate(digits)).astype(np.int32)


def _manifest(
    graph: Graph,
    compiled: Compiled,
    target: Target,
    overlay: Overlay,
    expected_shape: tuple[int, ...],
    files: Mapping[str, bytes],
) -> Manifest:
    program = compiled.program
    resident = predict(program, DdrModel.of(target), weights_resident=True)
    output = graph.format_of(graph.output)
    return Manifest(
        board=target.name,
        architecture=board_model(target.name).architecture,
        network=graph.name,
        overlay=overlay,
        engine=Engine(
            identity=target.engine.identity,
            version=PROGRAM_VERSION,
            word_bytes=target.engine.word_bytes,
            registers=dict(OFFSETS),
            errors={code.name: code.value for code in ErrorCode},
        ),
        descriptors=tuple(
            Descriptor(opcode=descriptor.opcode.name, node=descriptor.node)
            for descriptor in program.descriptors
        ),
        input_shape=tuple(graph.input.shape),
        output_shape=expected_shape[1:],
        output_frac=output.frac,
        output_signed=compiled.output_layout.signed,
        input_stride=program.input_stride,
        output_stride=program.output_stride,
        scratch_bytes=compiled.scratch_bytes,
        predicted_cycles=resident.cycles,
        predicted_cycles_first=compiled.predicted.cycles,
        vectors=expected_shape[0],
        files={name: FileEntry.of(content) for name, content in files.items()},
    )


def _npy(array: NDArray[Any]) -> bytes:
    made = BytesIO()
    np.save(made, np.ascontiguousarray(array), allow_pickle=False)
    return made.getvalue()


def _stem(*parts: bytes) -> str:
    """File name of an overlay. pynq and the loader keep what they once read under a name, so contents must name it."""
    return f"overlay_{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"
