"""C simulation of a project, compiled by g++ and run in a process of its own.

hls4ml's headers end a program by `abort` where they are misused, and report words left in a stream on the
program's output; a process of its own confines the one and can be searched for the other.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.project.convert import PROJECT
from bitlathe.hls.hls4ml.project.emit import CSIM, KERNEL, element, write
from bitlathe.hls.hls4ml.project.make_plan import make_plan
from bitlathe.hls.hls4ml.project.plan import Backend, Options, ProjectPlan
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.arrays import Int32s
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import check_input
from bitlathe.model.native.cxx import cxx

PROGRAM, LOG = "csim.out", "csim.log"
LOG_LINES = 12
FLAGS = (
    "-O1",
    "-std=c++11",
    "-w",
    "-fno-gnu-unique",
    "-isystem",
    "firmware/ap_types",
    "-Ifirmware",
)  # -O2 doubles the time
WEIGHTS = '-DWEIGHTS_DIR="firmware/weights"'  # from the folder that the program runs in
COMPILE_SECONDS = 1800
SECONDS_AN_IMAGE = 120
COMPLAINTS = ("leftover data", "read while empty", "WARNING", "ERROR")  # of hls_stream.h


def csimulate(
    graph: Graph, target: Target, folder: Path, codes: IntArray, options: Options | None = None
) -> Int32s:
    """Output codes (N, C, H, W) of the graph's project, written to `folder`, for input `codes` (N, C, H, W).

    Raises as `emit`, and ToolError where g++ is missing or fails, or the program dies or leaves words.
    """
    options = options or Options()
    write(graph, target, folder, options)
    return simulate_project(make_plan(graph, target, options), folder, codes, options.backend)


def simulate_project(
    plan: ProjectPlan, folder: Path, codes: IntArray, backend: Backend = Backend.VITIS
) -> Int32s:
    """Output codes of a project that was written to `folder`; it is compiled first. Errors as `csimulate`."""
    check_input(plan.graph, codes)
    _compile(folder, backend)
    given, made = plan.layers[0].types["result"], plan.last.types["result"]
    with tempfile.TemporaryDirectory(prefix="bitlathe-csim-") as scratch:
        entering, leaving = Path(scratch) / "in", Path(scratch) / "out"
        entering.write_bytes(
            np.ascontiguousarray(codes.transpose(0, 2, 3, 1), _dtype(element(given))).tobytes()
        )
        command = [f"./{PROGRAM}", str(len(codes)), str(entering), str(leaving)]
        _complain(folder, _run(command, folder, SECONDS_AN_IMAGE * (1 + len(codes))))
        outputs = np.frombuffer(leaving.read_bytes(), _dtype(element(made)))
    channels, height, width = plan.graph.shapes[plan.graph.only_output]
    maps = outputs.reshape(len(codes), height, width, channels).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(maps, np.int32)


def _dtype(c_type: str) -> np.dtype[Any]:
    return np.dtype(c_type.removesuffix("_t")).newbyteorder("=")


def _compile(folder: Path, backend: Backend) -> None:
    compiler = cxx("C simulation compiles the project")
    stems = (PROJECT, f"{PROJECT}_axi") if backend is Backend.VIVADO_ACCELERATOR else (KERNEL,)
    sources = (*(f"firmware/{stem}.cpp" for stem in stems), CSIM)
    _run([*compiler, *FLAGS, WEIGHTS, *sources, "-o", PROGRAM], folder, COMPILE_SECONDS)


def _run(command: Sequence[str], folder: Path, seconds: float) -> str:
    """The output of a command; ToolError where it fails or takes longer."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        raise ToolError(
            f"{command[0]} in {folder}: not done after {seconds:.0f} s; give more time or fewer images"
        ) from late
    write_whole(folder / LOG, done.stdout.encode())
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise ToolError(
            f"{command[0]} in {folder}: exit status {done.returncode}; the log is {folder / LOG}, "
            f"its end:\n{tail}"
        )
    return done.stdout


def _complain(folder: Path, printed: str) -> None:
    lines = [line for line in printed.splitlines() if any(word in line for word in COMPLAINTS)]
    if lines:
        raise ToolError(
            f"C simulation in {folder}: {lines[0]} ({len(lines)} such lines); words were lost or left in a "
            "stream, so the project is not what was planned: report this network"
        )
