"""Which layers of a network take a codebook, and of what size."""

from __future__ import annotations

import numpy as np
import pytest

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product import LayerCodes, ProductConfig
from bitlathe.model.product.plan import coded_bits, plan
from bitlathe.rtl_tb.random_networks.graphs import random_graph

EVERY = ProductConfig(
    convolution=LayerCodes(length=3, codewords=16), dense=LayerCodes(length=5, codewords=8), smallest=1
)


def network(seed: int = 5, *, wide: bool = False) -> Graph:
    return random_graph(np.random.default_rng(seed), budget=20_000, wide=wide)


def layers_of(graph: Graph) -> list[Conv2d | Dense]:
    return [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]


def test_a_layer_takes_the_codes_of_its_kind_and_no_more_codewords_than_it_can_fill() -> None:
    chosen = plan(network(), EVERY)
    first, *others = layers_of(network())
    assert chosen and first.name not in chosen
    for node in others:
        depthwise = isinstance(node, Conv2d) and node.is_depthwise
        if node.name in chosen:
            codes = chosen[node.name]
            assert not depthwise
            assert codes.length == (EVERY.dense if isinstance(node, Dense) else EVERY.convolution).length
            assert coded_bits(node.weight.shape, codes) < node.weight.size * node.weight_bits


def test_a_layer_by_name_takes_its_own_codes_or_none() -> None:
    graph = network()
    first, *others = layers_of(graph)
    chosen = plan(graph, ProductConfig(smallest=1, layers={first.name: LayerCodes(length=1, codewords=2)}))
    assert chosen[first.name] == LayerCodes(length=1, codewords=2)
    assert not plan(graph, ProductConfig(smallest=1, layers={node.name: None for node in others}))


def test_settings_of_a_layer_that_is_not_there_are_refused_with_the_nearest() -> None:
    name = layers_of(network())[0].name
    with pytest.raises(FormatError) as caught:
        plan(network(), ProductConfig(layers={name + "x": None}))
    assert str(caught.value).startswith(
        f"product quantization: no layer is called {name}x; did you mean {name}"
    )


def test_a_layer_of_wide_weights_takes_no_codebook() -> None:
    for graph in (network(seed, wide=True) for seed in range(40)):
        for node in layers_of(graph):
            if node.weight_bits > 8:
                assert node.name not in plan(graph, EVERY)
                with pytest.raises(FormatError, match=r"take no codebook; quantize it to 8 bits$"):
                    plan(graph, ProductConfig(layers={node.name: LayerCodes()}))
                return
    raise AssertionError("no wide layer came up")


@pytest.mark.parametrize(("length", "codewords"), [(0, 4), (257, 4), (4, 1), (4, 65537)])
def test_codes_out_of_range_are_refused(length: int, codewords: int) -> None:
    with pytest.raises(FormatError) as caught:
        LayerCodes(length=length, codewords=codewords)
    assert str(caught.value) == (
        f"product quantization: {codewords} codewords of {length} weights; choose 2 to 65536 of 1 to 256"
    )
