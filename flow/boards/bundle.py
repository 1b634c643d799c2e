"""Bundles for a board: compiled network, test vectors, overlay, and what the runner must know of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board import bundle as names
from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.codes import input_codes
from bitlathe.board.fields import JsonFields
from bitlathe.board.manifest import (
    MANIFEST,
    ONLY,
    AssumedMemory,
    FileEntry,
    Manifest,
    OutputEntry,
    Overlay,
    OverlayKind,
)
from bitlathe.board.names import NETWORK
from bitlathe.board.sim.boards import board_model
from bitlathe.board.sim.hwh import ENGINE, hwh_text
from bitlathe.board.sim.overlay_text import SimulatedOverlay
from bitlathe.board.sim.settings import MemoryTiming
from bitlathe.flow.boards.core import Core, core_of, output_files
from bitlathe.hls.program.registers import OFFSETS
from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import Target
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.archive import encode_graph
from bitlathe.model.graph.files.build_plan import BuildPlan
from bitlathe.model.graph.files.npy import npy_from_array
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import evaluate_outputs

ByteArray = NDArray[np.uint8]
OVERLAY_FACTS = "overlay.json"
_NAME_BEGINS = 48  # characters that stay of a network's name that a bundle does not allow


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayFiles:
    """An overlay's files, named after their own digest."""

    overlay: Overlay
    files: Mapping[str, bytes]
    kind: EngineKind  # of the core in it
    identity: int  # what that core answers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Test images of a bundle."""

    images: ByteArray  # (N, H, W, C)
    labels: NDArray[np.integer[Any]]  # (N,); -1 where the outputs are not classes
    table: NDArray[np.int8]  # (256, C): input code of each pixel value
    judged: int = 0  # number of the output that are classes

    def codes(self, form: FixedPoint) -> IntArray:
        """Input codes (N, C, H, W) of a format, of whose bytes the table holds the signed reading."""
        return input_codes(self.table, self.images, form.signed)


def make_bundle(
    graph: Graph,
    target: Target,
    overlay: OverlayFiles,
    vectors: Vectors,
    parent: Path,
    name: str | None = None,
) -> Bundle:
    """Compile a graph and write its bundle into `parent`, under the graph's name or another.

    Raises what compiling raises, and FormatError for an overlay that holds another core.
    """
    core = core_of(graph, target, overlay.kind)
    if core.engine.identity != overlay.identity:
        raise FormatError(
            f"{graph.name}: the overlay's {overlay.kind.value} core answers {overlay.identity:#010x}, needed "
            f"is {core.engine.identity:#010x}; build the overlay again for this network and target"
        )
    expected = evaluate_outputs(graph, vectors.codes(graph.input.format))
    files = {
        **overlay.files,
        **core.files,
        names.PREPROCESS: npy_from_array(vectors.table),
        names.IMAGES: npy_from_array(vectors.images),
        names.LABELS: npy_from_array(vectors.labels.astype(np.int32)),
        **output_files(names.EXPECTED, [codes.astype(np.int32) for codes in expected]),
        names.GRAPH: encode_graph(graph),
    }
    network = _network_name(name or graph.name)
    manifest = _manifest(network, graph, core, target, overlay.overlay, vectors, files)
    folder = parent / manifest.name
    if not (folder / MANIFEST).exists():  # named by its digest: one that is there is equal
        BuildPlan({**files, MANIFEST: manifest.encode()}).write(folder)
    return open_bundle(folder)


def simulated_overlay(target: Target) -> OverlayFiles:
    """The overlay of a simulated board; builds the simulator once, with ToolError as `build_model`."""
    board = board_model(target.name)
    library, hwh = engine_model(target.engine).read_bytes(), hwh_text(board, OFFSETS)
    ddr = SimulatedDdr.of(target)
    memory = MemoryTiming(
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
        address=board.registers,
        clock_mhz=target.clock_mhz,
    )
    return OverlayFiles(
        overlay=overlay,
        files={f"{stem}.bit": text.encode(), f"{stem}.hwh": hwh, f"{stem}.so": library},
        kind=EngineKind.RTL,
        identity=target.engine.identity,
    )


def read_overlay(folder: Path, target: Target) -> OverlayFiles:
    """A real board's overlay: the one .bit of a folder, its .hwh and `overlay.json`; FormatError otherwise.

    The build writes `overlay.json`: {"engine", "ip", "address", "clock_mhz", "identity"}; timing closed at
    that clock.
    """
    bits = sorted(folder.glob("*.bit"))
    needed = [folder / OVERLAY_FACTS, *(path.with_suffix(".hwh") for path in bits)]
    if len(bits) != 1 or not all(path.is_file() for path in needed):
        raise FormatError(
            f"{folder}: needs one .bit, its .hwh and {OVERLAY_FACTS}; make bitstream writes them"
        )
    facts = JsonFields.parse((folder / OVERLAY_FACTS).read_bytes(), str(folder / OVERLAY_FACTS))
    kinds = {kind.value: kind for kind in EngineKind}
    kind, identity = kinds.get(facts.text("engine")), facts.integer("identity", 0, 0xFFFF_FFFF)
    if kind is None:
        raise FormatError(f"{folder}: engine {facts.text('engine')!r} is none of {', '.join(kinds)}")
    if kind is not EngineKind.HLS4ML and identity != target.engine.identity:
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
    files = {f"{stem}.bit": bit, f"{stem}.hwh": hwh}
    return OverlayFiles(overlay=overlay, files=files, kind=kind, identity=identity)


def _manifest(
    network: str,
    graph: Graph,
    core: Core,
    target: Target,
    overlay: Overlay,
    vectors: Vectors,
    files: Mapping[str, bytes],
) -> Manifest:
    return Manifest(
        board=target.name,
        architecture=board_model(target.name).processor.architecture,
        network=network,
        overlay=overlay,
        engine=core.engine,
        descriptors=core.descriptors,
        input_shape=tuple(graph.input.shape),
        outputs=_outputs(graph, core),
        judged=vectors.judged,
        input_stride=core.input_stride,
        output_stride=core.output_stride,
        scratch_bytes=core.scratch_bytes,
        predicted_cycles=core.predicted_cycles,
        predicted_cycles_first=core.predicted_cycles_first,
        vectors=len(vectors.images),
        files={name: FileEntry.of(content) for name, content in files.items()},
        memory=AssumedMemory(latency=target.ddr_latency, busy=target.ddr_busy),
        images="" if graph.images is None else str(graph.images),
    )


def _outputs(graph: Graph, core: Core) -> tuple[OutputEntry, ...]:
    """The outputs of a bundle; only several have names."""
    entries = tuple(
        OutputEntry(
            name=output.name,
            shape=tuple(graph.shapes[output.tensor]),
            frac=graph.format_of(output.tensor).frac,
            signed=signed,
        )
        for output, signed in zip(graph.outputs, core.outputs_signed, strict=True)
    )
    return entries if len(entries) > 1 else (replace(entries[0], name=ONLY),)


def _network_name(name: str) -> str:
    """A network's name where a bundle allows it, else its beginning and a digest of the whole.

    >>> _network_name("resnet8"), _network_name("my network")
    ('resnet8', 'my_network_d12f888b')
    """
    if NETWORK.fits(name):
        return name
    begins = re.sub(r"[^A-Za-z0-9_.-]|^[.-]", "_", name[:_NAME_BEGINS])
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{begins}_{digest[:8]}"


def _stem(*parts: bytes) -> str:
    """File name of an overlay: its digest, for pynq and the loader keep what they read under a name."""
    return f"overlay_{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"
