"""Area is counted in the part's units, and synthesized once for each version of the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bitlathe.flow import resources
from bitlathe.flow.resources import CellCounts, measured_resources, resources_of, synthesis_command
from bitlathe.hls.config import TARGETS, Target
from bitlathe.model.graph.errors import ToolError

PYNQ = TARGETS["pynq-z2"]
CELLS = {
    "LUT6": 100, "LUT2": 20, "INV": 3, "SRL16E": 5, "RAM32M": 2, "RAM64X1D": 1, "CARRY4": 9, "MUXF7": 4,
    "FDRE": 200, "FDSE": 10, "DSP48E1": 7, "RAMB36E1": 6, "RAMB18E1": 3,
}  # fmt: skip


def test_primitives_are_counted_in_the_part_s_units() -> None:
    row = resources_of(PYNQ, CELLS, 1.0, "digest")
    assert (row.lut, row.ff, row.dsp, row.bram36, row.uram) == (100 + 20 + 3 + 5 + 8 + 2, 210, 7, 7.5, 0)
    assert (row.lut_limit, row.bram36_limit, row.fits) == (53_200, 140, True)


def test_one_block_too_many_does_not_fit() -> None:
    assert not resources_of(PYNQ, {**CELLS, "DSP48E1": PYNQ.dsp + 1}, 1.0, "digest").fits
    assert resources_of(PYNQ, {**CELLS, "DSP48E1": PYNQ.dsp}, 1.0, "digest").fits


def test_the_family_follows_from_the_part() -> None:
    assert "-family xc7 " in synthesis_command(PYNQ) and "-uram" not in synthesis_command(PYNQ)
    assert "-family xcup -uram " in synthesis_command(TARGETS["zcu104"])


def test_an_unchanged_engine_is_synthesized_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def yosys(target: Target, folder: Path, log: Path) -> CellCounts:
        runs.append(target.name)
        return CELLS

    monkeypatch.setattr(resources, "_run_yosys", yosys)
    out = tmp_path / "bench" / "resources.json"
    rows = [measured_resources(target, out) for target in (PYNQ, TARGETS["zcu104"], PYNQ)]
    assert runs == ["pynq-z2", "zcu104"] and rows[0] == rows[2]
    measured_resources(replace(PYNQ, engine=replace(PYNQ.engine, weight_lines=4096)), out)
    assert runs == ["pynq-z2", "zcu104", "pynq-z2"]
    assert [path.name for path in out.parent.iterdir()] == ["resources.json"]


def test_a_damaged_file_of_rows_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_run_yosys", lambda target, folder, log: CELLS)
    out = tmp_path / "resources.json"
    out.write_text('[{"target": "pynq-z2"}]')
    assert measured_resources(PYNQ, out).lut == 138


def test_a_failing_synthesis_says_why_and_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "synthesis_command", lambda target: "no_such_pass")
    with pytest.raises(ToolError, match=r"yosys failed with status 1; whole log in (?s:.*)no_such_pass"):
        measured_resources(PYNQ, tmp_path / "resources.json")
    assert "no_such_pass" in (tmp_path / "yosys-pynq-z2.log").read_text()
    assert not (tmp_path / "resources.json").exists()


def test_yosys_sees_the_engine_with_the_target_s_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        resources, "synthesis_command", lambda target: "select -assert-any engine/w:m_axi_wdata"
    )
    folder = tmp_path / "run"
    folder.mkdir()
    cells = resources._run_yosys(TARGETS["zcu104"], folder, tmp_path / "log")
    assert cells and all(count > 0 for count in cells.values())
