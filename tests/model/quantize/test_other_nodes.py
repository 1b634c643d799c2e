"""Networks of every kind of node: quantized, legal, proven, and equal in PyTorch bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from float_networks import FUNCTIONS, FloatNetworkBuilder, random_float_network

from bitlathe.model.capture.float_forward import flat_outputs
from bitlathe.model.capture.float_network import FloatLookup, Front
from bitlathe.model.capture.scalar_function import ScalarFunction
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import FormatError, UnsupportedLayer
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.config import InputMode, LayerBits, QuantizeConfig
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.model.quantize.quantizer import QuantizedNetwork, network_inputs, quantize

QUICK = QuantizeConfig(calibration_images=8)


def images_for(shape: tuple[int, int, int], count: int = 8) -> np.ndarray:
    channels, height, width = shape
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def quantized(seed: int, config: QuantizeConfig = QUICK) -> tuple[QuantizedNetwork, np.ndarray]:
    network, _ = random_float_network(seed)
    images = images_for(network.input.shape)
    return quantize(network, images, config), images


@pytest.mark.parametrize("first", range(0, 60, 12))
def test_a_random_network_of_every_node_is_proven_and_torch_computes_its_integers(first: int) -> None:
    for seed in range(first, first + 12):
        bits = 4 + seed % 5
        config = QuantizeConfig(weight_bits=bits, activation_bits=bits, per_channel=seed % 2 == 0)
        made, images = quantized(seed, config)
        check(made.graph)
        rng = np.random.default_rng(seed)
        codes = np.concatenate([random_inputs(rng, made.graph, 3), corner_inputs(made.graph)])
        assert np.array_equal(ExactNetwork(made.graph).codes(codes), evaluate(made.graph, codes)), seed
        codes = evaluate(made.graph, made.preprocess.codes(images)).reshape(len(images), -1)
        scale = made.graph.format_of(made.graph.only_output).scale
        assert np.array_equal(made.module()(network_inputs(images)).numpy(), codes * scale), seed


def test_a_network_of_every_node_keeps_its_outputs_at_8_bits() -> None:
    for seed in range(24):
        made, images = quantized(seed)
        x = network_inputs(images)
        wanted = flat_outputs(made.network, x)[0]
        error = (made.module()(x) - wanted).square().mean().sqrt()
        assert error < 0.12 * wanted.std() + 0.02, (seed, float(error), float(wanted.std()))


def one_function(function: ScalarFunction, *, low: float = -float("inf")) -> FloatNetworkBuilder:
    built = FloatNetworkBuilder((2, 4, 4))
    made = built.convolution("image", 4, (3, 3), low=low)
    built.nodes["act"] = FloatLookup(name="act", shape=built.shape(made), source=made, function=function)
    return built


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_table_holds_the_function_of_every_code_rounded_half_up(name: str) -> None:
    built = one_function(ScalarFunction(name=name, apply=FUNCTIONS[name]))
    graph = quantize(built.network("act"), images_for((2, 4, 4)), QUICK).graph
    node = graph.by_name["act"]
    assert isinstance(node, Lookup) and node.function == name
    source, form = graph.format_of(node.source), node.format
    for code, entry in zip(range(source.lo, source.hi + 1), node.codes, strict=True):
        value = float(FUNCTIONS[name](torch.tensor(code * source.scale, dtype=torch.float64))) / form.scale
        assert entry == min(max(int(np.floor(value + 0.5)), form.lo), form.hi)


@pytest.mark.parametrize(
    ("name", "low", "signed"),
    [("silu", None, True), ("silu", 0.0, False), ("sigmoid", None, False), ("abs", None, False)],
)
def test_a_table_without_negative_values_makes_an_unsigned_tensor(
    name: str, low: float | None, signed: bool
) -> None:
    built = one_function(
        ScalarFunction(name=name, apply=FUNCTIONS[name]), low=-float("inf") if low is None else low
    )
    graph = quantize(built.network("act"), images_for((2, 4, 4)), QUICK).graph
    assert graph.format_of("act").signed == signed


def test_a_function_that_is_not_finite_somewhere_is_refused_by_node() -> None:
    def pole(x: torch.Tensor) -> torch.Tensor:  # finite for every calibration image, not for code 0
        return torch.where(x == 0, torch.inf, x.sign())

    built = one_function(ScalarFunction(name="pole", apply=pole))
    built.nodes["act"] = replace(built.nodes["act"], source="image")
    images = np.full((4, 4, 4, 2), 200, np.uint8)
    network = replace(
        built.network("act"), nodes=(built.nodes["image"], replace(built.nodes["act"], shape=(2, 4, 4)))
    )
    with pytest.raises(FormatError, match=r"^act: pole is inf at 0, which image may be; clamp what it takes"):
        quantize(network, images, QUICK)


def test_what_a_table_or_a_product_reads_has_at_most_8_bits() -> None:
    built = one_function(ScalarFunction(name="silu", apply=FUNCTIONS["silu"]))
    built.product("act", "act")
    output = built.convolution(list(built.nodes)[-1], 3, (1, 1))
    wide = QuantizeConfig(activation_bits=12, weight_bits=8, calibration_images=8)
    network, images = built.network(output), images_for((2, 4, 4))
    graph = quantize(network, images, wide).graph
    check(graph)
    bits = {node.name: node.format.bits for node in graph.nodes}
    assert bits == {"image": 8, "conv2d1": 8, "act": 8, "product3": 12, "conv2d4": 12}
    asked = replace(wide, layers={"conv2d1": LayerBits(activation_bits=10)})
    with pytest.raises(FormatError, match="10 bits are asked for conv2d1, which act reads; a table takes"):
        quantize(network, images, asked)


def test_a_product_far_smaller_than_its_factors_has_a_legal_shift() -> None:
    """Factors of tiny values, whose product shares its format with large ones."""
    built = FloatNetworkBuilder((2, 4, 4))
    tiny = built.convolution("image", 2, (1, 1))
    node = built.nodes[tiny]
    built.nodes[tiny] = replace(node, weight=node.weight * 1e-7, bias=node.bias * 0, captured=None)
    large = built.convolution("image", 2, (1, 1))
    node = built.nodes[large]
    built.nodes[large] = replace(node, weight=node.weight * 1e4, captured=None)
    joined = built.concatenation(built.product(tiny, tiny), large)
    images = images_for((2, 4, 4))
    made = quantize(built.network(joined), images, QUICK)
    check(made.graph)
    product = next(node for node in made.graph.nodes if isinstance(node, Product))
    source = made.graph.format_of(product.source)
    assert 0 <= 2 * source.frac - product.format.frac <= 31


def test_a_normalisation_is_not_folded_where_it_would_change_a_border() -> None:
    images = images_for((2, 6, 6))
    front = Front(scale=np.array([2.0, 3.0]), offset=np.array([0.5, -0.25]))
    for end_padding, mode in (((0, 0), InputMode.FOLD), ((0, 1), InputMode.TABLE), ((-1, 0), InputMode.FOLD)):
        built = FloatNetworkBuilder((2, 6, 6))
        made = built.convolution("image", 4, (3, 3), groups=2, padding=(-1, 0), end_padding=end_padding)
        network = replace(built.network(made), front=front)
        auto = quantize(network, images, QUICK)
        assert auto.preprocess.is_offset == (mode is InputMode.FOLD)
        x = network_inputs(images)
        wanted, codes = flat_outputs(network, x)[0], auto.module()(x).flatten(1)
        assert (codes - wanted).abs().max() < 0.15
    built = FloatNetworkBuilder((2, 6, 6))
    up = built.transposed("image", 4, (2, 2), (2, 2))
    network = replace(built.network(up), front=front)
    assert not quantize(network, images, QUICK).preprocess.is_offset
    with pytest.raises(UnsupportedLayer, match="without weights to fold"):
        quantize(network, images, replace(QUICK, input_mode=InputMode.FOLD))
