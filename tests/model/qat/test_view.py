"""The quantized view of a live module: one path for its fold, exact once trained, gradients to the module."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from exact_modules import Forward
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tolerances import sum_tolerance, terms_of
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import FloatConv2d, FloatDense, FloatNetwork
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.nodes import Conv2d
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.qat.view import Frame, QuantizedView
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig, Ranges
from bitlathe.model.quantize.quantizer import network_inputs, quantize
from bitlathe.model.zoo import Normalize, PadShortcut

QUICK = QuantizeConfig(calibration_images=8)


def images_of(size: int, channels: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels)).astype(np.uint8)


def small_network(seed: int = 0) -> nn.Module:
    """Convolutions with and without batch norm, all pools, a concatenation, two kinds of shortcut."""

    def block(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.norm(m.stem(x)))
        x = torch.cat([F.relu(m.left(x)), m.right(x), F.max_pool2d(x, 3, 1, 1)], 1)
        x = F.relu6(m.deep_norm(m.deep(x)) + x)
        x = F.relu(m.down_norm(m.down(x)) + m.shortcut(x)) * m.gain
        return m.dense(F.avg_pool2d(x, 3).flatten(1))

    torch.manual_seed(seed)
    model = Forward(
        block,
        stem=nn.Conv2d(3, 6, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(6),
        left=parametrizations.weight_norm(nn.Conv2d(6, 4, 1)),
        right=nn.Conv2d(6, 2, 5, padding=2),
        deep=nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False),
        deep_norm=nn.BatchNorm2d(12),
        down=nn.Conv2d(12, 20, 3, stride=2, padding=1),
        down_norm=nn.BatchNorm2d(20, affine=False),
        shortcut=PadShortcut(12, 20, 2),
        dense=nn.Linear(80, 5),
    )
    model.register_parameter("gain", nn.Parameter(torch.rand(20, 1, 1) + 0.5))
    for norm in (model.norm, model.deep_norm, model.down_norm):
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.uniform_(norm.running_var, 0.3, 3.0)
        nn.init.normal_(norm.running_mean)
    return model


def steps_of_training(view: QuantizedView, images: np.ndarray, count: int, rate: float = 0.05) -> None:
    """Real steps on random labels: of the module with momentum, of the thresholds with Adam."""
    labels = torch.arange(len(images)) % 5
    weights = torch.optim.SGD(view.model.parameters(), lr=rate, momentum=0.9)
    thresholds = torch.optim.Adam(view.parameters_learned(), lr=0.1)
    view.train()
    for _ in range(count):
        loss = F.cross_entropy(view(network_inputs(images)), labels)
        for optimizer in (weights, thresholds):
            optimizer.zero_grad()
        loss.backward()
        weights.step()
        thresholds.step()


def assert_deployed_exactly(view: QuantizedView, images: np.ndarray) -> None:
    """The view in evaluation mode is its integer network, which is legal, bit for bit."""
    network = view.network()
    check(network.graph)
    view.eval()
    codes = evaluate(network.graph, network.preprocess.codes(images)).reshape(len(images), -1)
    scale = network.graph.format_of(network.graph.output).scale
    assert np.array_equal(view(network_inputs(images)).numpy(), codes * scale)


def assert_same_weights(one: FloatNetwork, other: FloatNetwork) -> None:
    for node, same in zip(one.nodes, other.nodes, strict=True):
        assert node.name == same.name
        if isinstance(node, (FloatConv2d, FloatDense)):
            assert isinstance(same, (FloatConv2d, FloatDense))
            assert np.array_equal(node.weight, same.weight) and np.array_equal(node.bias, same.bias)


@cache
def captured() -> FloatNetwork:
    """Structure and formulas of every `small_network`."""
    return capture(small_network(), (3, 12, 12))


def view_of(config: QuantizeConfig, count: int, seed: int = 0) -> tuple[QuantizedView, np.ndarray]:
    """A view of a small network that is captured once for all tests, and its images."""
    images = images_of(12, 3, count=count)
    frame = Frame.of(captured(), images, config)
    return QuantizedView(small_network(seed), frame, frame.thresholds(images)), images


def test_the_view_folds_a_trained_module_as_a_new_capture_does_bit_for_bit() -> None:
    view, images = view_of(QUICK, 4, seed=1)
    before, model = view.float_network(), view.model
    steps_of_training(view, images, 2)
    with torch.no_grad():
        model.norm.running_var.mul_(1.5)  # as an epoch in float would
    assert_same_weights(view.float_network(), capture(model, (3, 12, 12)))
    assert not np.array_equal(before.by_name["stem"].weight, view.float_network().by_name["stem"].weight)


@settings(deadline=None, max_examples=6)
@given(
    seed=st.integers(0, 9),
    weight_bits=st.sampled_from([2, 3, 4, 8, 16]),
    activation_bits=st.integers(2, 9),
    per_channel=st.booleans(),
    steps=st.integers(0, 3),
)
def test_whatever_is_trained_is_what_the_integers_compute(
    seed: int, weight_bits: int, activation_bits: int, per_channel: bool, steps: int
) -> None:
    config = QuantizeConfig(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        calibration_images=4,
        layers={"stem": LayerBits(weight_bits=8)},
    )
    view, images = view_of(config, 4, seed)
    steps_of_training(view, images, steps)
    assert_deployed_exactly(view, images)
    stem = view.network().graph.by_name["stem"]
    assert isinstance(stem, Conv2d) and stem.weight_bits == 8


@settings(deadline=None, max_examples=4)
@example(moves=[0] * 11 + [11, 0, 0])  # coarse weights between tensors of one format
@given(moves=st.lists(st.integers(-12, 12), min_size=14, max_size=14))
def test_no_threshold_makes_an_illegal_network(moves: list[int]) -> None:
    view, images = view_of(QUICK, 2)
    with torch.no_grad():
        for threshold, move in zip(view.parameters_learned(), moves, strict=False):
            threshold.add_(move)
    assert_deployed_exactly(view, images)
    steps_of_training(view, images, 1)
    assert_deployed_exactly(view, images)


def test_training_and_deployment_compute_the_same() -> None:
    # sums of 8x8 bits over fewer than 110 taps need less than 24 bits, so float32 is exact
    up, even = RoundingMode.HALF_UP, RoundingMode.HALF_EVEN
    for weight_bits, activation_bits, rounding in ((8, 8, up), (4, 4, even), (2, 3, up)):
        config = QuantizeConfig(weight_bits=weight_bits, activation_bits=activation_bits, rounding=rounding)
        digits = load_dataset("digits")
        view = QuantizedView.of(load_pretrained("lenet5", "digits"), digits.train_images[:64], config)
        x = network_inputs(digits.test_images[:100])
        assert torch.equal(view.train()(x), view.eval()(x))


def test_a_view_with_halves_to_even_computes_and_trains_other_codes() -> None:
    """Of 2 bits, so that sums of few terms are halves often."""
    lenet, digits = load_pretrained("lenet5", "digits"), load_dataset("digits")
    x, outputs = network_inputs(digits.test_images[:100]), []
    for rounding in RoundingMode:
        config = QuantizeConfig(weight_bits=2, activation_bits=3, rounding=rounding)
        view = QuantizedView.of(lenet, digits.train_images[:64], config)
        assert torch.equal(view.train()(x), view.eval()(x))
        view.train()(x).square().sum().backward()
        assert all(bool(t.grad.isfinite().all()) for t in view.parameters_learned() if t.grad is not None)
        layers = [node for node in view.network().graph.nodes if isinstance(node, Conv2d)]
        assert {node.rounding for node in layers} == {rounding}
        outputs.append(view.eval()(x))
    assert not torch.equal(*outputs)


def test_gradients_reach_every_parameter_and_leave_running_statistics_alone() -> None:
    view, images = view_of(QUICK, 4)
    model = view.model
    mean = model.norm.running_mean.clone()
    model.zero_grad()
    view.train()(network_inputs(images)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert torch.equal(model.norm.running_mean, mean)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_batch_norm_of_the_image_stays_as_float_training_left_it(padding: int) -> None:
    size = 6 + 2 * padding
    layers = (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=padding), nn.ReLU(), nn.Flatten())
    model = nn.Sequential(*layers, nn.Linear(4 * size**2, 5))
    nn.init.uniform_(model[0].weight, 0.5, 1.5)
    images = images_of(8, 3)
    view = QuantizedView.of(model, images, QuantizeConfig(calibration_images=len(images)))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    steps_of_training(view, images, 3)
    moved = {name for name, parameter in model.named_parameters() if not parameter.equal(before[name])}
    assert moved == {"1.weight", "1.bias", "4.weight", "4.bias"}
    assert_deployed_exactly(view, images)
    F.cross_entropy(model.train()(network_inputs(images)), torch.zeros(len(images), dtype=int)).backward()
    assert model[0].weight.grad is not None and model[0].bias.grad is not None


def test_with_32_bits_throughout_gradients_are_those_of_the_float_network() -> None:
    view, images = view_of(QuantizeConfig(weight_bits=32, activation_bits=32), 3)
    model, x = view.model.eval(), network_inputs(images)
    expected, logits = model(x), view.train()(x)
    wanted = torch.autograd.grad(expected.square().sum(), list(model.parameters()))
    found = torch.autograd.grad(logits.square().sum(), list(model.parameters()))
    near = sum_tolerance(terms_of(model), expected.detach().abs().max())
    assert torch.allclose(logits, expected, rtol=0, atol=near)
    terms = 2 * terms_of(model) + x[:, 0].numel()  # there and back, and over all positions
    for name, one, other in zip(dict(model.named_parameters()), wanted, found, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=sum_tolerance(terms, one.abs().max())), name


def test_real_tensors_have_no_integer_network() -> None:
    for config in (QuantizeConfig(weight_bits=32), QuantizeConfig(activation_bits=32)):
        view, images = view_of(config, 2)
        with pytest.raises(FormatError, match="32 bits are real numbers"):
            view.network()
        assert torch.equal(view.eval()(network_inputs(images)), view.train()(network_inputs(images)))
        with pytest.raises(FormatError, match="32 bits are real numbers"):
            quantize(captured(), images, config)


def test_ristretto_sets_every_range_by_its_largest_magnitude() -> None:
    view, images = view_of(QuantizeConfig(weight_bits=5, ranges=Ranges.RISTRETTO), 4)
    network = view.float_network()
    largest = {
        node.name: float(values.abs().max()) for node, values in forward(network, network_inputs(images))
    }
    thresholds = view.thresholds()
    for name in ("deep", "down", "dense"):  # groups of one tensor
        assert float(thresholds[f"activation8.{name}"].ceil()) == np.ceil(np.log2(largest[name]))
    rows = np.abs(network.by_name["down"].weight).reshape(20, -1).max(axis=1)
    assert np.array_equal(thresholds["weight5.down"].ceil().numpy(), np.ceil(np.log2(rows)))


def test_thresholds_survive_a_new_view_and_a_file(tmp_path: Path) -> None:
    view, images = view_of(QUICK, 4)
    steps_of_training(view, images, 2)
    saved = view.thresholds()
    torch.save(saved, tmp_path / "thresholds.pt")
    loaded = torch.load(tmp_path / "thresholds.pt", weights_only=True)
    again = QuantizedView.of(view.model, images, replace(QUICK, calibration_images=4), loaded)
    x = network_inputs(images)
    assert torch.equal(again.eval()(x), view.eval()(x))
    assert all(torch.equal(value, saved[name]) for name, value in again.thresholds().items())


def test_thresholds_of_a_pruned_layer_start_anew_and_the_others_stay() -> None:
    def network(hidden: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, hidden, 3),
            nn.ReLU(),
            nn.Conv2d(hidden, 4, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 5),
        )

    images = images_of(8, 1, count=2)
    view = QuantizedView.of(network(6), images, QUICK)
    saved = {name: value + 1.25 for name, value in view.thresholds().items()}
    pruned = QuantizedView.of(network(5), images, QUICK, saved).thresholds()
    fresh = QuantizedView.of(network(5), images, QUICK).thresholds()
    assert torch.equal(pruned["weight8.n0"], fresh["weight8.n0"])
    assert torch.equal(pruned["weight8.n2"], saved["weight8.n2"])
    assert torch.equal(pruned["activation8.n0"], saved["activation8.n0"])


def test_thresholds_of_another_width_are_left_out() -> None:
    saved = {name: value + 3 for name, value in view_of(QUICK, 4)[0].thresholds().items()}
    four = view_of(QuantizeConfig(weight_bits=4, calibration_images=8), 4)[0].learned
    fresh = four.saved()
    four.load(saved)
    assert torch.equal(four.saved()["weight4.stem"], fresh["weight4.stem"])
    assert torch.equal(four.saved()["activation8.stem"], saved["activation8.stem"])


def test_a_view_and_its_module_are_copied_together() -> None:
    view, images = view_of(QUICK, 4)
    model, copied = copy.deepcopy((view.model, view))
    assert copied.model is model and model is not view.model
    assert torch.equal(copied.eval()(network_inputs(images)), view.eval()(network_inputs(images)))


def test_frozen_thresholds_get_no_gradient() -> None:
    view, images = view_of(QUICK, 2)
    view.requires_grad_(False).train()(network_inputs(images)).sum().backward()
    assert all(threshold.grad is None for threshold in view.parameters_learned())
    assert all(p.grad is not None for p in view.model.parameters())


def test_a_normalised_image_goes_through_its_table() -> None:
    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 8), nn.Flatten())
    model = nn.Sequential(Normalize.imagenet(), *layers)
    images = images_of(8, 3, count=4)
    view = QuantizedView.of(model, images, QUICK)
    steps_of_training(view, images, 1)
    assert not view.network().preprocess.is_offset
    assert_deployed_exactly(view, images)
