"""Bundles for a board: compiled network, test vectors, overlay, and what the runner must know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board import bundle as names
from bitlathe.board.bundle import Bundle, write_bundle
from bitlathe.board.fields import Fields
from bitlathe.board.manifest import Descriptor, Engine, FileEntry, Manifest, Overlay, OverlayKind
from bitlathe.board.sim.hwh import ENGINE, hwh_text
from bitlathe.board.sim.overlay_text import SimulatedOverlay
from bitlathe.board.sim.settings import Memory, board_model
from bitlathe.hls.compile import Compiled, InputLayout, OutputLayout
from bitlathe.hls.compile.targeting import compile_for
from bitlathe.hls.config import PROGRAM_VERSION, Target
from bitlathe.hls.cycle_model import DdrModel, predict
from bitlathe.hls.program import ErrorCode
from bitlathe.hls.registers import OFFSETS
from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.model.graph import file as graph_file
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import evaluate

ByteArray = NDArray[np.uint8]
Index = NDArray[np.int32]
OVERLAY_FACTS = "overlay.json"
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
        codes: NDArray[np.int8] = self.table[self.images, np.arange(self.table.shape[1])]
        return codes.transpose(0, 3, 1, 2)


def make_bundle(
    graph: Graph,
    target: Target,
    overlay: OverlayFiles,
    vectors: Vectors,
    parent: Path,
    name: str | None = None,
) -> Bundle:
    """Compile a graph and write its bundle into `parent`, under its own name or another.

    Raises what compiling raises.
    """
    compiled = compile_for(graph, target)
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
    return write_bundle(parent, replace(manifest, network=name or graph.name), files)


def simulated_overlay(target: Target) -> OverlayFiles:
    """The overlay of a simulated board; builds the simulator once, with ToolError as `build_model`."""
    board = board_model(target.name)
    library, hwh = engine_model(target.engine).read_bytes(), hwh_text(board, OFFSETS)
    ddr = SimulatedDdr(busy=target.ddr_busy, latency=target.ddr_latency)
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


def read_overlay(folder: Path, target: Target) -> OverlayFiles:
    """A real board's overlay: the one .bit of a folder, its .hwh and `overlay.json`; FormatError otherwise.

    The build writes `overlay.json`: {"ip", "address", "clock_mhz", "identity"}; timing closed at that clock.
    """
    bits = sorted(folder.glob("*.bit"))
    needed = [folder / OVERLAY_FACTS, *(path.with_suffix(".hwh") for path in bits)]
    if len(bits) != 1 or not all(path.is_file() for path in needed):
        raise FormatError(
            f"{folder}: needs one .bit, its .hwh and {OVERLAY_FACTS}; make bitstream writes them"
        )
    facts = Fields.parse((folder / OVERLAY_FACTS).read_bytes(), str(folder / OVERLAY_FACTS))
    if facts.integer("identity") != target.engine.identity:
        raise FormatError(f"{folder}: holds another engine than {target.name}'s; build the overlay again")
    bit, hwh = bits[0].read_bytes(), bits[0].with_suffix(".hwh").read_bytes()
    stem = _stem(bit, hwh)
    overlay = Overlay(
        kind=OverlayKind.BITSTREAM,
        bit=f"{stem}.bit",
        hwh=f"{stem}.hwh",
        ip=facts.text("ip"),
        address=facts.integer("address"),
        clock_mhz=facts.number("clock_mhz"),
    )
    return OverlayFiles(overlay=overlay, files={f"{stem}.bit": bit, f"{stem}.hwh": hwh})


def input_index(layout: InputLayout) -> Index:
    """Which code of a flattened input each packed byte is, -1 for a zero; found by packing numbers."""
    shape = (layout.channels, layout.height, layout.width)
    numbers = np.arange(1, np.prod(shape) + 1).reshape(1, *shape)
    return _joined(layout.pack(digits)[0] for digits in _digits(numbers)) - np.int32(1)


def output_index(layout: OutputLayout) -> Index:
    """Which byte each code of a flattened output is; found by unpacking numbers."""
    numbers = np.arange(layout.bytes)[np.newaxis]
    return _joined(layout.unpack(digits.astype(np.uint8)).ravel() for digits in _digits(numbers))


def _digits(numbers: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.integer[Any]]]:
    """Numbers cut into bytes, the lowest first."""
    return ((numbers >> 8 * digit) & 0xFF for digit in range(_DIGITS))


def _joined(digits: Iterator[NDArray[np.integer[Any]]]) -> Index:
    joined = [(values.astype(np.int32) & 0xFF) << 8 * digit for digit, values in enumerate(digits)]
    index: Index = np.sum(joined, axis=0, dtype=np.int32)
    return index


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
    """File name of an overlay: its digest, for pynq and the loader keep what they read under a name."""
    return f"overlay_{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"
