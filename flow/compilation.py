"""`bitlathe compile`: a network's program and weights and the engine's sources, as files with digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from bitlathe.flow import files
from bitlathe.flow.integer_network import ReadyGraph, preprocess_path
from bitlathe.hls.compile import Compiled, targeting
from bitlathe.hls.config import PROGRAM_VERSION, Target
from bitlathe.hls.cycle_model import DdrModel, predict
from bitlathe.hls.emit import emit_rtl
from bitlathe.model.graph import file as graph_file

MANIFEST = "manifest.json"
GRAPH = "graph.blg"


def compile_for(network: ReadyGraph, target: Target) -> Compiled:
    """Program of a network for a target; errors as `targeting.compile_for`."""
    return targeting.compile_for(network.graph, target)


def predicted_cycles(compiled: Compiled, target: Target) -> int:
    """Cycles of one image after the first, by the cycle model."""
    return predict(compiled.program, DdrModel.of(target), weights_resident=True).cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What was written; the row that --json prints. The manifest says more."""

    network: str
    target: str
    out: str
    program_bytes: int
    weights_bytes: int
    scratch_bytes: int  # of DDR that the program works in
    descriptors: int
    predicted_cycles: int  # of one image after the first
    predicted_latency_ms: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def check_replaceable(out: Path) -> None:
    """Raise UsageError unless `write_compilation` may write there."""
    files.check_replaceable(out, MANIFEST)


def write_compilation(network: ReadyGraph, compiled: Compiled, target: Target, out: Path) -> Compilation:
    """Write the folder of a compiled network, whole or not at all."""
    contents = _contents(network, compiled, target)
    manifest = json.dumps(_manifest(network, compiled, target, contents), indent=1) + "\n"
    with files.whole_folder(out, MANIFEST) as folder:
        files.fill(folder, {**contents, MANIFEST: manifest.encode()})
    cycles = predicted_cycles(compiled, target)
    return Compilation(
        network=network.name,
        target=target.name,
        out=str(out),
        program_bytes=len(contents["program.bin"]),
        weights_bytes=len(compiled.weights),
        scratch_bytes=compiled.scratch_bytes,
        descriptors=len(compiled.program.descriptors),
        predicted_cycles=cycles,
        predicted_latency_ms=cycles / (1000 * target.clock_mhz),
    )


def _contents(network: ReadyGraph, compiled: Compiled, target: Target) -> dict[str, bytes]:
    return {
        "program.bin": compiled.program.encode(),
        "weights.bin": compiled.weights,
        GRAPH: graph_file.encode(network.graph),
        preprocess_path(Path(GRAPH)).name: network.preprocess.encode(),
        **{f"rtl/{name}": text.encode() for name, text in emit_rtl(target).items()},
    }


def _manifest(
    network: ReadyGraph, compiled: Compiled, target: Target, contents: Mapping[str, bytes]
) -> dict[str, object]:
    return {
        "bitlathe": version("bitlathe"),
        "program_version": PROGRAM_VERSION,
        "network": network.name,
        "dataset": network.dataset_name,
        "weights": network.weights,
        "graph": graph_file.digest(network.graph),
        "target": {"name": target.name, "part": target.part, "clock_mhz": target.clock_mhz},
        "engine": {**asdict(target.engine), "identity": target.engine.identity},
        "input": {**asdict(compiled.input_layout), "bytes": compiled.input_layout.bytes},
        "output": {**asdict(compiled.output_layout), "bytes": compiled.output_layout.bytes},
        "scratch_bytes": compiled.scratch_bytes,
        "descriptors": list(compiled.labels),  # graph node of each, END aside
        "predicted_cycles": predicted_cycles(compiled, target),
        "predicted_cycles_first": compiled.predicted.cycles,
        "files": {name: _entry(content) for name, content in contents.items()},
    }


def _entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
