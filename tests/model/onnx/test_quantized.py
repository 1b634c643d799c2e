"""A quantized ONNX file keeps its integers: every code is the one that the file has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import needs
import numpy as np
import pytest

needs.package("onnx")
needs.package("onnxruntime")

from quantized_files import QuantizedFile, run, run_quant, values

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.model.onnx import compare, import_onnx
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize

SHAPE = (3, 8, 8)
COUNT = 24


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    level, contrast = rng.random((2, COUNT, 1, 1, 3))
    bright = np.clip(level + contrast * rng.uniform(-1, 1, (COUNT, 8, 8, 3)), 0, 1)
    return (bright * 255).astype(np.uint8)


def kept(path: Path, images: np.ndarray) -> QuantizedNetwork:
    """The file's network, with its own integers."""
    network = quantize(import_onnx(path, SHAPE), images)
    assert network.is_kept, network.unkept
    return network


def made(network: QuantizedNetwork, images: np.ndarray) -> np.ndarray:
    """Values of the output's codes, (N, ...)."""
    graph = network.graph
    codes = evaluate(graph, network.preprocess.codes(images))
    return np.ldexp(codes.astype(np.float64), -graph.format_of(graph.output).frac)


def residual_network(file: QuantizedFile) -> list[str]:
    """Convolutions of several codes, a sum of quantized tensors, pools and a dense layer; the roundings."""
    x = file.qdq("x", 7)
    per_channel = [7, 8, 9, 7, 10, 8]
    first = file.op(
        "Conv",
        x,
        file.weights(file.codes(6, 3, 3, 3), per_channel),
        file.bias(file.codes(6, limit=3000), [7 + frac for frac in per_channel]),
        pads=[1, 1, 1, 1],
    )
    a = file.qdq(file.op("Relu", first), 4, np.uint8)
    second = file.op(
        "Conv",
        a,
        file.weights(file.codes(6, 6, 3, 3), 8),
        file.bias(file.codes(6, limit=900), 12),
        pads=[1, 1, 1, 1],
    )
    b = file.qdq(second, 3)
    total = file.qdq(file.op("Relu", file.op("Add", a, b)), 3, clip=(-8, 7))
    pooled = file.op("MaxPool", total, kernel_shape=[2, 2], strides=[2, 2])
    third = file.qdq(file.op("Conv", pooled, file.weights(file.codes(4, 6, 1, 1), 6)), 2)
    joined = file.qdq(file.op("Concat", pooled, third, axis=1), 2)
    average = file.qdq(file.op("GlobalAveragePool", joined), 4)
    flat = file.op("Flatten", average)
    logits = file.op(
        "Gemm", flat, file.weights(file.codes(5, 10), 7), file.bias(file.codes(5, limit=2000), 11), transB=1
    )
    return [x, a, b, total, third, joined, average, file.qdq(logits, 3)]


@pytest.mark.parametrize("place", range(8))
def test_every_rounding_of_a_file_has_the_files_codes(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, place: int
) -> None:
    file = QuantizedFile(rng=rng)
    outputs = residual_network(file)
    rank = 2 if place == len(outputs) - 1 else 4
    path = file.write(tmp_path / "net.onnx", outputs[place], rank=rank)
    wanted = run(path, values(images))
    found = made(kept(path, images), images)
    assert np.unique(wanted).size > 7
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_an_uneven_max_pool_of_codes_keeps_them(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    first = file.op("Conv", file.qdq("x", 7), file.weights(file.codes(6, 3, 3, 3), 8), pads=[1, 1, 1, 1])
    codes = file.qdq(file.op("Relu", first), 4, np.uint8)
    pooled = file.op("MaxPool", codes, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    path = file.write(tmp_path / "net.onnx", pooled, rank=4)
    wanted = run(path, values(images))
    np.testing.assert_array_equal(made(kept(path, images), images), wanted)


def test_a_kept_file_compiles_and_rounds_halves_to_even(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    network = kept(file.write(tmp_path / "net.onnx", residual_network(file)[-1]), images)
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | Dense | AvgPool2d)]
    assert {layer.rounding for layer in layers} == {RoundingMode.HALF_EVEN}
    assert compile_graph(network.graph, TARGETS["pynq-z2"].engine).weights


def test_weights_and_biases_are_the_files_integers(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    weight, bias = file.codes(4, 3, 3, 3), file.codes(4, limit=5000)
    total = file.op("Conv", file.qdq("x", 7), file.weights(weight, 9), file.bias(bias, 16))
    path = file.write(tmp_path / "net.onnx", file.qdq(total, 5), rank=4)
    _, conv = kept(path, images).graph.nodes
    assert isinstance(conv, Conv2d)
    np.testing.assert_array_equal(conv.weight, weight)
    np.testing.assert_array_equal(conv.bias, bias)
    assert (conv.weight_bits, set(conv.weight_frac)) == (8, {9})


def test_the_imported_module_computes_what_the_file_does(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    path = file.write(tmp_path / "net.onnx", residual_network(file)[-1])
    agreement = compare(import_onnx(path, SHAPE), path, SHAPE)
    assert agreement.difference == 0 and agreement.magnitude > 0


# ---- Zero points


@pytest.mark.parametrize(
    ("kind", "zero", "relu"),
    [(np.uint8, 128, False), (np.int8, -128, True), (np.uint8, 37, True), (np.int8, -91, True)],
)
def test_zero_points_whose_codes_fit_a_byte_are_kept(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, kind: type, zero: int, relu: bool
) -> None:
    file = QuantizedFile(rng=rng)
    x = file.qdq("x", 7, np.uint8, 128)
    total = file.op("Conv", x, file.weights(file.codes(4, 3, 3, 3), 8), pads=[1, 1, 1, 1])
    a = file.qdq(file.op("Relu", total) if relu else total, 5, kind, zero)
    last = file.op("Conv", a, file.weights(file.codes(4, 4, 3, 3), 8), pads=[1, 1, 1, 1])
    path = file.write(tmp_path / "net.onnx", file.qdq(last, 3), rank=4)
    wanted = run(path, values(images))
    np.testing.assert_array_equal(made(kept(path, images), images), wanted)


def test_an_image_of_unsigned_codes_enters_as_a_byte(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    """Of a network that is given pixel / 128: the module's front makes that of (pixel - 128) / 128."""
    file = QuantizedFile(rng=rng)
    raised = file.op("Add", "x", file.constant(1))
    total = file.op(
        "Conv", file.qdq(raised, 7, np.uint8), file.weights(file.codes(4, 3, 3, 3), 8), pads=[1, 1, 1, 1]
    )
    path = file.write(tmp_path / "net.onnx", file.qdq(total, 3), rank=4)
    network = kept(path, images)
    assert not network.graph.input.format.signed
    np.testing.assert_array_equal(made(network, images), run(path, values(images)))


def test_pixels_that_nothing_rounds_keep_all_else(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    total = file.op("Conv", "x", file.weights(file.codes(4, 3, 3, 3), 8), file.bias(file.codes(4), 15))
    path = file.write(tmp_path / "net.onnx", file.qdq(total, 5), rank=4)
    np.testing.assert_array_equal(made(kept(path, images), images), run(path, values(images)))


# ---- QONNX


def test_quant_nodes_keep_their_codes_of_any_width(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    x = file.quant("x", 7)
    weight = file.quant(file.constant(rng.normal(0, 0.3, (6, 3, 3, 3))), 3, 4, narrow=1)
    first = file.op("Conv", x, weight, pads=[1, 1, 1, 1])
    a = file.quant(file.op("Relu", first), 2, 4, signed=0)
    second = file.quant(file.constant(rng.normal(0, 0.3, (6, 6, 3, 3))), 3, 3, narrow=1)
    b = file.quant(file.op("Conv", a, second, pads=[1, 1, 1, 1]), 2, 6, narrow=1)
    total = file.quant(file.op("Add", a, b), 1, 8)
    flat = file.op("Flatten", file.op("MaxPool", total, kernel_shape=[4, 4], strides=[4, 4]))
    logits = file.op("MatMul", flat, file.quant(file.constant(rng.normal(0, 0.3, (24, 5))), 9, 8, narrow=1))
    path = file.write(tmp_path / "net.onnx", file.quant(logits, 2, 8))
    network = kept(path, images)
    wanted = run_quant(path, values(images))
    np.testing.assert_array_equal(made(network, images).reshape(wanted.shape), wanted)
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | Dense)]
    assert [layer.weight_bits for layer in layers] == [4, 3, 2, 8]
    assert compare(import_onnx(path, SHAPE), path, SHAPE).difference == 0


@pytest.mark.parametrize("is_float", [True, False])
def test_biases_between_the_steps_of_the_sums_are_kept_too(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, is_float: bool
) -> None:
    """As Brevitas leaves them by default; one that is on a step needs a finer step for the others."""
    file = QuantizedFile(rng=rng)
    bias = rng.normal(0, 0.5, 5).astype(np.float32)
    if not is_float:
        bias[2] = 0.25
    weight = file.weights(file.codes(5, 3, 3, 3, limit=127 if is_float else 63), 8)
    total = file.op("Conv", file.quant("x", 7), weight, file.constant(bias))
    path = file.write(tmp_path / "net.onnx", file.quant(total, 4), rank=4)
    network = kept(path, images)
    np.testing.assert_array_equal(made(network, images), run_quant(path, values(images)))
    mode = RoundingMode.HALF_UP if is_float else RoundingMode.HALF_EVEN
    assert network.graph.nodes[1].rounding is mode


def test_logits_that_nothing_rounds_get_a_format_and_all_else_is_kept(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    file = QuantizedFile(rng=rng)
    a = file.quant(file.op("Conv", file.quant("x", 7), file.weights(file.codes(4, 3, 3, 3), 8)), 4)
    logits = file.op("Gemm", file.op("Flatten", a), file.weights(file.codes(5, 144), 9), transB=1)
    path = file.write(tmp_path / "net.onnx", logits)
    network = kept(path, images)
    step = 2.0 ** -network.graph.format_of(network.graph.output).frac
    wanted = run_quant(path, values(images))
    found = made(network, images).reshape(wanted.shape)
    assert (np.abs(found - wanted) <= step / 2).mean() > 0.95


def test_each_of_several_outputs_has_the_files_codes(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    import onnx

    file = QuantizedFile(rng=rng)
    a = file.qdq(file.op("Conv", file.qdq("x", 7), file.weights(file.codes(4, 3, 3, 3), 8)), 4)
    b = file.qdq(file.op("Conv", a, file.weights(file.codes(2, 4, 1, 1), 8)), 3)
    path = file.write(tmp_path / "net.onnx", a, rank=4)
    wanted = run(path, values(images))
    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_tensor_value_info(b, onnx.TensorProto.FLOAT, ["e", 2, 6, 6]))
    onnx.save(model, path)
    network = kept(path, images)
    graph = network.graph
    codes = evaluate_all(graph, network.preprocess.codes(images))
    first, second = (output.tensor for output in graph.outputs)
    np.testing.assert_array_equal(np.ldexp(codes[first].astype(float), -4), wanted)
    single = kept(file.write(tmp_path / "one.onnx", b, rank=4), images)
    np.testing.assert_array_equal(codes[second], evaluate(single.graph, single.preprocess.codes(images)))


def test_an_output_that_nothing_rounds_and_a_layer_reads_has_no_integers_to_keep(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray
) -> None:
    import onnx

    file = QuantizedFile(rng=rng)
    real = file.op("Conv", file.qdq("x", 7), file.weights(file.codes(4, 3, 3, 3), 8))
    last = file.qdq(file.op("Conv", real, file.weights(file.codes(2, 4, 1, 1), 8)), 3)
    path = file.write(tmp_path / "net.onnx", last, rank=4)
    model = onnx.load(path)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(real, onnx.TensorProto.FLOAT, ["e", 4, 6, 6])
    )
    onnx.save(model, path)
    network = quantize(import_onnx(path, SHAPE), images)
    assert network.unkept is not None and "nothing rounds its output" in network.unkept


# ---- What has no such form enters through its values


def one_layer(file: QuantizedFile, **changes: Callable[[], str]) -> str:
    """Image, convolution and rounding, some of them changed."""
    x = changes.get("image", lambda: file.qdq("x", 7))()
    weight = changes.get("weight", lambda: file.weights(file.codes(4, 3, 3, 3), 8))()
    file.nodes.append(_conv(x, weight))
    return changes.get("rounding", lambda: file.qdq("total", 4))()


def _conv(x: str, weight: str) -> object:
    from onnx_files import node

    return node("Conv", f"{x} {weight}", "total")


def scaled(file: QuantizedFile, x: str, scale: float, zero: int = 0, kind: type = np.int8) -> str:
    step, place = file.constant(scale), file.constant(zero, kind)
    return file.op("DequantizeLinear", file.op("QuantizeLinear", x, step, place), step, place)


UNKEPT: list[tuple[str, Callable[[QuantizedFile], str], str]] = [
    (
        "scale",
        lambda f: one_layer(f, rounding=lambda: scaled(f, "total", 0.1)),
        "total: its step 0.1 is not a power of two",
    ),
    (
        "zero point",
        lambda f: one_layer(f, rounding=lambda: scaled(f, "total", 0.125, 3)),
        "total: codes -131 to 124 take 9 bits, the engine has 8",
    ),
    (
        "least weight",
        lambda f: one_layer(f, weight=lambda: f.weights(np.where(f.codes(4, 3, 3, 3) > 120, -128, 5), 8)),
        "total: weights of channel",
    ),
    (
        "16 bits",
        lambda f: one_layer(f, rounding=lambda: f.quant("total", 9, 16)),
        "total: codes -32768 to 32767 take 16 bits, the engine has 8",
    ),
    (
        "an average of nine",
        lambda f: f.qdq(f.op("AveragePool", one_layer(f), kernel_shape=[3, 3]), 4),
        "averages 9 values, which is exact for powers of two only",
    ),
    (
        "a sum that nothing rounds",
        lambda f: f.qdq(
            f.op("Conv", one_layer(f, rounding=lambda: "total"), f.weights(f.codes(2, 4, 1, 1), 8)), 4
        ),
        "total: nothing rounds its output",
    ),
]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in UNKEPT], ids=[row[0] for row in UNKEPT])
def test_what_the_engine_cannot_hold_is_calibrated_from_its_values_and_the_reason_told(
    tmp_path: Path,
    rng: np.random.Generator,
    images: np.ndarray,
    build: Callable[[QuantizedFile], str],
    reason: str,
) -> None:
    file = QuantizedFile(rng=rng)
    path = file.write(tmp_path / "net.onnx", build(file), rank=4)
    network = quantize(import_onnx(path, SHAPE), images)
    assert not network.is_kept
    assert network.unkept is not None and reason in network.unkept
    wanted, found = run_quant(path, values(images)), made(network, images)
    assert np.abs(found - wanted).mean() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("has_relu", [False, True], ids=["left to the codes", "in the file"])
def test_a_bound_that_is_left_to_the_largest_code_is_kept_where_the_file_is_calibrated(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, has_relu: bool
) -> None:
    file = QuantizedFile(rng=rng)

    def rounding() -> str:
        total = file.op("Relu", "total") if has_relu else "total"
        return scaled(file, total, 0.6 / 255, 0, np.uint8)  # many sums are larger

    path = file.write(tmp_path / "net.onnx", one_layer(file, rounding=rounding), rank=4)
    network = quantize(import_onnx(path, SHAPE), images)
    assert not network.is_kept
    wanted, found = run_quant(path, values(images)), made(network, images)
    assert (wanted == wanted.max()).mean() > 0.1
    assert np.abs(found - wanted).max() < 0.05
