"""Bad input gets one clear line and the documented exit status, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import LENET, run

from bitlathe.flow.errors import ExitStatus, UsageError, status_of
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.compress import training
from bitlathe.model.graph import errors
from bitlathe.model.graph.files.archive import write_graph
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Dense, Input
from bitlathe.model.zoo import checkpoint_path

CHECKPOINT = checkpoint_path("lenet5", "digits")
OWN_NETWORKS = """
from torch import nn

def strange(): return nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(72, 10))
def mirrored(): return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.Flatten())
def larger(): return nn.Sequential(nn.Flatten(), nn.Linear(100, 10))
def huge(): return nn.Sequential(nn.Conv2d(1, 600, 1), nn.ReLU(), nn.Conv2d(600, 10, 8), nn.Flatten())
def no_network(): return 3
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs in a folder of its own, where a command that fails must leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"given"}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Folder for what a test hands to the command."""
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def test_a_line_break_in_a_name_leaves_one_line() -> None:
    for words in (
        ("simulate", "a\nb\x1b[2Jc.blg"),
        ("quantize", "--network", "a\nb.py:make", "--dataset", "digits"),
    ):
        told = refused(ExitStatus.BAD_INPUT, *words)
        assert told.startswith("a\\nb")
        assert "\x1b" not in told


def refused(status: ExitStatus, *words: object) -> str:
    """The line that a command prints instead of doing anything."""
    outcome = run(*words)
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("bitlathe: ")]
    assert (outcome.status, outcome.stdout, len(lines)) == (status, "", 1)
    assert outcome.stderr.endswith(lines[0] + "\n")
    return lines[0].removeprefix("bitlathe: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("quantize", "--network", "lenet6"), "lenet6: no such network; choose one of lenet5, "),
        (("train", "--network", "lenet6"), "lenet6: no such network; choose one of lenet5, "),
        (
            ("quantize", "--network", "lenet5", "--dataset", "letters"),
            "letters: no such data set, folder or file; choose one of ",
        ),
        (
            ("simulate", *LENET, "--target", "pynq-z9"),
            f"target 'pynq-z9' is unknown; choose one of {', '.join(TARGETS)}",
        ),
        (("compile", *LENET, "--target", "zcu", "--out", "x"), "target 'zcu' is unknown"),
        (
            ("quantize", *LENET, "--layer", "conf1=4"),
            "quantize: no layer is called conf1; did you mean conv1",
        ),
        (("quantize", *LENET, "--layer", "conv1"), "--layer conv1: write NAME=WEIGHT_BITS"),
        (("quantize", *LENET, "--weight-bits", "1"), "quantize: 1 bits for a network are not supported"),
        (("simulate", *LENET, "--images", "361"), "--images 361: digits has 360 test images"),
        (("quantize",), "give one of --network and a graph's file (.blg)"),
        (("quantize", "x.blg", *LENET), "give one of --network and a graph's file (.blg)"),
        (("train", "--network", "lenet5", "--epochs", "0"), "--epochs: is 0; give 1 or more"),
        (
            ("simulate", "--network", "lenet5", "--chart", "x.png"),
            "--chart: does nothing without --profile; give that too, or leave it out",
        ),
        (
            ("train", "--network", "lenet5", "--schedule", "x"),
            "--schedule x: choose one of one-cycle, cosine",
        ),
        (("quantize", "--network", "nets.py:make"), "nets.py:make: give --dataset"),
        (("quantize", "--network", "nets.py:make", "--dataset", "digits"), "nets.py: no such Python file"),
    ],
)
def test_a_wrong_option_is_bad_input(words: tuple[str, ...], message: str) -> None:
    assert refused(ExitStatus.BAD_INPUT, *words).startswith(message)


def test_typer_s_own_usage_errors_have_the_same_status() -> None:
    assert run("simulate", "--nonsense").status == ExitStatus.BAD_INPUT
    assert run("nonsense").status == ExitStatus.BAD_INPUT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable PyTorch checkpoint"),
        (b"no checkpoint at all", "not a readable PyTorch checkpoint"),
        (CHECKPOINT.read_bytes()[:5000], "not a readable PyTorch checkpoint"),
        (None, "no such file"),
    ],
)
def test_a_damaged_or_missing_checkpoint_is_bad_input(
    given: Path, content: bytes | None, message: str
) -> None:
    path = given / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    line = refused(ExitStatus.BAD_INPUT, "quantize", *LENET, "--weights", path, "--out", "net.blg")
    assert line.startswith(f"{path}: {message}")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_checkpoint_with_nan_or_infinite_weights_is_bad_input(given: Path, bad: float) -> None:
    content = torch.load(CHECKPOINT, weights_only=True)
    content["state"]["conv1.weight"][0, 0, 0, 0] = bad
    torch.save(content, given / "weights.pt")
    line = refused(ExitStatus.BAD_INPUT, "simulate", *LENET, "--weights", given / "weights.pt")
    assert "conv1.weight has 1 of" in line and "NaN or infinite" in line


def test_the_checkpoint_of_another_network_is_bad_input() -> None:
    line = refused(
        ExitStatus.BAD_INPUT,
        "quantize",
        "--network",
        "resnet8",
        "--dataset",
        "digits",
        "--weights",
        CHECKPOINT,
    )
    assert "it belongs to another network" in line


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("strange", "aten.group_norm.default has no exact integer form here"),
        ("mirrored", "pads with other than zeros"),
        ("larger", "for images of shape (1, 8, 8); mend it there"),
        ("no_network", "returns int; let it return a torch.nn.Module"),
        ("absent", "has no function absent"),
    ],
)
def test_a_network_that_cannot_be_quantized_is_bad_input(given: Path, function: str, message: str) -> None:
    file = given / "nets.py"
    file.write_text(OWN_NETWORKS)
    words = ("--network", f"{file}:{function}", "--dataset", "digits", "--out", "net.blg")
    assert message in refused(ExitStatus.BAD_INPUT, "quantize", *words)


def test_a_layer_larger_than_the_engine_s_stores_is_bad_input(given: Path) -> None:
    file = given / "nets.py"
    file.write_text(OWN_NETWORKS)
    words = ("--network", f"{file}:huge", "--dataset", "digits", "--calibration", "4", "--out", "bundle")
    assert "output channels take" in refused(ExitStatus.BAD_INPUT, "compile", *words)


def test_a_network_larger_than_the_board_s_ddr_window_is_bad_input(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.hls.compile.compiler.MIB", 1)  # byte
    said = refused(ExitStatus.BAD_INPUT, "compile", "--network", "lenet5", "--out", "bundle")
    assert "MiB of weights and maps in DDR, pynq-z2 has a window of 128 MiB" in said


def small_graph(bias: int = 0, pixels: int = 8) -> Graph:
    """A dense layer over the digits."""
    image = Input(name="input", format=FixedPoint(bits=8, frac=7), shape=(1, pixels, pixels))
    dense = Dense(
        name="fc",
        format=FixedPoint(bits=8, frac=0),
        source="input",
        weight=np.full((10, pixels * pixels), 127, dtype=np.int16),
        bias=np.full(10, bias, dtype=np.int32),
        weight_bits=8,
        weight_frac=(7,) * 10,
        lo=-128,
        hi=127,
    )
    return Graph(name="small", nodes=(image, dense), output="fc")


def test_a_graph_that_could_overflow_fails_its_check(given: Path) -> None:
    write_graph(small_graph(bias=2**31 - 1), given / "net.blg")
    line = refused(
        ExitStatus.CHECK_FAILED, "compile", given / "net.blg", "--dataset", "digits", "--out", "bundle"
    )
    assert line.startswith("fc: the accumulator of channel 0 may reach ")


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_truncated_graph_is_bad_input(given: Path, cut: int) -> None:
    path = given / "net.blg"
    write_graph(small_graph(), path)
    path.write_bytes(path.read_bytes()[:cut])
    line = refused(ExitStatus.BAD_INPUT, "compile", path, "--dataset", "digits", "--out", "bundle")
    assert line.startswith(f"{path}: ")


def test_a_missing_or_foreign_graph_is_bad_input(given: Path) -> None:
    np.savez(given / "net.blg.npz", images=np.zeros(3))
    for name in ("net.blg.npz", "absent.blg"):
        assert name in refused(ExitStatus.BAD_INPUT, "simulate", given / name, "--dataset", "digits")


def test_a_graph_for_other_images_is_bad_input(given: Path) -> None:
    write_graph(small_graph(pixels=9), given / "net.blg")
    line = refused(ExitStatus.BAD_INPUT, "quantize", given / "net.blg", "--dataset", "digits")
    assert "takes images of (1, 9, 9), digits's are (1, 8, 8)" in line


def test_a_graph_brings_its_own_weights(given: Path) -> None:
    write_graph(small_graph(), given / "net.blg")
    words = ("quantize", given / "net.blg", "--dataset", "digits", "--weights", CHECKPOINT)
    assert "leave out --weights" in refused(ExitStatus.BAD_INPUT, *words)
    assert "give --dataset" in refused(ExitStatus.BAD_INPUT, "quantize", given / "net.blg")


def test_missing_data_has_a_status_of_its_own(given: Path) -> None:
    for command in (("train", "--out", "x"), ("quantize", "--out", "x.blg")):
        line = refused(ExitStatus.MISSING, *command, "--network", "resnet8", "--data", given)
        assert line.startswith("cifar10: files not found") and "BITLATHE_DATA" in line


def test_a_truncated_data_file_is_missing_data(given: Path) -> None:
    (given / "mnist").mkdir()
    for split in ("train", "test"):
        (given / "mnist" / f"{split}.npz").write_bytes(b"PK\x03\x04 cut short")
    words = ("quantize", "--network", "lenet5", "--dataset", "mnist", "--data", given)
    assert "mnist/train.npz: not an npz archive" in refused(ExitStatus.MISSING, *words)


def test_a_folder_of_other_files_is_not_replaced(given: Path) -> None:
    (given / "thesis.tex").touch()
    line = refused(ExitStatus.BAD_INPUT, "compile", *LENET, "--out", given)
    assert line == f"{given}: holds files that are not ours (no manifest.json); name a new or empty folder"
    assert list(given.iterdir()) == [given / "thesis.tex"]


def test_a_place_that_cannot_be_written_is_bad_input(given: Path) -> None:
    (given / "file").touch()
    for words in (("compile", "--out", given / "file/x"), ("quantize", "--out", given / "file/x.blg")):
        assert "cannot be written" in refused(ExitStatus.BAD_INPUT, *words, *LENET)
    for words in (("train", "--network", "lenet5"), ("resources",)):
        line = refused(ExitStatus.BAD_INPUT, *words, "--out", given / "file/x/y.json")
        assert "cannot be written (Not a directory)" in line


def test_a_folder_that_cannot_be_made_is_told_of_before_anything_is_trained(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untrained(*arguments: object, **settings: object) -> None:
        raise AssertionError

    monkeypatch.setattr(training, "train_epoch", untrained)
    (given / "file").touch()
    line = refused(ExitStatus.BAD_INPUT, "train", "--network", "lenet5", "--out", given / "file")
    assert line == f"{given}/file: cannot be written (File exists); choose another folder"


@pytest.mark.parametrize(
    "command", [("train",), ("quantize",), ("compress", "--method", "train", "--out", "x"), ("simulate",)]
)
@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_a_seed_that_no_generator_takes_is_bad_input(command: tuple[str, ...], seed: str) -> None:
    outcome = run(*command, "--network", "lenet5", "--seed", seed)
    assert (outcome.status, outcome.stdout) == (ExitStatus.BAD_INPUT, "")
    assert "Invalid value for '--seed'" in outcome.stderr


def test_a_graph_is_written_to_a_file_not_a_folder() -> None:
    assert refused(ExitStatus.BAD_INPUT, "quantize", *LENET, "--out", ".") == (
        ".: is a folder; name a file in it"
    )


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(request: object, progress: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bitlathe.flow.network.obtain.obtain", interrupted)
    assert refused(ExitStatus.INTERRUPTED, "quantize", *LENET) == "interrupted"


def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: object, progress: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("bitlathe.flow.network.obtain.obtain", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run("quantize", *LENET)


def test_the_installed_script_tells_that_the_compiler_is_missing(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("bitlathe")
    surroundings = {**os.environ, "PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    surroundings.pop("CXX", None)
    done = subprocess.run([script, "simulate", *LENET], env=surroundings, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (ExitStatus.MISSING, "")
    assert done.stderr.splitlines()[-1].startswith("bitlathe: no C++ compiler")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BitlatheError, 1),
        (errors.OverflowRisk, 1),
        (errors.FormatError, 2),
        (errors.UnsupportedLayer, 2),
        (errors.ShapeError, 2),
        (errors.CapacityError, 2),
        (errors.DataError, 2),
        (UsageError, 2),
        (errors.ToolError, 3),
        (errors.MissingData, 3),
    ],
)
def test_every_error_has_a_status(error: type[errors.BitlatheError], status: int) -> None:
    assert status_of(error("")) == status
