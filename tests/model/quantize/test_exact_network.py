"""An integer graph in PyTorch floats equals the integers bit for bit."""

from __future__ import annotations

from typing import Any

import needs
import numpy as np
import pytest
import torch
from torch.nn import functional

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Input, MaxPool2d
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.exact_layers import ExactProducts
from bitlathe.model.quantize.exact_network import ExactNetwork, Pixels
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.rtl_tb.random_networks.graphs import random_graph

CODES = FixedPoint(bits=8, frac=7)


def graph_of(rng: np.random.Generator, number: int) -> Graph:
    """One of many random graphs; every third has formats of up to 16 bits."""
    return random_graph(rng, budget=60_000, wide=number % 3 == 2, half_even=number % 2 == 1)


def every_kind_of_input(rng: np.random.Generator, graph: Graph) -> np.ndarray:
    return np.concatenate([random_inputs(rng, graph, 3), corner_inputs(graph)])


def assert_equal_to_the_reference(seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        graph = graph_of(rng, seed)
        codes = every_kind_of_input(rng, graph)
        assert np.array_equal(ExactNetwork(graph).codes(codes), evaluate(graph, codes)), seed


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_the_module_of_a_random_graph_equals_the_reference(first: int) -> None:
    assert_equal_to_the_reference(range(first, first + 10))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(60, 300, 24))
def test_the_modules_of_many_random_graphs_equal_the_reference(first: int) -> None:
    assert_equal_to_the_reference(range(first, first + 24))


def one_layer(weight: int, bias: int, *, frac: int = 4, channels: int = 1) -> Graph:
    """One 1x1 convolution to one channel, 16-bit input and weights."""
    source = Input(name="image", format=FixedPoint(bits=16, frac=7), shape=(channels, 1, 1))
    layer = Conv2d(
        name="layer",
        format=FixedPoint(bits=16, frac=frac),
        source="image",
        weight=np.full((1, channels, 1, 1), weight, dtype=np.int16),
        bias=np.array([bias], dtype=np.int32),
        weight_bits=16,
        weight_frac=(7,),
        lo=-(2**15),
        hi=2**15 - 1,
    )
    return Graph(name="one", nodes=(source, layer), output="layer")


@pytest.mark.parametrize(
    ("weight", "bias", "channels", "dtype"),
    [
        (32767, 2**30 + 1, 1, torch.float32),  # upper and lower digits fit float32, each on its own
        (-32767, 2**30 + 1, 1, torch.float32),
        (3001, -7, 5, torch.float32),
        (32767, 1, 5, torch.float64),  # no digits do
    ],
)
def test_sums_beyond_24_bits_stay_exact(
    weight: int, bias: int, channels: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = one_layer(weight, bias, channels=channels, frac=-2)
    codes = np.arange(-(2**15), 2**15, 37, dtype=np.int32).repeat(channels).reshape(-1, channels, 1, 1)
    codes[:, ::2] = codes[::-1, ::2]
    layer = ExactNetwork(graph).layers[1]
    assert isinstance(layer, ExactProducts)
    assert not layer.fits_float32()
    seen, convolve = set(), functional.conv2d

    def watched(x: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        seen.add(x.dtype)
        return convolve(x, *rest, **named)

    monkeypatch.setattr(functional, "conv2d", watched)
    assert np.array_equal(ExactNetwork(graph).codes(codes), evaluate(graph, codes))
    assert seen == {dtype}


def test_float32_is_used_up_to_its_last_bit() -> None:
    # bias + 3 * 32768 + 2**(n-1) with n = 10, just below and at 2**24
    for bias, fits in ((2**24 - 1 - 3 * 2**15 - 2**9, True), (2**24 - 3 * 2**15 - 2**9, False)):
        graph = one_layer(weight=-3, bias=bias)
        layer = ExactNetwork(graph).layers[1]
        assert isinstance(layer, ExactProducts)
        assert layer.fits_float32() == fits


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (1, 2)])
def test_pools_of_any_padding_equal_the_reference(padding: tuple[int, int], rng: np.random.Generator) -> None:
    form = FixedPoint(bits=8, frac=3)
    shared = {"format": form, "source": "image", "kernel_size": (2, 3), "stride": (1, 2), "padding": padding}
    pools = (
        MaxPool2d(name="pool", **shared),  # type: ignore[arg-type]
        AvgPool2d(name="pool", multiplier=85, multiplier_frac=9, **shared),  # type: ignore[arg-type]
    )
    for pool in pools:
        graph = Graph(
            name="pool", nodes=(Input(name="image", format=form, shape=(2, 5, 6)), pool), output="pool"
        )
        codes = every_kind_of_input(rng, graph)
        assert np.array_equal(ExactNetwork(graph).codes(codes), evaluate(graph, codes))


def test_codes_that_the_input_cannot_hold_are_refused() -> None:
    with pytest.raises(FormatError, match="input codes span"):
        ExactNetwork(one_layer(1, 0)).codes(np.full((1, 1, 1, 1), 2**15))


@pytest.mark.cuda
def test_the_module_equals_the_reference_on_a_gpu() -> None:
    needs.nvidia_gpu()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph = graph_of(rng, seed)
        codes = every_kind_of_input(rng, graph)
        assert np.array_equal(ExactNetwork(graph).cuda().codes(codes), evaluate(graph, codes)), seed


def test_images_become_the_values_that_the_table_holds(rng: np.random.Generator) -> None:
    table = rng.integers(-128, 128, (256, 3)).astype(np.int8)
    images = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=-1).reshape(1, 16, 16, 3)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128) / 128
    preprocess = Preprocess(table=table)
    values = Pixels(preprocess, CODES)(x)
    assert np.array_equal(values.numpy() * 128, preprocess.codes(images))
