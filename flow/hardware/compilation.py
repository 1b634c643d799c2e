"""A network's program and weights and the engine's sources, as files with digests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bitlathe.flow import files
from bitlathe.flow.network.integer_network import ReadyGraph, preprocess_path
from bitlathe.hls.compile import Compiled, compiler
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
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.files.build_plan import BuildPlan


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkProgram:
    """A network as the program that a target's engine runs."""

    network: ReadyGraph
    target: Target
    compiled: Compiled  # program, weights, layouts of both ends

    @cached_property
    def cycles(self) -> int:
        """Cycles of one image after the first, by the cycle model."""
        return predict(self.compiled.program, DdrModel.of(self.target), weights_resident=True).cycles

    @property
    def milliseconds(self) -> float:
        """Those cycles at the clock that the target is meant to close at."""
        return self.target.milliseconds(self.cycles)

    def __repr__(self) -> str:
        return (
            f"{self.network.name} for {self.target.name}: {len(self.compiled.program.descriptors)} "
            f"descriptors, {self.cycles:,} cycles or {self.milliseconds:.4f} ms an image, predicted"
        )

    def save(self, folder: str | Path) -> Compilation:
        """Write program, weights, graph, the engine's sources and a manifest, whole or not at all.

        Raises UsageError where the folder holds what no compilation wrote, DataError where it cannot be
        written.
        """
        return _write(self, Path(folder))


def compile_for(network: ReadyGraph, target: Target) -> NetworkProgram:
    """A network's program for a target; errors as `compiler.compile_for`."""
    return NetworkProgram(
        network=network, target=target, compiled=compiler.compile_for(network.graph, target)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What was written, as the row that --json prints; the manifest says more."""

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
    """Raise UsageError unless a compilation may be saved there."""
    files.check_replaceable(out, MANIFEST)


def _write(program: NetworkProgram, out: Path) -> Compilation:
    network, compiled, target = program.network, program.compiled, program.target
    plan = compilation_plan(program)
    with files.whole_folder(out, MANIFEST) as folder:
        plan.fill(folder)
    return Compilation(
        network=network.name,
        target=target.name,
        out=str(out),
        program_bytes=len(plan.files[PROGRAM]),
        weights_bytes=len(compiled.weights),
        scratch_bytes=compiled.scratch_bytes,
        descriptors=len(compiled.program.descriptors),
        predicted_cycles=program.cycles,
        predicted_latency_ms=program.milliseconds,
    )


def compilation_plan(program: NetworkProgram) -> BuildPlan:
    """The folder of a compiled network: program, weights, graph, pixels' table, engine, manifest."""
    network, compiled, target = program.network, program.compiled, program.target
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
            "predicted_cycles": program.cycles,
            "predicted_cycles_first": compiled.predicted.cycles,
            "files": plan.entries(),
        },
    )
