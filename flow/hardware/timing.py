"""An estimate of the clock by open tools: the longest path after mapping, with assumed net delays.

Yosys' `sta` adds the delays of the part's primitives along each path of the mapped, flattened engine, from
clock to clock. It knows no placement, so every net that is not a dedicated wire is assumed to take `NET_PS`.
docs/timing.md argues from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bitlathe.hls.emit import RTL

TIMED_FAMILY = "xc7"  # whose primitives have delays in Yosys' library
NET_PS = 450  # a routed net, on average: an assumption, see docs/timing.md
CLOCKED = RTL.parent / "tools" / "xc7_clocked.sv"
CELLS, CLOCKED_CELLS = "cells_with_nets.v", "clocked_with_nets.sv"  # made where Yosys runs
_FABRIC = re.compile(
    r"LUT[1-6]|CARRY4|SRL16E|FDRE|FDSE|RAM32M|RAM256X1S"
)  # primitives whose nets are added to their delays
_LONE = re.compile(r"RAMB|DSP48")  # whose delays are functions: their nets are added to the sum
_MODULE = re.compile(r"^module (\w+).*?^endmodule", re.MULTILINE | re.DOTALL)
_DELAY = re.compile(r"^(?P<arc>.*[=*]>(?! CO).*\) = )(?P<ps>\d+);", re.MULTILINE)
_STEP = re.compile(r"^ +(?P<arrival>\d+) (?P<cell>.+) \((?P<kind>\w+)\.(?P<pins>[\w>-]+)\)$", re.MULTILINE)
_BLOCK = re.compile(r"\\?\b(u_\w+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestPath:
    """The path that takes longest."""

    ps: int  # logic and assumed nets
    cells: tuple[str, ...]  # "ps block cell", from the clock to the last cell


def timing_commands(top: str, report: str) -> tuple[str, ...]:
    """Yosys commands that write the longest path of a synthesized design, `timing_files` being there.

    `synth_xilinx` ends by emptying the primitives' models, delays included, so they are read again.
    """
    return (
        "delete =A:blackbox =A:whitebox",
        f"read_verilog -lib -specify {CELLS}",
        f"read_verilog -sv -overwrite -lib -specify {CLOCKED_CELLS}",
        f"hierarchy -top {top}",
        "flatten",
        f"tee -q -o {report} sta",
    )


def timing_files(library: Path) -> dict[str, str]:
    """Yosys' models of the part's primitives (`library`) and ours, nets added to their delays."""
    return {
        CELLS: with_nets(library.read_text(encoding="utf-8")),
        CLOCKED_CELLS: with_nets(CLOCKED.read_text(encoding="utf-8")),
    }


def with_nets(text: str) -> str:
    """The models with a net's delay added to each output; a carry chain has wires of its own.

    >>> with_nets("module LUT1(output O, input I0);\\n (I0 => O) = 127;\\nendmodule").split()[-2]
    '577;'
    """
    return _MODULE.sub(_timed, text)


def longest_path(report: str) -> LongestPath | None:
    """The path that `sta` printed; None where it found none."""
    steps = [step.groupdict() for step in _STEP.finditer(report)][::-1]
    if not steps:
        return None
    lone = sum(_LONE.match(step["kind"]) is not None for step in steps)
    return LongestPath(
        ps=int(steps[-1]["arrival"]) + lone * NET_PS,
        cells=tuple(f"{step['arrival']} {_block(step['cell'])} {step['kind']}" for step in steps),
    )


def _timed(module: re.Match[str]) -> str:
    if not _FABRIC.fullmatch(module[1]):
        return module[0]
    return _DELAY.sub(lambda delay: f"{delay['arc']}{int(delay['ps']) + NET_PS};", module[0])


def _block(cell: str) -> str:
    """Instances that a flattened cell came from.

    >>> _block(r"$flatten\\u_compute.\\u_output.$abc$1$o17")
    'u_compute.u_output'
    """
    return ".".join(_BLOCK.findall(cell)) or "engine"
