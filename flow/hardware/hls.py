"""HLS projects: emitted, proven in C simulation, synthesized by vendor tools where there are any."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from bitlathe.flow import files
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.sim.engine import OutputCodes
from bitlathe.hls.target.config import Target
from bitlathe.hls.tools.find import SETTINGS_VARIABLE, Tool, find_hls
from bitlathe.hls.tools.reports import HlsReport
from bitlathe.hls.tools.synthesis import SynthesisResult, synthesize
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.hls.vitis.project import emit_hls
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.build_plan import BuildPlan
from bitlathe.model.graph.files.storage import writable
from bitlathe.model.graph.fixed_point import IntArray

MARKER = "project.json"
PROJECTS = Path("build/hls")
REPORTS = Path("build/bench/hls.json")


class Flow(Enum):
    """The kind of hardware that the network becomes."""

    ENGINE = "engine"  # a program for the one engine, in HLS C++
    HLS4ML = "hls4ml"  # a pipeline of its own, by hls4ml


class Hls4mlBackend(Enum):
    """hls4ml's backend, by its name there."""

    VITIS = "Vitis"
    VIVADO_ACCELERATOR = "VivadoAccelerator"  # PYNQ-Z2 alone; floats and a DMA around the same network


class Synth(Enum):
    """Whether to synthesize, and whether a missing tool is a failure."""

    AUTO = "auto"  # synthesize where a tool is found
    REQUIRE = "require"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsRequest:
    """What to emit, and how far to take it."""

    target: Target
    flow: Flow
    backend: Hls4mlBackend | None = None  # of the flow hls4ml; None: Vitis
    reuse_factor: int | None = None  # of the flow hls4ml, for all layers; None: chosen for the target's DSPs
    out: Path | None  # None: named after network, target and flow
    images: int
    synth: Synth
    reports: Path = REPORTS

    def __post_init__(self) -> None:
        if self.flow is not Flow.HLS4ML:
            if self.backend is not None:
                raise UsageError(f"`backend={self.backend.value}`: is hls4ml's; give `flow=hls4ml` too")
            if self.reuse_factor is not None:
                raise UsageError(f"`reuse_factor={self.reuse_factor}`: is hls4ml's; give `flow=hls4ml` too")

    def folder(self, network: str) -> Path:
        """Where the project of a network goes."""
        other = "" if self.backend in (None, Hls4mlBackend.VITIS) else f"-{self.backend.value}"
        return self.out or PROJECTS / f"{network}-{self.target.name}-{self.flow.value}{other}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsResult:
    """What was done and what was not, as the row that --json prints."""

    network: str
    target: str
    flow: str
    out: str
    files: int
    images: int
    mismatches: int  # output integers that differ from the reference's
    seconds: float  # of the C simulation, compiling included
    tool: str | None  # that synthesized
    report: Mapping[str, object] | None
    ip: str | None
    bench: str | None  # None: not run; empty: passed; else what it failed with
    not_done: tuple[str, ...]  # and how to go on

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    def check(self) -> None:
        """Raise CheckFailed unless every integer is the reference's."""
        if self.mismatches:
            raise CheckFailed(
                f"{self.network}: {self.mismatches} output integers of the C simulation differ from the "
                "reference; report it with this command"
            )
        if self.bench:
            raise CheckFailed(
                f"{self.ip}: the exported Verilog fails the whole-engine bench, so do not build with it; "
                f"report it with the tool's release\n{self.bench}"
            )


def run_hls(network: IntegerNetwork, request: HlsRequest, progress: Progress = silent) -> HlsResult:
    """Emit, C-simulate, and synthesize where a tool is found.

    Raises ToolError for a tool that fails, or that is required and missing; what the emitters raise.
    """
    out = request.folder(network.name)
    files.check_replaceable(out, MARKER)
    tool = None if request.synth is Synth.NEVER else find_hls()
    if tool is None and request.synth is Synth.REQUIRE:
        raise ToolError(f"no HLS tool on PATH: {how_to_find('vitis-run or vitis_hls')}")
    project = _emitted(network, request)
    write_project(out, project, _about(network, request))
    images, _ = network.test_images(request.images)
    started = time.monotonic()
    with writable(out):
        outputs = _SIMULATIONS[request.flow](network, request, out, network.preprocess.codes(images))
    expected = network.reference_outputs(images)
    result = HlsResult(
        network=network.name,
        target=request.target.name,
        flow=request.flow.value,
        out=str(out),
        files=len(project),
        images=len(images),
        mismatches=sum(int((made != wanted).sum()) for made, wanted in zip(outputs, expected, strict=True)),
        seconds=round(time.monotonic() - started, 1),
        tool=None,
        report=None,
        ip=None,
        bench=None,
        not_done=(),
    )
    return _synthesized(result, request, tool, progress)


def write_project(out: Path, project: Mapping[str, str], about: Mapping[str, object]) -> None:
    """Write a project's files over those of an earlier run; other files that tools left there stay."""
    plan = BuildPlan.of_texts(project).with_json(MARKER, {**about, "files": sorted(project)})
    plan.write_over(out)


def _emitted(network: IntegerNetwork, request: HlsRequest) -> Mapping[str, str]:
    if request.flow is Flow.ENGINE:
        return emit_hls(request.target)
    package = _hls4ml()
    files: Mapping[str, str] = package.emit(network.graph, request.target, _options(package, request))
    return files


def _simulated_engine(
    network: IntegerNetwork, request: HlsRequest, out: Path, codes: IntArray
) -> OutputCodes:
    return HlsEngine(request.target).run_outputs(compile_for(network.graph, request.target), codes)


def _simulated_hls4ml(
    network: IntegerNetwork, request: HlsRequest, out: Path, codes: IntArray
) -> OutputCodes:
    package = _hls4ml()
    options = _options(package, request)
    plan = package.make_plan(network.graph, request.target, options)
    return (np.asarray(package.simulate_project(plan, out, codes, options.backend)),)


_SIMULATIONS: Mapping[Flow, Callable[[IntegerNetwork, HlsRequest, Path, IntArray], OutputCodes]] = {
    Flow.ENGINE: _simulated_engine,
    Flow.HLS4ML: _simulated_hls4ml,
}


def _options(package: Any, request: HlsRequest) -> Any:
    return package.Options(
        backend=package.Backend((request.backend or Hls4mlBackend.VITIS).value),
        reuse_factor=request.reuse_factor,
    )


def _hls4ml() -> Any:
    """The room that needs an optional package."""
    try:
        import bitlathe.hls.hls4ml as package
    except ImportError as error:
        raise ToolError(f"the hls4ml flow needs hls4ml ({error}): pip install 'bitlathe[hls4ml]'") from error
    return package


def _synthesized(result: HlsResult, request: HlsRequest, tool: Tool | None, progress: Progress) -> HlsResult:
    if result.mismatches:
        return replace(result, not_done=("synthesis: the C simulation must be exact first",))
    if tool is None:
        return replace(result, not_done=_without_tool(request, result.out))
    folder = Path(result.out)
    if request.backend is Hls4mlBackend.VIVADO_ACCELERATOR:
        return replace(
            result, not_done=(f"synthesis: run the scripts that hls4ml wrote in {folder} with {tool.path}",)
        )
    progress(Note(f"synthesizing with {tool.name} {tool.release}; this takes many minutes"))
    with writable(folder):
        made = synthesize(folder, request.target, tool)
    keep_report(made.report, request, result.network)
    too_large = () if made.report.fits else ("place and route: the estimates exceed the part",)
    bench, unproven = _bench(made, request, progress)
    return replace(
        result,
        tool=f"{tool.name} {tool.release}",
        report=made.report.to_json(),
        ip=str(made.ip),
        bench=bench,
        not_done=(*too_large, *unproven),
    )


def _bench(
    made: SynthesisResult, request: HlsRequest, progress: Progress
) -> tuple[str | None, tuple[str, ...]]:
    """Verdict of the whole-engine bench on the exported Verilog, or why it was not run."""
    if request.flow is not Flow.ENGINE:
        return None, ("simulation of the kernel's exported Verilog: the bench is the engine's",)
    try:
        from bitlathe.rtl_tb.engine.exported import exported_failure
    except ImportError as error:
        return None, (
            f"bench on the exported Verilog ({error}): pip install 'bitlathe[dev]', then run again",
        )
    progress(Note("running the whole-engine bench on the exported Verilog; this takes minutes"))
    return exported_failure(made.ip, request.target.engine) or "", ()


def keep_report(report: HlsReport, request: HlsRequest, network: str) -> None:
    """Put the estimates into the file of all of them, in place of older ones of the same core."""
    try:
        rows = json.loads(request.reports.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = []
    core = _core(request, network)
    others = [row for row in rows if any(row.get(name) != core[name] for name in core)]
    kept = [*others, {**report.to_json(), **core}]
    files.write_json(request.reports, sorted(kept, key=lambda row: [str(row.get(name)) for name in core]))


def _core(request: HlsRequest, network: str) -> dict[str, str | None]:
    """What distinguishes a core: an engine's sizes, as in Yosys' rows, or the network it was made for."""
    is_engine = request.flow is Flow.ENGINE
    return {
        "target": request.target.name,
        "flow": request.flow.value,
        "engine": request.target.engine.label if is_engine else None,
        "network": None if is_engine else network,
    }


def _without_tool(request: HlsRequest, out: str) -> tuple[str, ...]:
    if request.synth is Synth.NEVER:
        return ("synthesis: `synth=never`",)
    names = "vitis-run or vitis_hls"
    return (
        f"synthesis, estimates and IP, as none of {names} is on PATH; {how_to_find(names)}, "
        f"or copy {out} to a machine with one and follow the first lines of its run.tcl",
    )


def _about(network: IntegerNetwork, request: HlsRequest) -> dict[str, object]:
    """The contents of a project's marker; `identity` is the value that its core returns."""
    identity = request.target.engine.identity
    if request.flow is Flow.HLS4ML:
        from bitlathe.hls.hls4ml.project.emit import identity_of

        identity = identity_of(network.graph)
    return {
        "network": network.name,
        "target": request.target.name,
        "flow": request.flow.value,
        "identity": identity,
    }


def how_to_find(names: str) -> str:
    """Advice on how to get a tool onto PATH."""
    return f"source the settings64.sh that brings {names}, or name it in {SETTINGS_VARIABLE}, then run again"
