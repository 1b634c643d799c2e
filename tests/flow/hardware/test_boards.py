"""A board is one file: every command knows a board whose file was added, and names what is wrong in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import needs
import pytest
from command_line import LENET, run
from made_up_board import NAME, TEXT, made_up_folder
from repository import ROOT

from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.area import PartBudget
from bitlathe.hls.target.board_files import PACKAGED
from bitlathe.hls.target.config import TARGETS, find_target

LABEL = "8x8x2-3x2048-1024"
ZYNQ_7020 = ("pynq-z2", "pynq-z1", "arty-z7-20", "zedboard", "zybo-z7-20")
KNOWN = {*ZYNQ_7020, "zcu104", "zcu102", "kv260", "ultra96-v2", "aup-zu3"}


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a board that was added."""
    folder = made_up_folder(tmp_path)
    monkeypatch.setenv("BITLATHE_BOARDS", str(folder))
    return folder


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "lenet5.blg"
    assert run("quantize", *LENET, "--images", 4, "--out", path).status == 0
    return path


def test_the_boards_of_the_package_are_its_files_and_short() -> None:
    assert list(TARGETS) == sorted(path.stem for path in PACKAGED.glob("*.toml"))
    assert set(TARGETS) >= KNOWN
    for path in PACKAGED.iterdir():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize("room", ["board", "flow", "hls", "benchmarks"])
def test_no_other_file_lists_the_boards(room: str) -> None:
    sources = (path for path in (ROOT / room).rglob("*") if path.suffix in (".py", ".j2"))
    assert [path for path in sources if "zcu104" in path.read_text(encoding="utf-8")] == []


def test_a_board_of_a_known_part_need_not_state_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PACKAGED / "zedboard.toml").read_text(encoding="utf-8")
    monkeypatch.setenv("BITLATHE_BOARDS", str(made_up_folder(tmp_path, text)))
    same = TARGETS["zedboard"]
    assert find_target(NAME) == replace(same, name=NAME)
    assert {TARGETS[name].engine for name in ZYNQ_7020} == {same.engine}
    own = "[engine]\npi = 8\npo = 8\npp = 2\nbanks = 3\nbank_lines = 2048\nweight_lines = 1024\n"
    (tmp_path / "boards" / f"{NAME}.toml").write_text(text.replace("[board]", f"{own}[board]\ndsp = 200"))
    assert (find_target(NAME).engine.label, find_target(NAME).dsp, find_target(NAME).lut) == (
        LABEL,
        200,
        same.lut,
    )


def test_an_added_board_is_a_target(added: Path) -> None:
    assert list(TARGETS) == [*sorted(path.stem for path in PACKAGED.glob("*.toml")), NAME]
    target = find_target(NAME)
    assert (target.engine.label, target.clock_mhz, target.port_bytes) == (LABEL, 125.0, 8)
    assert find_target(f"{NAME}:8x8x1-2x1024-512").engine.label == "8x8x1-2x1024-512"
    assert PartBudget.of(target).dsp == 116
    assert DdrModel.of(target) == DdrModel(latency=25, busy=0.5)
    assert SimulatedDdr.of(target) == SimulatedDdr(latency=25, busy=0.5)


def test_an_added_board_is_compiled_for_and_simulated_in_its_own_time(
    added: Path, graph: Path, tmp_path: Path
) -> None:
    compiled = run("compile", graph, "--target", NAME, "--out", tmp_path / "compiled", "--json").json
    row = run("simulate", graph, "--target", NAME, "--images", 1, "--json").json
    assert (row["target"], row["mismatches"], row["array_macs_per_cycle"]) == (NAME, 0, 128)
    assert row["predicted_cycles"] == compiled["predicted_cycles"]
    assert abs(row["cycles"] / row["predicted_cycles"] - 1) < 0.02
    assert row["latency_ms"] == row["cycles"] / 125_000


def test_an_added_board_is_explored(added: Path, graph: Path) -> None:
    row = run("explore", graph, "--target", NAME, "--seconds", 0, "--json").json
    assert row["target"] == NAME
    choices = row["choices"]
    assert [choice["label"] for choice in choices if choice["is_shipped"]] == [LABEL]
    assert any("of xc7z010clg225-1 are usable" in str(each["limit"]) for each in row["refused"])


def test_an_added_board_gets_projects_of_both_kinds(added: Path, graph: Path, tmp_path: Path) -> None:
    project, design = tmp_path / "hls", tmp_path / "bitstream"
    words = ("--target", NAME, "--synth", "never", "--images", 1)
    assert run("hls", graph, *words, "--out", project, "--json").json["mismatches"] == 0
    assert "part=xc7z010clg225-1" in (project / "hls.cfg").read_text()
    assert run("bitstream", "--target", NAME, "--out", design).status == 0
    text = (design / "design.tcl").read_text()
    assert "create_project -force $project vivado -part xc7z010clg225-1" in text
    assert "get_board_parts -quiet {*made-up*}" in text
    assert "PCW_FPGA0_PERIPHERAL_FREQMHZ 125]" in text


def test_an_added_board_runs_bundles_as_a_simulated_one(added: Path, graph: Path, tmp_path: Path) -> None:
    needs.package("pynq")
    words = ("--board", f"sim://{NAME}", "--images", 2, "--out", tmp_path / "bundles", "--json")
    measured = run("measure", graph, *words).json
    assert (measured["board"], measured["mismatches"]) == (NAME, 0)
    assert measured["clock_mhz"] == 125.0
    deployed = tmp_path / "deployed"
    (bundle,) = (tmp_path / "bundles").iterdir()
    assert run("deploy", "--bundle", bundle, "--out", deployed).status == 0
    assert f"lenet5-{NAME}" in next(deployed.glob("*.bundle")).name


@pytest.mark.parametrize("given", [("--overlay", "x"), ("--token-file", "x")])
def test_what_simulated_boards_do_not_read_is_refused(
    given: tuple[str, str], graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "search.toml").write_text('[network]\nname = "lenet5"\n[training]\nepochs = 1\n[methods.T]\n')
    for words in (("measure", graph), ("search", tmp_path / "search.toml", "--out", tmp_path / "out")):
        outcome = run(*words, "--board", "sim://pynq-z2", *given)
        assert outcome.status == 2
        assert outcome.stderr.splitlines()[-1] == (
            f"bitlathe: {given[0]}: is for real boards, and sim://pynq-z2 is simulated; leave it out"
        )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("lut = 40_000", "lut = 0", ":3: board.lut: is 0; give 1 or more"),
        ("dsp = 120", 'dsp = "many"', ":5: board.dsp: is 'many'; give a whole number"),
        ("dsp = 120\n", "", ":1: board.dsp: is missing"),
        ("lut =", "luts =", ":3: board.luts: is unknown; did you mean lut?"),
        ("0.5", "1.5", ":12: board.ddr_busy: is 1.5; give a share above 0, at most 1"),
        ('"xc7"', '"xc9"', ":8: board.family: is 'xc9'; give one of xc7, xcu, xcup"),
        ('"zynq-7000"', '"zynq"', "board.processor: is 'zynq'; give one of 'zynq-7000', 'zynq-ultrascale'"),
        (
            "125.0",
            "130.0\nclock_pll_mhz = 1000",
            ":9: board.clock_mhz: is 130.0; give a whole fraction of clock_pll_mhz, such as 125",
        ),
        ("port_bytes = 8", "port_bytes = 16", ":10: board.port_bytes: is 16; give one of 8"),
        ("xc7z010clg225-1", "[exec ls]", ":2: board.part: is '[exec ls]'; give the vendor's name of a part"),
        ("banks = 3", "banks = 1", ":17: engine: 2 pixels over 1 banks: needs 1 <= pp <= banks"),
        ("[simulated]", "[simulation]", ":25: simulation: is unknown; did you mean simulated?"),
        ("[engine]", "[engine", ": is not valid TOML: "),
    ],
)
def test_a_wrong_board_file_is_told_by_file_and_key(
    old: str, new: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_up_folder(tmp_path, TEXT.replace(old, new, 1))
    monkeypatch.setenv("BITLATHE_BOARDS", str(folder))
    done = run("bitstream", "--target", NAME, "--out", tmp_path / "out")
    assert (done.status, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"bitlathe: {folder / NAME}.toml") and told in line
    assert run("bitstream", "--target", "pynq-z2", "--out", tmp_path / "other").status == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("0x4000_0000", '"0x4000_0000"', "simulated.registers: is '0x4000_0000'; give a whole number"),
        ("0x4001_0000", "0x4001_0010", "simulated.interrupts: is 0x40010010; give a multiple of 0x10000"),
        ("memory_mib = 32\n", "", "simulated.memory_mib: is missing"),
        ("[simulated]", "[simulation]", "simulated.registers: is missing"),
        ("[engine]", "[engine", "is not valid TOML ("),
    ],
)
def test_a_wrong_simulated_board_is_told_by_file_and_key(
    old: str, new: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_up_folder(tmp_path, TEXT.replace(old, new, 1))
    monkeypatch.setenv("BITLATHE_BOARDS", str(folder))
    done = run("measure", "--board", f"sim://{NAME}", "--bundle", tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert f"bitlathe: {folder / NAME}.toml: {told}" in done.stderr


def test_a_folder_of_boards_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITLATHE_BOARDS", "nowhere")
    done = run("bitstream", "--target", "pynq-z2")
    told = "bitlathe: BITLATHE_BOARDS=nowhere: is not a folder; name one that holds board files\n"
    assert (done.status, done.stderr) == (2, told)


def test_a_name_stands_for_one_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pynq-z2.toml").write_text(TEXT)
    monkeypatch.setenv("BITLATHE_BOARDS", str(tmp_path))
    done = run("bitstream", "--target", "pynq-z2")
    assert done.status == 2
    assert "pynq-z2.toml: a board pynq-z2 is there already (" in done.stderr
