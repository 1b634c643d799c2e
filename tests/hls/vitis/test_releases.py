"""Every supported release knows each command of the scripts, with its options, by the vendor's guides."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendor_tcl import SHELLS, Shell

from bitlathe.hls.target.config import TARGETS, Processor
from bitlathe.hls.tools.find import HLS_RELEASES, VIVADO_RELEASES
from bitlathe.hls.tools.scripts import EngineKind, board_scripts
from bitlathe.hls.vitis.project import emit_hls

VIVADO = [shell for shell in SHELLS if shell.tool == "vivado"]
VITIS_HLS = [shell for shell in SHELLS if shell.tool == "vitis_hls"]
BOARDS = [next(target for target in TARGETS.values() if target.processor is each) for each in Processor]
DESIGNS = [board_scripts(board, engine)["design.tcl"] for board in BOARDS for engine in EngineKind]


def name(shell: Shell) -> str:
    return f"{shell.tool} {shell.release}"


@pytest.mark.parametrize("shell", VIVADO, ids=name)
def test_vivado_knows_every_command_of_a_block_design(shell: Shell, tmp_path: Path) -> None:
    for design in DESIGNS:
        calls = shell.run(design, tmp_path)
        assert len(calls) > 50
        assert shell.objections(calls) == []


@pytest.mark.parametrize("shell", VITIS_HLS, ids=name)
def test_vitis_hls_knows_every_command_of_a_synthesis(shell: Shell, tmp_path: Path) -> None:
    for board in BOARDS:
        assert shell.objections(shell.run(emit_hls(board)["run.tcl"], tmp_path)) == []


@pytest.mark.parametrize(("shells", "supported"), [(VIVADO, VIVADO_RELEASES), (VITIS_HLS, HLS_RELEASES)])
def test_the_table_of_commands_spans_the_releases_that_are_accepted(
    shells: list[Shell], supported: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    releases = [tuple(map(int, shell.release.split("."))) for shell in shells]
    assert (releases[0], releases[-1]) == supported and releases == sorted(set(releases))


@pytest.mark.parametrize(
    ("release", "line", "wrong"),
    [
        ("2020.2", "wait_on_runs impl_1", 'invalid command name "wait_on_runs"'),
        ("2025.2", "wait_on_run impl_1", 'invalid command name "wait_on_run"'),
        ("2022.1", "open_solution solution1", 'invalid command name "open_solution"'),
        ("2020.1", "launch_runs -cluster_configuration farm impl_1", "-cluster_configuration is newer"),
        ("2022.1", "create_bd_cell -type ip -vlvn xilinx.com:ip:smartconnect a", "no option -vlvn"),
        ("2022.1", "create_bd_cell -type chip a", "-type chip is not among its values"),
        ("2022.1", "create_bd_cell -type", "-type has no value"),
        ("2022.1", "create_bd_cell -vlnv xilinx.com:ip:smartconect a", "is not among its values"),
        ("2022.1", "get_property STATUS", "1 words, it takes 2 to 2"),
        ("2022.1", "set_property -dict [list CONFIG.NUM_IS 1] [get_bd_cells a]", "no property CONFIG.NUM_IS"),
        ("2022.1", "set_property board_parts tul [current_project]", "no property board_parts"),
    ],
)
def test_what_a_release_does_not_document_is_found(
    release: str, line: str, wrong: str, tmp_path: Path
) -> None:
    shell = Shell("vivado", release)
    try:
        found = "\n".join(shell.objections(shell.run(f'{line}\nputs "BITLATHE done"', tmp_path)))
    except AssertionError as error:  # Tcl's own
        found = str(error)
    assert wrong in found
