"""`bitlathe hls` and `bitlathe bitstream`: what they leave, what they say, how they end."""

import errno
import json
import os
import sys
from pathlib import Path

import fake_hls_tools as fakes
import needs
import pytest
from command_line import LENET, run
from exported_ip import write_ip

from bitlathe.flow.boards.bundle import read_overlay
from bitlathe.flow.hardware import hls
from bitlathe.flow.hardware.hls import Flow, HlsRequest, Synth, keep_report
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.target.config import TARGETS, find_target, reference_targets
from bitlathe.hls.tools.find import SETTINGS_VARIABLE
from bitlathe.hls.tools.reports import read_report
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.model.zoo import NETWORKS
from bitlathe.rtl_tb.engine import exported

HWH = '<E><MEMRANGE INSTANCE="engine" MEMTYPE="REGISTER" BASEVALUE="0x40000000"/></E>'
BUILT = (
    f"touch bitlathe.bit; echo '{HWH}' > bitlathe.hwh; echo BITLATHE clock 142857142 Hz; echo BITLATHE done"
)
RUN = ("hls", *LENET)


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and one for tools, first on a PATH without any."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    return folder


def test_without_a_tool_it_ends_well_and_says_what_was_not_done() -> None:
    outcome = run(*RUN)
    assert outcome.status == 0
    assert "C simulation of 4 images: equal to the reference" in outcome.stdout
    assert "not done: synthesis, estimates and IP, as none of vitis-run" in outcome.stdout
    assert (Path("build/hls/lenet5-pynq-z2-engine") / "run.tcl").exists()


def test_a_tool_that_is_required_and_missing_ends_with_3() -> None:
    outcome = run(*RUN, "--synth", "require")
    assert outcome.status == 3
    assert "no HLS tool on PATH" in outcome.stderr


@pytest.mark.parametrize("option", ["--flow", "--synth"])
def test_an_unknown_word_ends_with_2(option: str) -> None:
    outcome = run(*RUN, option, "magic")
    assert outcome.status == 2
    assert f"{option} magic: choose one of" in outcome.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backend", "Vitis"], "--backend Vitis: is hls4ml's; give --flow hls4ml too"),
        (["--reuse", "4"], "--reuse 4: is hls4ml's; give --flow hls4ml too"),
        (["--flow", "hls4ml", "--backend", "magic"], "choose one of Vitis, VivadoAccelerator"),
        (
            ["--flow", "hls4ml", "--backend", "VivadoAccelerator", "--target", "zcu104"],
            "VivadoAccelerator",
        ),
    ],
)
def test_a_backend_that_does_not_suit_ends_with_2(words: list[str], message: str) -> None:
    outcome = run(*RUN, *words)
    assert outcome.status == 2
    assert message in outcome.stderr


OWN = """
from torch import nn

def make():
    pools = nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), *pools, nn.Flatten(), nn.Linear(4, 10))
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--network", "own.py:make", "--dataset", "digits"],
            "a 3x3 max pool of stride 2x2; hls4ml",
        ),
        ([*LENET, "--reuse", "1"], "pynq-z2: reuse factor 1 needs "),
    ],
    ids=["network", "dsps"],
)
def test_what_hls4ml_or_the_target_cannot_take_ends_with_2_and_leaves_nothing(
    words: list[str], message: str
) -> None:
    needs.package("hls4ml")
    Path("own.py").write_text(OWN)
    outcome = run("hls", *words, "--flow", "hls4ml")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert message in outcome.stderr
    assert not Path("build").exists()


def test_a_folder_that_cannot_be_written_is_told(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hls, "synthesize", full)
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1"))
    outcome = run(*RUN, "--out", "project")
    assert outcome.status == 2
    assert "project: cannot be written (No space left on device)" in outcome.stderr


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work" / "mine").mkdir()
    (tmp_path / "work" / "mine" / "thesis.txt").write_text("precious")
    assert run(*RUN, "--out", "mine").status == 2
    assert list((tmp_path / "work" / "mine").iterdir()) == [tmp_path / "work" / "mine" / "thesis.txt"]


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench on the exported Verilog passes without being run."""
    monkeypatch.setattr(exported, "exported_failure", lambda ip, configuration: None)


@pytest.mark.usefixtures("proven")
def test_with_a_tool_the_report_joins_the_others(tools: Path) -> None:
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1", interval=2))
    result = run(*RUN, "--json", "--out", "project").json
    assert result["tool"] == "vitis_hls 2023.1"
    assert result["report"]["dsp"] == 205
    assert result["report"]["slow_loops"] == {"scratchpad_cycles": 2}
    assert Path(result["ip"]).is_dir()
    assert (result["bench"], result["not_done"]) == ("", [])
    run(*RUN, "--json", "--out", "project")
    (row,) = json.loads(Path("build/bench/hls.json").read_text())
    assert (row["target"], row["flow"], row["lut"]) == ("pynq-z2", "engine", 40_321)
    assert (row["engine"], row["network"]) == (TARGETS["pynq-z2"].engine.label, None)


def test_estimates_of_each_core_have_a_row_of_their_own() -> None:
    text = fakes.REPORT.format(version="2024.1", dsp="DSP", uram="")
    Path("csynth.xml").write_text(text)
    report = read_report(Path("csynth.xml"), TARGETS["pynq-z2"])
    cores = [
        ("pynq-z2", "engine", "lenet5"),
        ("pynq-z2", "engine", "resnet8"),  # the same engine
        ("pynq-z2:8x8x4-5x4096-4608", "engine", "lenet5"),
        ("pynq-z2", "hls4ml", "lenet5"),
        ("pynq-z2", "hls4ml", "resnet8"),
    ]
    for name, flow, network in cores:
        request = HlsRequest(target=find_target(name), flow=Flow(flow), out=None, images=1, synth=Synth.NEVER)
        keep_report(report, request, network)
    rows = json.loads(Path("build/bench/hls.json").read_text())
    assert [row["network"] for row in rows] == [None, None, "lenet5", "resnet8"]
    assert rows[0]["engine"] != rows[1]["engine"]


def test_a_tool_that_fails_ends_with_3_and_keeps_its_log(tools: Path) -> None:
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1", synthesis="echo too wide; false"))
    outcome = run(*RUN, "--out", "project")
    assert outcome.status == 3
    assert "too wide" in outcome.stderr
    assert "too wide" in Path("project/csynth.log").read_text()


@pytest.mark.parametrize("engine", ["rtl", "hls", "hls4ml"])
@pytest.mark.parametrize("target", reference_targets())
def test_a_bitstreams_project_is_emitted_without_vivado(target: str, engine: str) -> None:
    outcome = run("bitstream", "--target", target, "--engine", engine)
    assert outcome.status == 0
    assert "not done: no bitstream, as no Vivado is on PATH" in outcome.stdout
    assert Path(f"build/bitstream/{target}-{engine}/design.tcl").exists()
    assert ("has no IP, as no project in build/hls has exported one" in outcome.stdout) == (engine != "rtl")
    assert run("bitstream", "--target", target, "--engine", engine, "--require").status == 3


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0, 1])
def test_the_exported_verilog_runs_in_the_whole_engine_bench(tools: Path, tmp_path: Path, wrong: int) -> None:
    ip = write_ip(tmp_path / "ip", TARGETS["pynq-z2"].engine, wrong=wrong)
    place = "hls/solution1/impl"
    export = f"mkdir -p {place} && cp -r {ip} {place}/"
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1", export=export))
    outcome = run(*RUN, "--out", "project")
    if wrong:
        assert outcome.status == 1
        assert "the exported Verilog fails the whole-engine bench, so do not build with it" in outcome.stderr
        assert "a_network_gives_the_references_integers_twice" in outcome.stderr
    else:
        assert outcome.status == 0, outcome.stderr
        assert "whole-engine bench on the exported Verilog: every integer equal" in outcome.stdout


def test_an_export_without_verilog_is_noticed(tools: Path) -> None:
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1"))
    outcome = run(*RUN, "--out", "project")
    assert outcome.status == 3
    assert "no Verilog in the exported IP" in outcome.stderr


def test_a_bench_that_fails_is_told_and_ends_with_1(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "exported_failure", lambda ip, configuration: "engine: failed: a test")
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1"))
    outcome = run(*RUN, "--out", "project")
    assert outcome.status == 1
    assert "do not build with it" in outcome.stderr and "engine: failed: a test" in outcome.stderr
    assert "exported IP: project" in outcome.stdout


def test_without_cocotb_the_bench_is_told_as_not_done(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, exported.__name__, None)
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1"))
    outcome = run(*RUN, "--out", "project")
    assert outcome.status == 0
    assert "not done: bench on the exported Verilog" in outcome.stdout
    assert "pip install 'bitlathe[dev]'" in outcome.stdout


@pytest.fixture
def project(tools: Path, proven: None) -> Path:
    """A project of `bitlathe hls` whose IP a tool has exported."""
    fakes.install(tools, fakes.Fake(name="vitis_hls", version="2023.1"))
    assert run(*RUN).status == 0
    return Path("build/hls/lenet5-pynq-z2-engine")


def test_the_exported_ip_reaches_the_bitstream_and_its_overlay(project: Path, tools: Path) -> None:
    vivado = tools / "vivado"
    vivado.write_text(f'#!/bin/bash\n[ "$1" = -version ] && echo "Vivado v2022.1" && exit 0\n{BUILT}\n')
    vivado.chmod(0o755)
    outcome = run("bitstream", "--engine", "hls", "--out", "design")
    assert outcome.status == 0, outcome.stderr
    assert f"exported IP: {project}/hls/solution1/impl/ip" in outcome.stdout
    assert Path("design/ip/engine/component.xml").is_file()
    facts = json.loads(Path("design/overlay.json").read_text())
    assert (facts["engine"], facts["identity"]) == ("hls", TARGETS["pynq-z2"].engine.identity)
    overlay = read_overlay(Path("design"), TARGETS["pynq-z2"])  # as a bundle takes it
    assert (overlay.kind.value, overlay.overlay.address, overlay.overlay.ip) == ("hls", 0x4000_0000, "engine")
    assert overlay.overlay.clock_mhz == 142.857142


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--project", "nowhere"], "is not a folder of `bitlathe hls`"),
        (
            ["--target", "zcu104", "--project", "build/hls/lenet5-pynq-z2-engine"],
            "is for pynq-z2, engine flow",
        ),
        (["--engine", "hls4ml", "--project", "build/hls/lenet5-pynq-z2-engine"], "needed is pynq-z2, hls4ml"),
    ],
)
def test_an_ip_of_something_else_is_refused(project: Path, words: list[str], message: str) -> None:
    outcome = run("bitstream", "--engine", "hls", *words)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert message in outcome.stderr


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("engine_top.cpp", "its sources are of another version; run `bitlathe hls` again"),
        ("added.hpp", "its IP was exported from other sources than are there now"),
    ],
)
def test_an_ip_of_other_sources_is_refused(project: Path, changed: str, message: str) -> None:
    (project / "src" / changed).write_text("// of another version\n")
    outcome = run("bitstream", "--engine", "hls")
    assert outcome.status == 2
    assert message in outcome.stderr


@pytest.mark.slow
@pytest.mark.parametrize("target", reference_targets())
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_of_the_zoo_gives_the_references_integers(
    network: str, target: str, data_root: Path
) -> None:
    own = data_root.parent / "weights" / f"{network}_cifar10.pt"
    integer = obtain(
        NetworkRequest(
            network=network,
            data=data_root,
            calibration_images=16,
            weights=own if network == "resnet20" and own.exists() else None,
        )
    )
    images, _ = integer.test_images(2)
    compiled = compile_graph(integer.graph, TARGETS[target].engine)
    outputs = HlsEngine(TARGETS[target]).run(compiled, integer.preprocess.codes(images))
    assert (outputs.ravel() == integer.reference(images).ravel()).all()
