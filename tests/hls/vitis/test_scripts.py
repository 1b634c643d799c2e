"""Scripts for the vendors' tools: reviewed, deterministic, and Tcl that Tcl accepts."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from vendor_tcl import PROPERTIES, SHELLS

from bitlathe.hls.target.config import TARGETS, EngineConfiguration, reference_targets
from bitlathe.hls.tools.scripts import DESIGNS, EngineKind, board_scripts
from bitlathe.hls.vitis.project import emit_hls

GOLDEN = Path(__file__).with_name("golden")
TINY = replace(
    TARGETS["pynq-z2"],
    engine=EngineConfiguration(pi=8, po=8, pp=1, banks=2, bank_lines=64, weight_lines=32),
    clock_mhz=100.0,
)
ZCU104 = TARGETS["zcu104"]
HLS = emit_hls(TINY)
# Of each board around the RTL engine, which is what its overlay has; of the reference boards around any.
DESIGNS_OF = [
    (name, engine) for name in TARGETS for engine in EngineKind
    if engine is EngineKind.RTL or name in reference_targets()
]  # fmt: skip
# Which sources there are is told elsewhere, and changes.
WITH_RTL = re.sub(r"\[list rtl/[^]]*\]", "[list SOURCES]", board_scripts(TINY, EngineKind.RTL)["design.tcl"])
RENDERED = {
    "config.hpp": HLS["src/bitlathe/config.hpp"],
    "run.tcl": HLS["run.tcl"],
    "hls.cfg": HLS["hls.cfg"],
    "design.tcl": board_scripts(TINY, EngineKind.HLS)["design.tcl"],
    "design_rtl.tcl": WITH_RTL,
    "design_hls4ml.tcl": board_scripts(replace(ZCU104, clock_mhz=187.498125), EngineKind.HLS4ML)[
        "design.tcl"
    ],
}

# Keys of hls.cfg. Source: AMD UG1399, 2023.2 to 2025.2.
KEYS = {
    "part", "clock", "clock_uncertainty", "flow_target", "syn.top", "syn.file", "syn.file_cflags",
    "syn.compile.name_max_length", "syn.interface.m_axi_addr64", "package.output.format",
    "package.output.syn", "package.ip.vendor", "package.ip.library", "package.ip.version",
}  # fmt: skip

NEWEST = {shell.tool: shell for shell in SHELLS}  # of each tool; what others document, test_releases.py tells


@pytest.mark.parametrize("name", RENDERED)
def test_a_tiny_engines_files_are_the_reviewed_ones(name: str) -> None:
    assert RENDERED[name] == (GOLDEN / name).read_text()


def test_equal_input_gives_equal_bytes() -> None:
    assert emit_hls(TINY) == emit_hls(replace(TINY))
    for engine in EngineKind:
        assert board_scripts(TINY, engine) == board_scripts(replace(TINY), engine)


@pytest.mark.parametrize("name", reference_targets())
def test_the_hls_script_calls_commands_in_order(name: str, tmp_path: Path) -> None:
    called = [words[0] for words in NEWEST["vitis_hls"].run(emit_hls(TARGETS[name])["run.tcl"], tmp_path)]
    order = ["open_project", "set_top", "add_files", "open_solution", "set_part", "create_clock"]
    places = [called.index(command) for command in (*order, "csynth_design", "export_design")]
    assert places == sorted(places)


@pytest.mark.parametrize(("name", "engine"), DESIGNS_OF)
def test_the_block_design_wires_every_port(name: str, engine: EngineKind, tmp_path: Path) -> None:
    board = TARGETS[name]
    called = NEWEST["vivado"].run(board_scripts(board, engine)["design.tcl"], tmp_path)
    assert ["create_project", "-force", "bitlathe", "vivado", "-part", board.part] in called
    assert ["get_board_parts", "-quiet", board.board_files] in called
    asked = " ".join(word for words in called if words[0] == "set_property" for word in words)
    assert re.search(rf"_FREQMHZ {board.clock_mhz:g}\b", asked)
    pins = {words[-1] for words in called if words[0] in ("get_bd_pins", "get_bd_intf_pins")}
    processor = DESIGNS[board.processor]
    assert {f"ps/{processor.control}", f"ps/{processor.memory}", "engine/s_axi_control"} <= pins
    counted = {"engine/ap_clk", "engine/counter", "counter/count_o", "counter/clk_i", "counter/rst_ni"}
    own = {
        "hls": {*counted, "engine/m_axi_gmem", "memory/S00_AXI"},
        "hls4ml": {*counted, "engine/m_axi_gmem0", "engine/m_axi_gmem1", "memory/S01_AXI"},
        "rtl": {"engine/clk_i", "engine/m_axi", "memory/S00_AXI"},
    }
    assert own[engine.value] <= pins
    excluded = [words[1:] for words in called if words[0] == "exclude_bd_addr_seg"]
    assert excluded == [["engine/m/SEG_ps_OCM"]]


@pytest.mark.parametrize(("slack", "what"), [("STATS.WNS", "setup"), ("STATS.WHS", "hold")])
def test_a_design_that_misses_timing_leaves_no_bitstream(slack: str, what: str, tmp_path: Path) -> None:
    design = board_scripts(TINY, EngineKind.RTL)["design.tcl"]
    assert "\nCOPY -force" in NEWEST["vivado"].tried(design, tmp_path).stdout
    done = NEWEST["vivado"].tried(design, tmp_path, {**PROPERTIES, slack: "-0.1"})
    assert done.returncode != 0 and f"{what} time is missed by -0.1 ns" in done.stderr
    assert not re.search(r"^COPY .*\.bit", done.stdout, re.MULTILINE) and "BITLATHE done" not in done.stdout


@pytest.mark.parametrize(("name", "engine"), DESIGNS_OF)
def test_a_design_brings_every_source_it_adds(name: str, engine: EngineKind) -> None:
    files = board_scripts(TARGETS[name], engine)
    design = files["design.tcl"]
    for path in files:
        assert path == "design.tcl" or path == "rtl/engine.f" or path in design


@pytest.mark.parametrize("name", reference_targets())
def test_the_configuration_file_names_sources_that_are_emitted(name: str) -> None:
    project = emit_hls(TARGETS[name])
    lines = [line.split("=", 1) for line in project["hls.cfg"].splitlines() if "=" in line and line[0] != "#"]
    values = dict(lines)
    assert values.keys() <= KEYS and len(lines) == len(values)
    assert values["part"] == TARGETS[name].part
    assert values["syn.file"] in project
    assert values["package.output.format"] == "ip_catalog"
    assert project["hls.cfg"].index("part=") < project["hls.cfg"].index("[hls]")


@pytest.mark.parametrize("name", reference_targets())
def test_generated_files_say_so_and_name_no_folder_of_this_machine(name: str) -> None:
    project = {**emit_hls(TARGETS[name]), **board_scripts(TARGETS[name], EngineKind.HLS)}
    for path in ("run.tcl", "hls.cfg", "design.tcl", "src/bitlathe/config.hpp"):
        assert "generated, do not edit" in project[path]
    assert not any(str(Path.home()) in text or str(Path.cwd()) in text for text in project.values())
