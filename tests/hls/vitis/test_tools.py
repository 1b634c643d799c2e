"""Vendor tools are found, called and read as each release wants it; their failures become clear lines."""

import json
import os
import shutil
from pathlib import Path

import fake_hls_tools as fakes
import pytest

from bitlathe.flow.hardware.hls import write_project
from bitlathe.hls.target.config import TARGETS
from bitlathe.hls.tools import synthesis
from bitlathe.hls.tools.bitstream import build_bitstream
from bitlathe.hls.tools.find import SETTINGS_VARIABLE, Tool, find_hls, find_vivado
from bitlathe.hls.tools.reports import read_report
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.hls.tools.synthesis import STAMP, ToolStage, is_exported, synthesize
from bitlathe.hls.vitis.project import emit_hls
from bitlathe.model.graph.errors import FormatError, ToolError

PYNQ = TARGETS["pynq-z2"]


VITIS_HLS = fakes.Fake(name="vitis_hls", version="2022.2")
VITIS_RUN = fakes.Fake(name="vitis-run", version="2024.2")
COMPILER = fakes.Fake(name="v++", version="2024.2")
GENERATIONS = {"2022.2": [VITIS_HLS], "2024.2": [VITIS_RUN, COMPILER]}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, first on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    write_project(folder, emit_hls(PYNQ), {})
    return folder


def _found() -> Tool:
    tool = find_hls()
    assert tool is not None
    return tool


def test_no_tool_is_found_where_there_is_none(tools: Path) -> None:
    assert find_hls() is None
    assert find_vivado() is None


def test_the_newest_generation_is_preferred(tools: Path) -> None:
    for fake in (VITIS_HLS, VITIS_RUN):
        fakes.install(tools, fake)
    assert (_found().name, _found().release) == ("vitis-run", "2024.2")


def test_a_settings_script_brings_a_tool(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.install(tmp_path / "elsewhere", VITIS_HLS)
    script = tmp_path / "settings64.sh"
    script.write_text(f"export PATH={tmp_path / 'elsewhere'}:$PATH\n")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(script))
    assert _found().path == tmp_path / "elsewhere" / "vitis_hls"


def test_a_settings_script_that_is_missing_is_named(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, "nowhere.sh")
    with pytest.raises(ToolError, match=r"BITLATHE_SETTINGS=nowhere.sh: no such file"):
        find_hls()


@pytest.mark.parametrize("version", ["2020.1", "2022.1", "2031.1"])
def test_an_unsupported_release_is_refused(tools: Path, version: str) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, version=version))
    with pytest.raises(ToolError, match=f"is release {version}; supported are 2022.2 to"):
        find_hls()


def test_a_tool_that_names_no_release_is_refused(tools: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, version="unknown"))
    with pytest.raises(ToolError, match="names no release"):
        find_hls()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_synthesizes_and_exports(tools: Path, project: Path, generation: str) -> None:
    logs = [fakes.install(tools, fake) for fake in GENERATIONS[generation]]
    made = synthesize(project, PYNQ, _found())
    calls = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    if generation == "2024.2":
        assert sorted(calls) == [
            "csynth: -c --mode hls --config hls.cfg --work_dir hls",
            "export: --mode hls --package --config hls.cfg --work_dir hls",
        ]
    else:
        assert calls == ["csynth: -f run.tcl", "export: -f run.tcl"]
    assert (made.report.lut, made.report.dsp, made.report.bram36) == (40_321, 205, 115.5)
    assert made.report.fits
    assert made.ip.name == "ip"
    assert made.stages_run == tuple(ToolStage)
    assert made.report.slow_loops == {}
    assert "Final II = 1" in (project / "csynth.log").read_text()


def test_a_loop_that_misses_a_cycle_is_told(tools: Path, project: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, interval=2))
    assert synthesize(project, PYNQ, _found()).report.slow_loops == {"scratchpad_cycles": 2}


def test_a_rerun_repeats_nothing_that_is_done(tools: Path, project: Path) -> None:
    fakes.install(tools, VITIS_HLS)
    synthesize(project, PYNQ, _found())
    assert synthesize(project, PYNQ, _found()).stages_run == ()


@pytest.mark.parametrize("source", ["src/engine_top.cpp", "firmware/network_kernel.cpp", "hls.cfg"])
def test_changed_sources_are_synthesized_again(tools: Path, project: Path, source: str) -> None:
    fakes.install(tools, VITIS_HLS)
    synthesize(project, PYNQ, _found())
    assert is_exported(project)
    (project / source).parent.mkdir(exist_ok=True)
    (project / source).write_text("// changed\n")
    assert not is_exported(project)
    assert synthesize(project, PYNQ, _found()).stages_run == tuple(ToolStage)


@pytest.mark.parametrize(
    ("lost", "again"), [("hls/solution1/impl", (ToolStage.EXPORT,)), ("hls/solution1/syn", tuple(ToolStage))]
)
def test_a_stage_whose_results_are_gone_is_run_again(
    tools: Path, project: Path, lost: str, again: tuple[ToolStage, ...]
) -> None:
    fakes.install(tools, VITIS_HLS)
    synthesize(project, PYNQ, _found())
    shutil.rmtree(project / lost)
    assert synthesize(project, PYNQ, _found()).stages_run == again


def test_what_another_generation_left_is_not_taken_for_this_ones(tools: Path, project: Path) -> None:
    fakes.install(tools, VITIS_HLS)
    synthesize(project, PYNQ, _found())
    fakes.install(tools, VITIS_RUN)
    fakes.install(tools, fakes.changed(COMPILER, report=fakes.REPORT.replace("40321", "12345")))
    made = synthesize(project, PYNQ, _found())
    assert (made.report.lut, made.ip.relative_to(project).parts[:2]) == (12_345, ("hls", "hls"))
    fakes.install(tools, fakes.changed(COMPILER, synthesis="true"))
    (project / "hls.cfg").write_text("syn.top=changed\n")
    with pytest.raises(ToolError, match="left no report"):
        synthesize(project, PYNQ, _found())


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"sources": 1, "tool": "", "stages": ["magic"]}'])
def test_a_damaged_stamp_counts_as_none(tools: Path, project: Path, stamp: str) -> None:
    (project / STAMP).write_text(stamp)
    fakes.install(tools, VITIS_HLS)
    assert synthesize(project, PYNQ, _found()).stages_run == tuple(ToolStage)


def test_a_failed_export_is_continued_by_a_rerun(tools: Path, project: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, export="echo broken; false"))
    with pytest.raises(ToolError, match=r"vitis_hls 2022.2 failed in export with status 1.*export\.log"):
        synthesize(project, PYNQ, _found())
    assert "broken" in (project / "export.log").read_text()
    fakes.install(tools, VITIS_HLS)
    assert synthesize(project, PYNQ, _found()).stages_run == (ToolStage.EXPORT,)


def test_a_full_disk_is_told_as_such(tools: Path, project: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, synthesis=fakes.FULL_DISK))
    with pytest.raises(ToolError, match="the disk is full; free some"):
        synthesize(project, PYNQ, _found())
    assert "No space left on device" in (project / "csynth.log").read_text()


def test_a_disk_too_full_for_the_log_is_told_too(
    tools: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, export="false"))
    full = shutil.disk_usage(project)._replace(free=4096)
    monkeypatch.setattr(synthesis.shutil, "disk_usage", lambda folder: full)
    with pytest.raises(ToolError, match=r"failed in export with status 1: the disk is full"):
        synthesize(project, PYNQ, _found())
    monkeypatch.undo()


@pytest.mark.parametrize("work", [fakes.KILLED, f"({fakes.KILLED.replace('$$', '$BASHPID')})"])
def test_a_tool_that_was_killed_is_told_as_such(tools: Path, project: Path, work: str) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, synthesis=work))
    with pytest.raises(
        ToolError, match=r"it was killed, as the system does where memory runs out.*csynth\.log"
    ):
        synthesize(project, PYNQ, _found())
    assert "Starting scheduling" in (project / "csynth.log").read_text()
    fakes.install(tools, VITIS_HLS)
    assert synthesize(project, PYNQ, _found()).stages_run == tuple(ToolStage)


def test_a_tool_that_dies_silently_is_noticed(tools: Path, project: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, synthesis="exit 0"))
    with pytest.raises(ToolError, match="failed in csynth with status 0"):
        synthesize(project, PYNQ, _found())


def test_a_tool_that_leaves_no_ip_is_noticed(tools: Path, project: Path) -> None:
    fakes.install(tools, fakes.changed(VITIS_HLS, export="true"))
    with pytest.raises(ToolError, match="left no exported IP"):
        synthesize(project, PYNQ, _found())
    fakes.install(tools, VITIS_HLS)
    assert synthesize(project, PYNQ, _found()).stages_run == (ToolStage.EXPORT,)


def test_vitis_run_without_its_compiler_is_refused(tools: Path, project: Path) -> None:
    fakes.install(tools, VITIS_RUN)
    with pytest.raises(ToolError, match=r"without v\+\+"):
        synthesize(project, PYNQ, _found())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<profile/>", "has no AreaEstimates/Resources/LUT"),
        ("no xml", "no synthesis report"),
        (fakes.REPORT.replace("40321", "many"), "is 'many', no number"),
    ],
)
def test_a_report_of_an_unknown_format_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "csynth.xml"
    path.write_text(text.format(version="2030.1", dsp="DSP", uram=""))
    with pytest.raises(FormatError, match=message):
        read_report(path, PYNQ)


def test_a_reports_row_has_the_fields_of_yosys_rows(tmp_path: Path) -> None:
    path = tmp_path / "csynth.xml"
    path.write_text(fakes.REPORT.format(version="2024.1", dsp="DSP", uram="<URAM>0</URAM>"))
    row = read_report(path, PYNQ).to_json()
    for name in ("target", "part", "lut", "ff", "dsp", "bram36", "uram", "lut_limit", "fits", "tool"):
        assert name in row
    assert (row["latency_min"], row["latency_max"]) == (92, None)
    json.dumps(row)


HWH = (
    '<EDKSYSTEM><MODULES><MODULE INSTANCE="ps"><MEMORYMAP><MEMRANGE INSTANCE="engine" MEMTYPE="REGISTER" '
    'BASEVALUE="0x40000000" HIGHVALUE="0x4000FFFF"/></MEMORYMAP></MODULE></MODULES></EDKSYSTEM>'
)
BUILT = (
    f"touch bitlathe.bit; echo '{HWH}' > bitlathe.hwh; echo BITLATHE clock 142857142 Hz; echo BITLATHE done"
)


def _vivado(folder: Path, work: str) -> Tool:
    path = folder / "vivado"
    path.write_text(
        f'#!/bin/bash\n[ "$1" = -version ] && echo "Vivado v2022.1" && exit 0\necho "$*" > calls\n{work}\n'
    )
    path.chmod(0o755)
    tool = find_vivado()
    assert tool is not None
    return tool


def test_vivado_builds_the_bitstream(tools: Path, project: Path) -> None:
    vivado = _vivado(tools, BUILT)
    assert build_bitstream(project, EngineKind.RTL, 7, vivado) == project / "bitlathe.bit"
    assert (project / "calls").read_text().split()[:2] == ["-mode", "batch"]
    facts = json.loads((project / "overlay.json").read_text())
    assert facts == {
        "engine": "rtl",
        "ip": "engine",
        "address": 0x4000_0000,
        "clock_mhz": 142.857142,
        "identity": 7,
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BITLATHE clock 142857142 Hz", "BITLATHE clock  Hz", "Vivado's log names no clock"),
        ('INSTANCE="engine"', 'INSTANCE="dma"', "maps no registers of engine"),
        ("</EDKSYSTEM>", "", "no hardware hand-off file"),
    ],
)
def test_an_overlay_that_does_not_say_where_it_lies_is_refused(
    tools: Path, project: Path, old: str, new: str, message: str
) -> None:
    assert old in BUILT
    with pytest.raises(FormatError, match=message):
        build_bitstream(project, EngineKind.RTL, 7, _vivado(tools, BUILT.replace(old, new)))


@pytest.mark.parametrize("work", ["exit 1", "echo BITLATHE done", "touch bitlathe.bit bitlathe.hwh"])
def test_a_vivado_that_fails_is_told_with_its_log(tools: Path, project: Path, work: str) -> None:
    with pytest.raises(ToolError, match=r"Vivado 2022.1 failed with status \d; whole log in"):
        build_bitstream(project, EngineKind.RTL, 7, _vivado(tools, work))


def test_an_earlier_bitstream_does_not_outlive_a_build_that_fails(tools: Path, project: Path) -> None:
    build_bitstream(project, EngineKind.RTL, 7, _vivado(tools, BUILT))
    with pytest.raises(ToolError):
        build_bitstream(project, EngineKind.RTL, 7, _vivado(tools, f"{BUILT}; exit 1"))
    assert not (project / "overlay.json").exists()


@pytest.mark.parametrize("engine", [EngineKind.HLS, EngineKind.HLS4ML])
def test_a_bitstream_of_an_hls_core_needs_the_exported_ip(
    tools: Path, project: Path, engine: EngineKind
) -> None:
    with pytest.raises(ToolError, match="copy there the IP"):
        build_bitstream(project, engine, 7, _vivado(tools, "true"))
