"""measure and deploy, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import needs
import pytest
from board_bundles import bundle_folder
from own_networks import file_of
from repository import ROOT

from bitlathe.board.bundle import find_bundle
from bitlathe.board.sim.boards import BOARDS_VARIABLE, PACKAGED
from bitlathe.hls.target.config import TARGETS

needs.package("pynq")
needs.package("typer")


def bitlathe(*words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command; `path` comes before the search path of programs."""
    program = "from bitlathe.flow.cli.main import main; main()"
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, env=environment, cwd=ROOT
    )


def test_measure_prints_what_a_bundle_does_on_a_simulated_board() -> None:
    bundle = str(bundle_folder("pynq-z2"))
    done = bitlathe("measure", "--board", "sim://pynq-z2", "--bundle", bundle, "--images", "2", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert (measured["images"], measured["mismatches"], measured["clock_mhz"]) == (2, 0, 142.857143)
    assert measured["latency_ms"] == measured["cycles"] / (1000 * measured["clock_mhz"])


def test_measure_counts_no_right_answers_where_outputs_are_no_classes(tmp_path: Path) -> None:
    network = ("--network", f"{file_of(tmp_path)}:a_map", "--dataset", "digits", "--calibration", "8")
    words = ("--images", "1", "--out", str(tmp_path / "bundles"), "--json")
    done = bitlathe("measure", "--board", "sim://pynq-z2", *network, *words)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert (measured["images"], measured["mismatches"], measured["correct"]) == (1, 0, None)


def test_several_boards_share_several_bundles_and_answer_in_their_order() -> None:
    folders = [str(bundle_folder("pynq-z2", network)) for network in ("resnet20", "resnet8")]
    words = [word for folder in folders for word in ("--bundle", folder)]
    boards = ["--board", "sim://pynq-z2"] * 2
    done = bitlathe("measure", *boards, *words, "--images", "1", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["measurements"]
    assert [(row["network"], row["mismatches"]) for row in measured] == [("resnet20", 0), ("resnet8", 0)]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--board", "sim://pynq-z9", "--bundle", "x"], 3, "no simulated board 'pynq-z9'"),
        (["--board", "sim://pynq-z2", "--bundle", "nowhere"], 2, "is not a readable bundle"),
        (["--board", "192.0.2.1", "--bundle", "x"], 3, "asks for a token; give its file with --token-file"),
        (
            ["--board", "sim://pynq-z2", "--board", "sim://zcu104", "--network", "lenet5"],
            2,
            "boards that share work must be equal",
        ),
    ],
)
def test_measure_says_in_one_line_what_is_wrong(words: list[str], status: int, message: str) -> None:
    done = bitlathe("measure", *words)
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("bitlathe:")]
    assert message in line


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a board."""
    out = tmp_path_factory.mktemp("deploy") / "for_board"
    done = bitlathe("deploy", "--bundle", str(bundle_folder("pynq-z2")), "--out", str(out))
    assert done.returncode == 0, done.stderr
    unpack = "'mkdir -p for_board && rm -f for_board/*.bundle && tar -C for_board -xz'"
    assert done.stdout.splitlines()[0] == f"tar -C {out} -cz . | ssh xilinx@BOARD {unpack}"
    return out


def test_what_is_deployed_runs_with_numpy_and_pynq_alone(deployed: Path) -> None:
    (bundle,) = deployed.glob("*.bundle")
    program = (
        "import sys, json\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'torch', 'jinja2', 'typer', 'rich'}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.path.insert(0, '.')\n"
        "import bitlathe.board.agent, bitlathe.model.graph.reference\n"
        "from bitlathe.board.sim.device import activate\n"
        "from bitlathe.board.__main__ import main\n"
        "assert bitlathe.board.agent.__file__.startswith(sys.argv[2]), bitlathe.board.agent.__file__\n"
        "activate('pynq-z2')\n"
        "main([sys.argv[1], '--images', '1'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-S", "-c", _without_editable(program), str(bundle), str(deployed)],
        cwd=deployed,
        env={**os.environ, BOARDS_VARIABLE: str(PACKAGED)},  # a board has no files of simulated ones
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mismatches"] == 0


def _without_editable(program: str) -> str:
    """The program with installed libraries, but without the hooks that lead back to this checkout."""
    import numpy

    return f"import sys\nsys.path.append({str(Path(numpy.__file__).parents[1])!r})\n{program}"


def test_deploy_copies_over_ssh_when_told_to_and_again_over_what_is_there(
    deployed: Path, tmp_path: Path
) -> None:
    board, fake = tmp_path / "board", tmp_path / "ssh"
    board.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$1" = me@board ] || exit 9\ncd {board} && sh -c "$2"\n')
    fake.chmod(0o755)
    for network in ("resnet20", "resnet8"):
        bundle = str(bundle_folder("pynq-z2", network))
        words = ["deploy", "--bundle", bundle, "--out", str(deployed), "--to", "me@board"]
        done = bitlathe(*words, path=str(tmp_path))
        assert done.returncode == 0, done.stderr
        there = board / "for_board"
        assert {path.name for path in there.iterdir()} == {path.name for path in deployed.iterdir()}
        assert (there / "token").read_text() == (deployed / "token").read_text()
        assert (there / "token").stat().st_mode & 0o077 == 0
    fake.write_text("#!/bin/sh\necho no route >&2\nexit 1\n")
    failed = bitlathe(*words, path=str(tmp_path))
    assert failed.returncode == 3
    assert "failed with status 1: no route" in failed.stderr


def test_deploy_again_keeps_the_token_that_the_board_has(tmp_path: Path) -> None:
    words = ["deploy", "--bundle", str(bundle_folder("pynq-z2")), "--out", str(tmp_path / "for_board")]
    tokens = []
    for _ in range(2):
        assert bitlathe(*words).returncode == 0
        tokens.append((tmp_path / "for_board" / "token").read_text())
    assert tokens[0] == tokens[1]


def test_deploy_makes_a_bundle_where_no_board_is(tmp_path: Path) -> None:
    engine = TARGETS["pynq-z2"].engine
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    facts = {"engine": "rtl", "ip": "engine", "address": 0x4000_0000, "clock_mhz": 142.8}
    (overlay / "overlay.json").write_text(json.dumps({**facts, "identity": engine.identity}))
    (overlay / "bitlathe.bit").write_bytes(b"\x00\x09")
    (overlay / "bitlathe.hwh").write_text("<EDKSYSTEM/>")
    network = ["--network", "lenet5", "--calibration", "8", "--images", "3"]
    done = bitlathe("deploy", *network, "--overlay", str(overlay), "--out", str(tmp_path / "for_board"))
    assert done.returncode == 0, done.stderr
    (packed,) = (tmp_path / "for_board").glob("lenet5-pynq-z2-*.bundle")
    manifest = find_bundle(packed, tmp_path / "unpacked").manifest
    assert (manifest.vectors, manifest.overlay.is_simulation) == (3, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "lenet5"], "give --bundle, or a network and --overlay, the folder of the"),
        (["--network", "lenet5", "--bundle", "x"], "of its own; leave out what names a network"),
        (["--images", "4", "--bundle", "x"], "of its own; leave out what names a network, --images"),
    ],
)
def test_deploy_says_what_it_lacks(words: list[str], message: str, tmp_path: Path) -> None:
    done = bitlathe("deploy", *words, "--out", str(tmp_path / "for_board"))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]


def test_deploy_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = bitlathe("deploy", "--bundle", str(bundle_folder("pynq-z2")), "--out", str(tmp_path))
    assert done.returncode == 2 and "holds files that are not ours" in done.stderr
    assert (tmp_path / "mine").read_text() == "x"
