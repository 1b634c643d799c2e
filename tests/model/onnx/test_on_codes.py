"""Files that compute with codes are read as the same on values, and keep their integers where they can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import torch
from torch import nn

needs.package("onnx")
needs.package("onnxruntime")

from onnx_files import exported, imported, node
from quantized_files import QuantizedFile, run, values

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.onnx import compare, import_onnx
from bitlathe.model.quantize.quantizer import quantize

SHAPE = (3, 8, 8)
CONTRIB = "com.microsoft"


class CodesFile(QuantizedFile):
    """A file whose operators compute with int8 codes of steps 2**-frac and zero points 0."""

    def scale(self, frac: int | list[int], kind: type = np.int8, zero: int = 0) -> list[str]:
        step = 2.0 ** -np.asarray(frac, np.float64)
        return [self.constant(step), self.constant(np.full(step.shape, zero), kind)]

    def linear(self, operator: str, inputs: list[str], result: list[str], **attributes: Any) -> str:
        domain = {} if operator in ("QLinearConv", "QLinearMatMul") else {"domain": CONTRIB}
        return self.op(operator, *inputs, *result, **domain, **attributes)

    def conv(
        self, x: list[str], codes: np.ndarray, frac: int | list[int], made: list[str], **given: Any
    ) -> str:
        bias = self.constant(self.codes(len(codes), limit=2000), np.int32)
        weight = [self.constant(codes, np.int8), *self.scale(frac)]
        return self.op("QLinearConv", *x, *weight, *made, bias, **given)

    def values(self, codes: str, scale: list[str]) -> str:
        return self.op("DequantizeLinear", codes, *scale)


def residual_network(file: CodesFile) -> list[tuple[str, list[str]]]:
    """Convolutions, a sum, pools, joined maps and dense layers of codes: results and their steps."""
    image, a, b, c, d, e, f = (file.scale(frac) for frac in (7, 4, 3, 3, 4, 3, 2))
    x = file.op("QuantizeLinear", "x", *image)
    first = file.conv([x, *image], file.codes(6, 3, 3, 3), [7, 8, 9, 7, 10, 8], a, pads=[1, 1, 1, 1])
    second = file.conv([first, *a], file.codes(6, 6, 3, 3), 8, b, pads=[1, 1, 1, 1])
    total = file.linear("QLinearAdd", [first, *a, second, *b], c)
    pooled = file.op("MaxPool", total, kernel_shape=[2, 2], strides=[2, 2])
    halved = file.linear("QLinearAveragePool", [second, *b], d, kernel_shape=[2, 2], strides=[2, 2])
    joined = file.op("QLinearConcat", *e, pooled, *c, halved, *d, domain=CONTRIB, axis=1)
    average = file.linear("QLinearGlobalAveragePool", [joined, *e], d)
    flat = file.op("Flatten", average)
    hidden = [file.constant(file.codes(12, 8), np.int8), *file.scale(7)]
    middle = file.linear("QLinearMatMul", [flat, *d, *hidden], e)
    last = [file.constant(file.codes(5, 8), np.int8), *file.scale([7, 6, 7, 8, 7])]
    bias = file.constant(file.codes(5, limit=900), np.int32)
    logits = file.linear("QGemm", [middle, *e, *last, bias], f, transB=1)
    made = (
        (first, a),
        (second, b),
        (total, c),
        (halved, d),
        (joined, e),
        (average, d),
        (middle, e),
        (logits, f),
    )
    return list(made)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    level, contrast = rng.random((2, 24, 1, 1, 3))
    bright = np.clip(level + contrast * rng.uniform(-1, 1, (24, 8, 8, 3)), 0, 1)
    return (bright * 255).astype(np.uint8)


def check_kept(path: Path, images: np.ndarray) -> None:
    """The integer graph's values are ONNX Runtime's, which are not all alike."""
    network = quantize(import_onnx(path, SHAPE), images)
    assert network.is_kept, network.unkept
    graph = network.graph
    codes = evaluate(graph, network.preprocess.codes(images)).astype(np.float64)
    wanted = run(path, values(images))
    assert np.unique(wanted).size > 7
    found = np.ldexp(codes, -graph.format_of(graph.output).frac)
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


@pytest.mark.parametrize("place", range(8))
def test_every_result_on_codes_is_the_files(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, place: int
) -> None:
    file = CodesFile(rng=rng)
    output = file.values(*residual_network(file)[place])
    path = file.write(tmp_path / "net.onnx", output, rank=2 if place > 5 else 4)
    check_kept(path, images)
    assert compare(import_onnx(path, SHAPE), path, SHAPE).difference == 0


def test_an_output_may_be_codes(tmp_path: Path, rng: np.random.Generator) -> None:
    import onnx

    file = CodesFile(rng=rng)
    codes, _ = residual_network(file)[0]
    path = file.write(tmp_path / "net.onnx", codes, rank=4)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
    onnx.save(model, path)
    agreement = compare(import_onnx(path, SHAPE), path, SHAPE)
    assert agreement.difference == 0 and agreement.magnitude > 0


def test_kernels_that_clip_sums_are_not_what_a_file_is_compared_with(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of bytes near 255 by int8 near 127, whose pairs leave 16 bits."""
    file = CodesFile(rng=rng)
    image, made = file.scale(7, np.uint8, 128), file.scale(-4, np.uint8, 128)
    raised = file.op("QuantizeLinear", file.op("Add", "x", file.constant(1)), *image)
    weight = rng.integers(100, 128, (4, 3, 3, 3)) * np.array([1, -1, 1, -1])[:, None, None, None]
    path = file.write(
        tmp_path / "net.onnx", file.values(file.conv([raised, *image], weight, 4, made), made), rank=4
    )
    agreement = compare(import_onnx(path, SHAPE), path, SHAPE)
    assert agreement.difference == 0 and agreement.magnitude > 0


# ---- Sums of codes, which a Mul scales


@pytest.mark.parametrize("is_pooled", [False, True])
def test_integer_products_of_static_codes_keep_their_integers(
    tmp_path: Path, rng: np.random.Generator, images: np.ndarray, is_pooled: bool
) -> None:
    file = CodesFile(rng=rng)
    step, zero = file.scale(7, np.uint8, 128)
    codes = file.op("QuantizeLinear", "x", step, zero)
    if is_pooled:
        codes = file.op("MaxPool", codes, kernel_shape=[2, 2], strides=[2, 2])
    weight = [file.constant(file.codes(4, 3, 3, 3) + 128, np.uint8), file.constant(128, np.uint8)]
    sums = file.op("ConvInteger", codes, weight[0], zero, weight[1], pads=[1, 1, 1, 1])
    scale = file.op("Mul", step, file.constant(2.0**-8))
    real = file.op("Mul", file.op("Cast", sums, to=1), scale)
    path = file.write(tmp_path / "net.onnx", file.qdq(real, 3), rank=4)
    check_kept(path, images)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.classes = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.first(x))
        b = torch.relu(self.second(a) + a)
        made: torch.Tensor = self.classes(nn.functional.adaptive_avg_pool2d(b, 1).flatten(1))
        return made


def test_steps_taken_from_each_image_leave_the_dequantized_weights(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = Small().eval()
    plain = exported(tmp_path / "plain.onnx", model, SHAPE, 13)
    path = tmp_path / "net.onnx"
    quantize_dynamic(plain, path, weight_type=QuantType.QUInt8)
    network = imported(path)
    assert network.takes_steps_from_images
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer, wanted in zip(layers, (model.first, model.second, model.classes), strict=True):
        step = (wanted.weight.max() - wanted.weight.min()).item() / 255
        assert (layer.weight - wanted.weight).abs().max().item() <= 0.51 * step


def test_sums_that_nothing_scales_are_sums(tmp_path: Path, rng: np.random.Generator) -> None:
    file = CodesFile(rng=rng)
    step, zero = file.scale(7, np.uint8, 128)
    codes = file.op("QuantizeLinear", "x", step, zero)
    weight = [file.constant(file.codes(4, 3, 3, 3) + 128, np.uint8), file.constant(128, np.uint8)]
    real = file.op("Cast", file.op("ConvInteger", codes, weight[0], zero, weight[1]), to=1)
    path = file.write(tmp_path / "net.onnx", file.op("Relu", real), rank=4)
    assert compare(import_onnx(path, SHAPE), path, SHAPE).difference == 0


# ---- ONNX Runtime's own quantizer


@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_files_of_onnx_runtimes_quantizer_are_calibrated_from_their_values(
    tmp_path: Path, images: np.ndarray, kind: str, per_channel: bool
) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.given = iter({"x": image[None]} for image in values(images))

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.given, None)

    plain = exported(tmp_path / "plain.onnx", Small(), SHAPE, 13)
    path = tmp_path / "net.onnx"
    quantize_static(
        plain,
        path,
        Reader(),
        quant_format=QuantFormat.QOperator,
        per_channel=per_channel,
        activation_type=QuantType[kind],
        weight_type=QuantType.QInt8,
    )
    model = import_onnx(path, SHAPE)
    agreement = compare(model, path, SHAPE)
    assert agreement.difference < 0.02 * agreement.magnitude
    network = quantize(model, images)
    assert network.unkept is not None and "is not a power of two" in network.unkept
    graph = network.graph
    codes = evaluate(graph, network.preprocess.codes(images))[:, :, 0, 0]
    found = np.ldexp(codes.astype(np.float64), -graph.format_of(graph.output).frac)
    wanted = run(path, values(images))  # whose ReLUs the codes' ends are
    assert np.abs(found - wanted).mean() < 0.03 * np.abs(wanted).max()


def test_a_softmax_of_codes_at_the_end_is_left_to_the_host(tmp_path: Path, rng: np.random.Generator) -> None:
    file = CodesFile(rng=rng)
    codes, step = residual_network(file)[-1]
    made = file.scale(8, np.int8, -128)
    soft = file.op("QLinearSoftmax", codes, *step, *made, domain=CONTRIB, axis=1, opset=13)
    network = imported(file.write(tmp_path / "net.onnx", file.values(soft, made)), SHAPE)
    assert network.host == ("Softmax",)


# ---- Refusals


REFUSED: list[tuple[str, Callable[[CodesFile], str], str]] = [
    (
        "channels last",
        lambda f: f.linear(
            "QLinearGlobalAveragePool",
            [f.op("QuantizeLinear", "x", *f.scale(7)), *f.scale(7)],
            f.scale(7),
            channels_last=1,
        ),
        "t1: QLinearGlobalAveragePool has channels that stand last; export with channels first",
    ),
    (
        "no zero point",
        lambda f: f.linear(
            "QLinearAdd",
            [f.op("QuantizeLinear", "x", *f.scale(7)), *f.scale(7), "t0", *f.scale(7)],
            f.scale(7)[:1],
        ),
        "t1: QLinearAdd lacks the zero point of its result; quantize the network again",
    ),
    (
        "another scale",
        lambda f: f.conv(
            [f.op("QuantizeLinear", "x", *f.scale(7)), *f.scale(6)], f.codes(4, 3, 3, 3), 8, f.scale(3)
        ),
        "t1: QLinearConv has scale 0.015625 and zero point 0, its codes 0.0078125 and 0; give both ends",
    ),
    (
        "a bad scale",
        lambda f: f.conv(
            [f.op("QuantizeLinear", "x", *f.scale(7)), *f.scale(7)],
            f.codes(4, 3, 3, 3),
            8,
            [f.constant(0.0), f.constant(0, np.int8)],
        ),
        "t1: QLinearConv has scale 0; scales are positive numbers; quantize it again",
    ),
]


@pytest.mark.parametrize(("build", "line"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_has_no_such_form_is_refused_by_the_files_operator(
    tmp_path: Path, rng: np.random.Generator, build: Callable[[CodesFile], str], line: str
) -> None:
    file = CodesFile(rng=rng)
    path = file.write(tmp_path / "net.onnx", build(file), rank=4)
    with pytest.raises(UnsupportedLayer) as caught:
        import_onnx(path, SHAPE)
    assert str(caught.value).startswith(line)


def test_operators_on_codes_that_are_not_read_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    file = CodesFile(rng=rng)
    step = file.scale(7)
    file.nodes.append(node("QLinearReduceMin", f"x {' '.join((*step, *step))}", "y", domain=CONTRIB))
    path = file.write(tmp_path / "net.onnx", "y", rank=4)
    with pytest.raises(UnsupportedLayer, match=r"y: QLinearReduceMin is not read; replace it"):
        import_onnx(path, SHAPE)
