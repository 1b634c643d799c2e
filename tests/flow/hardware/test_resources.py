"""Area is counted in the part's units, and synthesized once for each version of the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bitlathe.flow.hardware import resources
from bitlathe.flow.hardware.resources import Synthesis, measured_resources, resources_of, synthesis_command
from bitlathe.flow.hardware.timing import NET_PS, longest_path, timing_files
from bitlathe.hls.target.config import TARGETS, Target, configuration
from bitlathe.model.graph.errors import ToolError

PYNQ = TARGETS["pynq-z2"]
SMALL = replace(PYNQ, engine=configuration("16x16x1-2x64-32"))  # quickly read
CELLS = {
    "LUT6": 100, "LUT2": 20, "INV": 3, "SRL16E": 5, "RAM32M": 2, "RAM64X1D": 1, "CARRY4": 9, "MUXF7": 4,
    "FDRE": 200, "FDSE": 10, "DSP48E1": 7, "RAMB36E1": 6, "RAMB18E1": 3,
}  # fmt: skip


def test_primitives_are_counted_in_the_part_s_units() -> None:
    row = resources_of(PYNQ, Synthesis(cells=CELLS), 1.0, "digest")
    assert (row.lut, row.ff, row.dsp, row.bram36, row.uram) == (100 + 20 + 3 + 5 + 8 + 2, 210, 7, 7.5, 0)
    assert (row.lut_limit, row.bram36_limit, row.fits) == (53_200, 140, True)


def test_one_block_too_many_does_not_fit() -> None:
    too_many, all_of_them = ({**CELLS, "DSP48E1": PYNQ.dsp + more} for more in (1, 0))
    assert not resources_of(PYNQ, Synthesis(cells=too_many), 1.0, "digest").fits
    assert resources_of(PYNQ, Synthesis(cells=all_of_them), 1.0, "digest").fits


def test_the_family_follows_from_the_part() -> None:
    assert "-family xc7 " in synthesis_command(PYNQ) and "-uram" not in synthesis_command(PYNQ)
    assert "-family xcup -uram " in synthesis_command(TARGETS["zcu104"])


def test_an_unchanged_engine_is_synthesized_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def yosys(target: Target, folder: Path, log: Path) -> Synthesis:
        runs.append(target.name)
        return Synthesis(cells=CELLS)

    monkeypatch.setattr(resources, "_run_yosys", yosys)
    out = tmp_path / "bench" / "resources.json"
    rows = [measured_resources(target, out) for target in (PYNQ, TARGETS["zcu104"], PYNQ)]
    assert runs == ["pynq-z2", "zcu104"] and rows[0] == rows[2]
    measured_resources(replace(PYNQ, engine=replace(PYNQ.engine, weight_lines=4096)), out)
    assert measured_resources(PYNQ, out) == rows[0]
    assert runs == ["pynq-z2", "zcu104", "pynq-z2"]
    assert [path.name for path in out.parent.iterdir()] == ["resources.json"]


def test_a_damaged_file_of_rows_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_run_yosys", lambda target, folder, log: Synthesis(cells=CELLS))
    out = tmp_path / "resources.json"
    out.write_text('[{"target": "pynq-z2"}]')
    assert measured_resources(PYNQ, out).lut == 138


def test_a_failing_synthesis_says_why_and_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "synthesis_command", lambda target: "no_such_pass")
    with pytest.raises(ToolError, match=r"yosys failed with status 1; whole log in (?s:.*)no_such_pass"):
        measured_resources(SMALL, tmp_path / "resources.json")
    assert "no_such_pass" in (tmp_path / f"yosys-pynq-z2-{SMALL.engine.label}.log").read_text()
    assert not (tmp_path / "resources.json").exists()


def test_yosys_sees_the_engine_with_the_target_s_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        resources, "synthesis_command", lambda target: "select -assert-any engine/w:m_axi_wdata"
    )
    folder = tmp_path / "run"
    folder.mkdir()
    made = resources._run_yosys(SMALL, folder, tmp_path / "log")
    assert made.cells and all(count > 0 for count in made.cells.values()) and made.path is None


REPORT = r"""
Latest arrival time in 'engine' is 4070:
    4070 (<unknown>)
           $flatten\u_read.\u_beats.$abc$1187510$aiger$i261
    4070 $flatten\u_read.\u_beats.$auto$genblk1.slice[1].genblk1.carry4 (CARRY4.CI->O)
           $flatten\u_read.\u_beats.$abc$1187510$aiger$i243
    3736 $flatten\u_read.\u_beats.$auto$genblk1.slice[0].genblk1.carry4 (CARRY4.DI->CO)
           \u_compute.u_output.result_bank_o [2]
    1472 $flatten\u_compute.\u_output.$auto$ff.cc:337:slice$59853 (SRL16E.CLK->Q)
       0   \clk_i (<primary input>)
"""


def test_the_longest_path_is_read_from_clock_to_end() -> None:
    path = longest_path(REPORT)
    assert path is not None
    assert path.cells == (
        "1472 u_compute.u_output SRL16E",
        "3736 u_read.u_beats CARRY4",
        "4070 u_read.u_beats CARRY4",
    )
    assert path.ps == 4070


def test_a_block_rams_net_is_added_to_the_sum() -> None:
    path = longest_path(REPORT.replace("SRL16E.CLK->Q", "RAMB36E1.CLKARDCLK->DOADO"))
    assert path is not None and path.ps == 4070 + NET_PS


def test_every_primitive_of_the_fabric_gets_a_net() -> None:
    cells, clocked = timing_files(resources._library()).values()
    assert f"(I0 => O) = {127 + NET_PS};" in cells and "(I0 => O) = 127;" not in cells
    assert "(CI     => CO[3]) = 114;" in cells  # a carry chain has wires of its own
    assert f"(posedge C => (Q : D)) = {303 + NET_PS};" in clocked and "= 303;" not in clocked
    assert f"$setup(R, posedge C, {404});" in clocked


def test_no_path_is_no_estimate() -> None:
    assert longest_path("Latest arrival time in 'engine' is 0:") is None


def test_yosys_times_a_mapped_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "engine_sources", lambda: [_adder(tmp_path)])
    monkeypatch.setattr(resources, "engine_parameters", lambda engine: {"Width": 16})
    folder = tmp_path / "run"
    folder.mkdir()
    made = resources._run_yosys(PYNQ, folder, tmp_path / "log")
    assert made.path is not None and 1000 < made.path.ps < 6000
    assert made.path.cells[0].endswith("FDRE") and any(cell.endswith("CARRY4") for cell in made.path.cells)


def _adder(folder: Path) -> Path:
    source = folder / "engine.sv"
    source.write_text("""
module engine #(parameter int Width = 8) (
    input logic clk_i, input logic [Width-1:0] a_i, output logic [Width-1:0] sum_o
);
  logic [Width-1:0] a_q, b_q;
  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    b_q <= a_q ^ {a_q[0], a_q[Width-1:1]};
    sum_o <= a_q + b_q;
  end
endmodule
""")
    return source
