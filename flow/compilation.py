"""`bitlathe compile`: a network's program and weights and the engine's sources, as files with digests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bitlathe.flow import files
from bitlathe.flow.integer_network import ReadyGraph, preprocess_path
from bitlathe.hls.compile import Compiled, targeting
from bitlathe.hls.compile.build_files import (
    GRAPH,
    MANIFEST,
    PROGRAM,
    build_facts,
    engine_files,
    graph_files,
    program_files,
    versions,
)
from bitlathe.hls.config import Target
from bitlathe.hls.cycle_model import DdrModel, predict
from bitlathe.model.graph.files.build_plan import BuildPlan


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
    plan = compilation_plan(network, compiled, target)
    with files.whole_folder(out, MANIFEST) as folder:
        plan.fill(folder)
    cycles = predicted_cycles(compiled, target)
    return Compilation(
        network=network.name,
        target=target.name,
        out=str(out),
        program_bytes=len(plan.files[PROGRAM]),
        weights_bytes=len(compiled.weights),
        scratch_bytes=compiled.scratch_bytes,
        descriptors=len(compiled.program.descriptors),
        predicted_cycles=cycles,
        predicted_latency_ms=cycles / (1000 * target.clock_mhz),
    )


def compilation_plan(network: ReadyGraph, compiled: Compiled, target: Target) -> BuildPlan:
    """The folder of a compiled network: program, weights, graph, pixels' table, engine, manifest."""
    preprocess = {preprocess_path(Path(GRAPH)).name: network.preprocess.encode()}
    plan = BuildPlan(
        {**program_files(compiled), **graph_files(network.graph), **preprocess, **engine_files(target)}
    )
    return plan.with_json(
        MANIFEST,
        {
            **versions(network.name),
            "dataset": network.dataset_name,
            "weights": network.weights,
            **build_facts(network.graph, compiled, target),
            "descriptors": list(compiled.labels),  # graph node of each, END aside
            "predicted_cycles": predicted_cycles(compiled, target),
            "predicted_cycles_first": compiled.predicted.cycles,
            "files": plan.entries(),
        },
    )
