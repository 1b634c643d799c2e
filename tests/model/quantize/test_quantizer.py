"""Quantization from a module to a legal, proven, accurate integer graph."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import DataError, FormatError, OverflowRisk, ShapeError
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph, residual_shifts, shifts
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.model.quantize.config import InputMode, LayerBits, QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, network_inputs, quantize
from bitlathe.model.train import evaluate as accuracy_of
from bitlathe.model.zoo import Normalize, PadShortcut, build

QUICK = QuantizeConfig(calibration_images=8)


def images_of(size: int, channels: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels)).astype(np.uint8)


def branches() -> nn.Module:
    """Every kind of node: both kinds of convolutions, pools and shortcuts, a concatenation, a dense layer."""

    def block(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.norm(m.stem(x)))
        x = torch.cat([F.relu(m.left(x)), m.right(x), F.max_pool2d(x, 3, 1, 1)], 1)
        x = F.relu6(m.deep(x) + x)
        x = F.relu(m.down(x) + m.shortcut(x))
        return m.dense(F.avg_pool2d(x, 3).flatten(1))

    return Forward(
        block,
        stem=nn.Conv2d(3, 6, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(6),
        left=nn.Conv2d(6, 4, 1),
        right=nn.Conv2d(6, 2, 5, padding=2),
        deep=nn.Conv2d(12, 12, 3, padding=1, groups=12),
        down=nn.Conv2d(12, 20, 3, stride=2, padding=1),
        shortcut=PadShortcut(12, 20, 2),
        dense=nn.Linear(80, 5),
    )


@cache
def seeded_branches() -> tuple[nn.Module, FloatNetwork]:
    """`branches` in evaluation mode, and captured."""
    torch.manual_seed(0)
    model = branches().eval()
    return model, capture(model, (3, 12, 12))


def quantized_branches(config: QuantizeConfig = QUICK) -> QuantizedNetwork:
    return quantize(seeded_branches()[1], images_of(12, 3), config)


@pytest.fixture(scope="module")
def lenet() -> QuantizedNetwork:
    return quantize(load_pretrained("lenet5", "digits"), load_dataset("digits").train_images)


def test_lenet_loses_at_most_one_digit_in_360(lenet: QuantizedNetwork) -> None:
    digits = load_dataset("digits")
    exact = accuracy_of(load_pretrained("lenet5", "digits"), digits.test_images, digits.test_labels)
    codes = evaluate(lenet.graph, lenet.preprocess.codes(digits.test_images))
    right = int((codes[:, :, 0, 0].argmax(axis=1) == digits.test_labels).sum())
    assert right >= round(exact.accuracy * 360) - 1


def test_the_module_computes_the_integer_network(lenet: QuantizedNetwork) -> None:
    digits = load_dataset("digits")
    values = lenet.module()(network_inputs(digits.test_images)).numpy()
    codes = evaluate(lenet.graph, lenet.preprocess.codes(digits.test_images)).reshape(360, 10)
    assert np.array_equal(values, codes * lenet.graph.format_of(lenet.graph.output).scale)


def assert_same_integers(one: Graph, other: Graph) -> None:
    for node, same in zip(one.nodes, other.nodes, strict=True):
        assert (node.name, node.format) == (same.name, same.format)
        if isinstance(node, (Conv2d, Dense)):
            assert isinstance(same, (Conv2d, Dense))
            assert np.array_equal(node.weight, same.weight) and np.array_equal(node.bias, same.bias)


@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
@pytest.mark.parametrize("activation_bits", [2, 8, 16])
@pytest.mark.parametrize("per_channel", [True, False])
def test_any_width_gives_a_proven_graph_that_torch_computes_bit_for_bit(
    weight_bits: int, activation_bits: int, per_channel: bool
) -> None:
    config = replace(QUICK, weight_bits=weight_bits, activation_bits=activation_bits, per_channel=per_channel)
    network = quantized_branches(config)
    check(network.graph)
    codes = network.preprocess.codes(images_of(12, 3, count=3))
    assert np.array_equal(network.module().codes(codes), evaluate(network.graph, codes))


def test_a_concatenation_its_operands_and_pools_share_a_format() -> None:
    graph = quantized_branches().graph
    shared = {name: graph.format_of(name) for name in ("stem", "left", "right", "max_pool2d", "cat")}
    assert len(set(shared.values())) == 1 and shared["cat"].signed  # `right` has no ReLU


def test_a_shortcut_without_parameters_copies_codes() -> None:
    network = quantized_branches()
    tensors = evaluate_all(network.graph, network.preprocess.codes(images_of(12, 3)))
    assert np.array_equal(tensors["shortcut"][:, 4:16], tensors["deep"][:, :, ::2, ::2])
    assert not tensors["shortcut"][:, :4].any() and not tensors["shortcut"][:, 16:].any()


def test_a_relu_makes_a_tensor_unsigned_and_relu6_ends_at_6() -> None:
    graph = quantized_branches().graph
    deep, down = graph.by_name["deep"], graph.by_name["down"]
    assert isinstance(deep, Conv2d) and isinstance(down, Conv2d)
    assert not deep.format.signed and not down.format.signed and graph.format_of("dense").signed
    assert (deep.lo, deep.hi) == (0, min(deep.format.hi, 6 << deep.format.frac))


def test_more_bits_come_closer_to_the_real_logits() -> None:
    (model, captured), images = seeded_branches(), images_of(12, 3)
    with torch.no_grad():
        exact = model(network_inputs(images)).numpy()
    errors = []
    for bits in (3, 4, 6, 8, 12, 16):
        network = quantize(captured, images, replace(QUICK, weight_bits=bits, activation_bits=bits))
        codes = evaluate(network.graph, network.preprocess.codes(images)).reshape(exact.shape)
        errors.append(np.abs(codes * network.graph.format_of("dense").scale - exact).max())
    assert errors == sorted(errors, reverse=True)


def test_settings_of_a_layer_hold_for_that_layer() -> None:
    layers = {
        "stem": LayerBits(weight_bits=4),
        "dense": LayerBits(activation_bits=12),
        "down": LayerBits(per_channel=False),
    }
    graph = quantized_branches(replace(QUICK, layers=layers)).graph
    stem, dense, down = (graph.by_name[name] for name in ("stem", "dense", "down"))
    assert isinstance(stem, Conv2d) and isinstance(dense, Dense) and isinstance(down, Conv2d)
    assert (stem.weight_bits, dense.weight_bits, dense.format.bits) == (4, 8, 12)
    assert np.abs(stem.weight).max() <= 7 and len(set(down.weight_frac)) == 1


def test_settings_may_name_a_layer_by_its_path() -> None:
    config = QuantizeConfig(layers={"layer1.0.conv1": LayerBits(weight_bits=4)})
    assert config.layer("layer1_0_conv1").weight_bits == 4


def test_settings_of_an_unknown_layer_are_refused_with_the_nearest_names() -> None:
    with pytest.raises(FormatError) as error:
        quantized_branches(replace(QUICK, layers={"stemm": LayerBits(weight_bits=4)}))
    assert str(error.value) == "quantize: no layer is called stemm; did you mean stem?"


def test_two_widths_for_one_format_are_refused() -> None:
    layers = {"left": LayerBits(activation_bits=4), "right": LayerBits(activation_bits=6)}
    with pytest.raises(FormatError) as error:
        quantized_branches(replace(QUICK, layers=layers))
    assert str(error.value) == (
        "quantize: {'left': 4, 'right': 6} ask for several widths of tensors that share one format; "
        "ask for one"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_bits": 1},
        {"activation_bits": 17},
        {"calibration_images": 0},
        {"clipping_steps": -1},
        {"layers": {"a": {"weight_bits": 1}}},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(FormatError, match=r"^quantize: "):
        layers = {name: LayerBits(**bits) for name, bits in settings.pop("layers", {}).items()}  # type: ignore[attr-defined]
        QuantizeConfig(layers=layers, **settings)  # type: ignore[arg-type]


def test_unfit_calibration_images_are_refused() -> None:
    model = nn.Conv2d(3, 2, 3)
    with pytest.raises(DataError, match="no calibration image"):
        quantize(model, images_of(12, 3, count=0))
    with pytest.raises(ShapeError, match=r"calibration images are float32 .*; give uint8 \(N, H, W, C\)"):
        quantize(model, images_of(12, 3).astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(
        ShapeError, match=r"calibration images are \(3, 12, 12\), the network takes \(3, 8, 8\)"
    ):
        quantize(capture(model, (3, 8, 8)), images_of(12, 3))


def test_activations_that_overflow_are_refused_by_layer() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1))
    for layer in (model[0], model[2]):
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        layer.weight.data.fill_(3e38)
        layer.bias.data.fill_(0)
    with pytest.raises(DataError, match=r"^n2: activations become NaN or infinite on calibration images"):
        quantize(model, images_of(4, 1))


def two_layers(weight: float, bias: float) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    for layer in (model[0], model[2]):
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        layer.weight.data.fill_(weight)
        layer.bias.data.zero_()
        layer.bias.data[0] = bias
    return model


@pytest.mark.parametrize("weight", [1e-30, 1e-12, 1.0, 1e6, 1e18])
@pytest.mark.parametrize("bias", [0.0, 1e-9, 1.0, 1e6])
def test_weights_of_any_size_give_legal_shifts(weight: float, bias: float) -> None:
    graph = quantize(two_layers(weight, bias), images_of(4, 1)).graph
    check(graph)
    for node in graph.nodes:
        if isinstance(node, (Conv2d, Dense, AvgPool2d)):
            assert min(shifts(graph, graph.convolution(node))) >= 0
            assert max(shifts(graph, graph.convolution(node))) <= 31


def residual_network(coarse: float, fine: float, last: float) -> nn.Module:
    """A layer of a coarse tensor and the sum with a finer one."""
    model = Forward(
        lambda m, x: m.last(m.coarse(x)) + m.fine(x),
        coarse=nn.Conv2d(1, 1, 1, bias=False),
        fine=nn.Conv2d(1, 1, 1, bias=False),
        last=nn.Conv2d(1, 1, 1, bias=False),
    )
    for name, weight in (("coarse", coarse), ("fine", fine), ("last", last)):
        model.get_parameter(f"{name}.weight").data.fill_(weight)
    return model


def test_a_residual_is_never_finer_than_the_sum() -> None:
    graph = quantize(residual_network(2.0**10, 2.0**-20, 8.0), images_of(4, 1)).graph
    conv = graph.by_name["last"]
    assert isinstance(conv, Conv2d) and conv.residual == "fine"
    assert residual_shifts(graph, conv) == (0,)


def test_weights_too_large_for_a_residual_of_their_own_source_are_refused() -> None:
    model = Forward(
        lambda m, x: m.last(y := m.first(x)) + y, first=nn.Conv2d(1, 1, 1), last=nn.Conv2d(1, 1, 1)
    )
    model.get_parameter("last.weight").data.fill_(2.0**20)
    with pytest.raises(FormatError, match=r"^last: its weights are too large: .* than the accumulator; give"):
        quantize(model, images_of(4, 1))


def test_a_bias_beyond_int32_is_refused() -> None:
    model = two_layers(1.0, -1e12)  # dead behind its ReLU, so that the output's binary point stays fine
    with pytest.raises(
        OverflowRisk, match=r"^n0: bias -1e\+12 of channel 0 leaves int32 where its output has 8"
    ):
        quantize(model, images_of(4, 1))


def test_corrected_biases_take_out_the_mean_error() -> None:
    captured, images = seeded_branches()[1], images_of(12, 3, count=32)
    x = network_inputs(images)
    errors = []
    for correct in (False, True):
        network = quantize(captured, images, QuantizeConfig(weight_bits=4, correct_bias=correct))
        with torch.no_grad():
            real = {node.name: t for node, t in network.module().tensors(x)}
            ideal = {node.name: t for node, t in forward(captured, x)}
        error = (real["dense"] - ideal["dense"]).mean(0).flatten()
        errors.append(float(error.abs().max()))
    assert errors[1] < errors[0] / 4


def test_an_imported_normalisation_becomes_a_table_or_weights() -> None:
    model = build("resnet8", normalize=Normalize.imagenet())
    images = images_of(32, 3, count=2)
    table = quantize(model, images)
    assert not table.preprocess.is_offset and table.graph.input.format == FixedPoint(bits=8, frac=5)
    folded = quantize(model, images, QuantizeConfig(input_mode=InputMode.FOLD))
    assert folded.preprocess.is_offset and folded.graph.input.format == FixedPoint(bits=8, frac=7)


def test_equal_input_gives_equal_graphs() -> None:
    assert_same_integers(quantized_branches().graph, quantized_branches().graph)


@pytest.mark.slow
def test_resnet8_loses_at_most_3_images_in_1000(data_root: Path) -> None:
    cifar = load_dataset("cifar10", data_root)
    model = load_pretrained("resnet8", "cifar10")
    network = quantize(model, cifar.train_images)
    check(network.graph)
    codes = evaluate(network.graph, network.preprocess.codes(cifar.test_images))
    right = float((codes[:, :, 0, 0].argmax(axis=1) == cifar.test_labels).mean())
    assert right >= accuracy_of(model, cifar.test_images, cifar.test_labels).accuracy - 0.003
