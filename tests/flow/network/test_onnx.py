"""`--network FILE.onnx` goes the way of any other network, and says how the file was read."""

from __future__ import annotations

from pathlib import Path

import needs
import numpy as np
import pytest
from command_line import run
from onnx_files import exported, node, write

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.compress.weight_files import load_pretrained


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """The trained LeNet-5 of the package, as an ONNX file."""
    return exported(tmp_path / "lenet.onnx", load_pretrained("lenet5", "digits"), (1, 8, 8), 13)


def test_a_files_network_has_the_accuracy_of_the_one_it_was_exported_from(lenet: Path) -> None:
    ours = run("quantize", "--network", lenet, "--dataset", "digits", "--json")
    zoo = run("quantize", "--network", "lenet5", "--json")
    assert (ours.status, zoo.status) == (0, 0), ours.stderr
    assert ours.json["accuracy_integer"] == zoo.json["accuracy_integer"]
    assert ours.json["weights"]["source"] == "as the ONNX file has them"
    assert "lenet.onnx: differs from ONNX Runtime by " in ours.stderr


def test_a_files_network_is_simulated_bit_for_bit(lenet: Path) -> None:
    outcome = run("simulate", "--network", lenet, "--dataset", "digits", "--images", 4, "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["mismatches"] == 0


def test_softmax_at_the_end_is_left_to_the_host_with_a_note(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
    nodes = [node("Flatten", "x", "flat"), node("MatMul", "flat w", "logits"), node("Softmax", "logits", "y")]
    path = write(tmp_path / "net.onnx", nodes, {"w": weight}, image=("N", 1, 8, 8))
    outcome = run("quantize", "--network", path, "--dataset", "digits", "--images", 10)
    assert outcome.status == 0, outcome.stderr
    assert "left to the host: Softmax" in outcome.stderr


def test_what_is_wrong_with_a_file_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"<!DOCTYPE html>")
    outcome = run("quantize", "--network", tmp_path / "bad.onnx", "--dataset", "digits")
    assert outcome.status == 2
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("bitlathe: ")]
    assert "bad.onnx: is not a complete ONNX file" in line
