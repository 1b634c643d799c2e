"""Bounds by hand, and no program beats them."""

import numpy as np
import pytest
from compiled_networks import NETWORKS, PYNQ, compiled_for

from bitlathe.hls.bounds import array_cycles, bounds
from bitlathe.hls.config import TARGETS, EngineConfiguration
from bitlathe.hls.cycle_model import DdrModel, predict
from bitlathe.model.graph.graph import macs
from bitlathe.model.graph.random_resnet import random_resnet

SMALL = EngineConfiguration(bank_lines=200, weight_lines=400)
DDR = DdrModel.of(TARGETS["pynq-z2"])


@pytest.mark.parametrize("configuration", [PYNQ, SMALL], ids=["roomy", "in strips"])
@pytest.mark.parametrize("network", NETWORKS)
def test_no_prediction_beats_the_bounds(
    network: str, configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    graph = NETWORKS[network](rng)
    program = compiled_for(graph, configuration).program
    least = bounds(graph, program, DDR)
    assert predict(program, DDR, weights_resident=True).cycles >= least.cycles
    assert least.array == pytest.approx(sum(layer.array for layer in least.layers.values()))
    assert least.ddr <= sum(layer.ddr for layer in least.layers.values()) * (1 + 1e-9)
    assert least.lanes <= least.array


def test_an_ordinary_network_is_bound_by_its_products(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    least = bounds(graph, compiled_for(graph, PYNQ).program, DDR)
    products = sum(macs(graph, node) for node in graph.nodes)
    assert least.array == pytest.approx(products / PYNQ.macs_per_cycle + 64 * 64 / (PYNQ.pi * PYNQ.pp))
    assert not least.is_ddr_bound


def test_four_bit_layers_take_half(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1, bits=4)
    node = graph.nodes[2]
    whole = array_cycles(graph, node, PYNQ, packed=False)
    assert array_cycles(graph, node, PYNQ, packed=True) == whole / 2
    least = bounds(graph, compiled_for(graph, PYNQ).program, DDR)
    assert least.layers[node.name].array == whole / 2


def test_a_depthwise_layer_is_bound_by_the_scratchpad(rng: np.random.Generator) -> None:
    graph = NETWORKS["mobilenet"](rng)
    least = bounds(graph, compiled_for(graph, PYNQ).program, DDR)
    node = next(node for node in graph.nodes[1:] if graph.convolution(node).is_depthwise)  # type: ignore[arg-type]
    assert least.layers[node.name].array == macs(graph, node) / (PYNQ.pi * PYNQ.pp)
    assert least.lanes > 0
