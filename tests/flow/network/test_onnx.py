"""`--network FILE.onnx` goes the way of any other network, and says how the file was read."""

from __future__ import annotations

from pathlib import Path

import needs
import numpy as np
import pytest
from command_line import run
from onnx_files import exported, node, write
from quantized_files import QuantizedFile
from quantized_files import run as runtime

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe import load_dataset
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.subject import find_subject
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


def test_a_file_is_read_once(lenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    read, load = [], onnx.load
    monkeypatch.setattr(onnx, "load", lambda path: (read.append(path), load(path))[1])
    find_subject(NetworkRequest(network=str(lenet), dataset="digits"))
    assert read == [lenet]


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


def test_an_operator_without_an_integer_form_is_named_as_the_file_has_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"u": (64, 64), "w": (64, 10)}
    constants = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    nodes = [
        node("Flatten", "x", "flat"),
        node("MatMul", "flat u", "m"),
        node("Div", "flat m", "/net/ratio"),
        node("Div", "m /net/ratio", "again"),
        node("MatMul", "again w", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, constants, image=("N", 1, 8, 8))
    outcome = run("quantize", "--network", path, "--dataset", "digits")
    assert outcome.status == 2
    (told,) = outcome.stderr.splitlines()[-1:]
    assert told == (
        "  /net/ratio: Div divides a tensor by another; multiply, or divide by a constant or a function of "
        "the same tensor (and 1 more of the same, in again)"
    )


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    """A file of quantized layers for digits, which rounds by powers of two."""
    file = QuantizedFile(rng=np.random.default_rng(1))
    conv = file.op(
        "Conv", file.qdq("x", 7), file.weights(file.codes(4, 1, 3, 3), 8), file.bias(file.codes(4), 15)
    )
    flat = file.op("Flatten", file.qdq(file.op("Relu", conv), 6, np.uint8))
    logits = file.op("MatMul", flat, file.weights(file.codes(144, 10), 9))
    return file.write(tmp_path / "net.onnx", file.qdq(logits, 2), image=("N", 1, 8, 8))


def test_a_quantized_file_keeps_its_integers_from_the_command_line_to_the_engine(quantized: Path) -> None:
    made = run("quantize", "--network", quantized, "--dataset", "digits", "--json")
    assert made.status == 0, made.stderr
    assert "net: is quantized already and keeps its own integers" in made.stderr
    assert "quantized already: what trains it goes on from its dequantized weights" in made.stderr
    assert made.json["accuracy_integer"] == made.json["accuracy_float"]
    simulated = run("simulate", "--network", quantized, "--dataset", "digits", "--images", 3, "--json")
    assert (simulated.status, simulated.json["mismatches"]) == (0, 0), simulated.stderr


def test_other_bits_or_another_rounding_calibrate_a_quantized_file(quantized: Path) -> None:
    given = ("quantize", "--network", quantized, "--dataset", "digits", "--images", 50)
    for options in (("--weight-bits", 4), ("--rounding", "half_even")):
        outcome = run(*given, *options)
        assert outcome.status == 0, outcome.stderr
        told = "net: is quantized already, calibrated again from its values: other integers are asked for"
        assert told in outcome.stderr
    outcome = run(*given, "--rounding", "up")
    assert outcome.status == 2
    assert "--rounding up: choose one of half_up, half_even" in outcome.stderr


def test_the_float_score_of_a_quantized_file_is_that_of_the_file_in_onnx_runtime(
    tmp_path: Path, lenet: Path
) -> None:
    """Where steps differ from image to image the module has other outputs, which tells the two apart."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path, judge = tmp_path / "net.onnx", tmp_path / "judge.py"
    quantize_dynamic(lenet, path, weight_type=QuantType.QUInt8)
    judge.write_text("def total(outputs, labels):\n    return abs(outputs).sum()\n")
    given = ("--network", path, "--dataset", "digits", "--images", 20, "--normalize", "0..1")
    made = run("quantize", *given, "--metric", f"{judge}:total", "--json")
    assert "its steps differ from image to image" in made.stderr
    images = load_dataset("digits").test_images[:20].transpose(0, 3, 1, 2) / np.float32(255)
    assert made.json["score_float"] == pytest.approx(float(np.abs(runtime(path, images)).sum()), rel=1e-5)
    compressed = run(
        *("compress", *given, "--metric", f"{judge}:total", "--out", tmp_path / "out"),
        *("--method", "train:epochs=0", "--json"),
    )
    assert compressed.json["score_float"] == made.json["score_float"]


def test_a_search_from_a_quantized_file_tells_the_score_of_that_file_too(
    quantized: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "search.toml"
    configuration.write_text(
        f'[network]\nname = "{quantized}"\ndataset = "digits"\n'
        "[training]\nepochs = 1\n[search]\nheld_out = 300\n"
        '[methods.Q]\nbits = [[4, 4]]\n[rule]\nname = "feasible"\n'
        '[latency]\ntarget = "pynq-z2"\nrungs = ["cycle-model"]\n'
    )
    found = run("search", configuration, "--out", tmp_path / "out", "--json")
    assert found.status == 0, found.stderr
    score = run("quantize", "--network", quantized, "--dataset", "digits", "--json").json["score_float"]
    assert found.json["original_score"] == score
    assert f"net: accuracy {100 * score:.2f} % on the test images as the file computes" in found.stderr
    assert '<td data-label="pipeline">the file itself</td>' in (tmp_path / "out" / "index.html").read_text()


def test_a_network_of_tensorflow_lite_is_refused_with_the_way_to_convert_it() -> None:
    outcome = run("quantize", "--network", "net.tflite", "--dataset", "digits")
    assert outcome.status == 2
    assert "net.tflite: is for TensorFlow Lite; convert it by python -m tf2onnx.convert" in outcome.stderr
