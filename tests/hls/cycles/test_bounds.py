"""Bounds by hand, and no program beats them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import NETWORKS, PYNQ, ROOMY, TINY, compiled_for
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import conv2d, graph_of
from strategies import SEEDS

from bitlathe.hls.cycles.bounds import array_cycles, bounds, needed_rows
from bitlathe.hls.cycles.model import DdrModel, exec_cycles, predict
from bitlathe.hls.explore.search import explore
from bitlathe.hls.program import Opcode, Program
from bitlathe.hls.target.config import TARGETS, EngineConfiguration, reference_targets
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.graph import Graph, macs
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

SMALL = EngineConfiguration(bank_lines=200, weight_lines=400)
DDR = DdrModel.of(TARGETS["pynq-z2"])
SWIFT = DdrModel(busy=1.0, latency=1, write_latency=1)  # what is left to the array


def check_nothing_beats_the_bounds(graph: Graph, program: Program, ddr: DdrModel) -> None:
    """No layer takes less than its bound, no network less than the sum, and no efficiency is above 1."""
    least = bounds(graph, program, ddr)
    cycles = predict(program, ddr, weights_resident=True).cycles
    assert least.peak <= least.array * (1 + 1e-9) and least.cycles <= cycles
    taken: Counter[str] = Counter()
    for each in program.descriptors:
        if each.opcode is Opcode.EXEC:
            taken[each.node] += exec_cycles(each)
    for node, bound in least.layers.items():
        assert bound.peak <= bound.array * (1 + 1e-9) and bound.array <= taken[node], node


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


@settings(max_examples=15)
@given(
    SEEDS,
    st.sampled_from([target.engine for target in reference_targets().values()] + [*ROOMY, *TINY]),
    st.booleans(),
)
def test_no_program_of_a_random_network_beats_the_bounds(
    seed: int, configuration: EngineConfiguration, product: bool
) -> None:
    graph = random_graph(np.random.default_rng(seed), budget=20_000, product=product)
    try:
        program = compiled_for(graph, configuration).program
    except CapacityError:
        return  # it does not fit
    for ddr in (DDR, SWIFT):
        check_nothing_beats_the_bounds(graph, program, ddr)


@pytest.mark.parametrize("target", reference_targets())
@pytest.mark.parametrize("blocks", [3, 9])
def test_no_resnet_beats_the_bounds(rng: np.random.Generator, blocks: int, target: str) -> None:
    graph = random_resnet(rng, blocks=blocks)
    program = compiled_for(graph, TARGETS[target].engine).program
    check_nothing_beats_the_bounds(graph, program, SWIFT)


@settings(max_examples=10)
@given(SEEDS)
def test_what_the_output_does_not_need_is_no_part_of_a_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = random_graph(rng, budget=20_000)
    graph = replace(whole, output=whole.nodes[int(rng.integers(1, len(whole.nodes)))].name)
    program = compiled_for(graph, PYNQ).program
    for ddr in (DDR, SWIFT):
        check_nothing_beats_the_bounds(graph, program, ddr)
        assert bounds(graph, program, ddr) == bounds(replace(graph, nodes=graph.needed), program, ddr)


def test_the_bound_of_a_network_that_is_cut_short_is_below_its_cycles(rng: np.random.Generator) -> None:
    whole = random_resnet(rng, blocks=1)
    graph = replace(whole, output=whole.nodes[3].name)
    check_nothing_beats_the_bounds(graph, compiled_for(graph, PYNQ).program, SWIFT)
    for choice in explore(graph, TARGETS["pynq-z2"], [replace(PYNQ, pp=3, banks=5)]).fitting:
        assert choice.cycles is not None and choice.bound <= choice.cycles


def test_no_engine_beats_the_bound_that_explore_leaves_engines_out_by(rng: np.random.Generator) -> None:
    weight = rng.integers(-9, 9, (128, 128, 3, 3)).astype(np.int8)
    graph = graph_of(conv2d(weight, padding=(1, 1)), shape=(128, 4, 6))
    engines = [PYNQ, replace(PYNQ, pp=3, banks=5), replace(PYNQ, pp=2, banks=3)]
    found = explore(graph, TARGETS["pynq-z2"], engines)
    assert len(found.fitting) > 1
    assert all(choice.cycles is not None and choice.bound <= choice.cycles for choice in found.fitting)


@pytest.mark.parametrize("target", reference_targets())
def test_rows_of_padding_that_are_left_out_do_not_count(rng: np.random.Generator, target: str) -> None:
    configuration = TARGETS[target].engine
    weight = rng.integers(-9, 9, (128, 128, 3, 3)).astype(np.int8)
    graph = graph_of(conv2d(weight, padding=(1, 1)), shape=(128, 4, 6))  # a row of the map is a group
    node = graph.nodes[-1]
    assert needed_rows(graph, node) == 10 / 12  # the first and the last of four rows meet one row of padding
    program = compiled_for(graph, configuration).program
    done = sum(exec_cycles(d) for d in program.descriptors if d.opcode is Opcode.EXEC)
    assert done < macs(graph, node) / configuration.macs_per_cycle
    check_nothing_beats_the_bounds(graph, program, SWIFT)


@pytest.mark.parametrize(
    ("kernel", "padding", "rows", "needed"),
    [(1, 1, 4, 1.0), (3, 0, 4, 1.0), (5, 2, 4, 16 / 20), (3, 1, 1, 2 / 3), (2, 1, 2, 4 / 6)],
)
def test_a_window_leaves_out_one_row_of_padding_at_most(
    kernel: int, padding: int, rows: int, needed: float
) -> None:
    weight = np.ones((8, 8, kernel, 1), np.int8)
    graph = graph_of(conv2d(weight, padding=(padding, 0)), shape=(8, rows, 3))
    assert needed_rows(graph, graph.nodes[-1]) == pytest.approx(needed)


def test_an_ordinary_network_is_bound_by_its_products(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    least = bounds(graph, compiled_for(graph, PYNQ).program, DDR)
    first, *others = graph.nodes[1:]
    wide = [node for node in others if getattr(node, "kernel_size", None) == (3, 3)]
    for node in wide:
        products = macs(graph, node) * needed_rows(graph, node)
        assert least.layers[node.name].array == pytest.approx(products / PYNQ.macs_per_cycle)
    words = 2 * 32 * 32  # of the first layer, whose three channels leave the array behind the output stage
    assert least.layers[first.name].array == words > macs(graph, first) / PYNQ.macs_per_cycle
    assert len(wide) == 6 and least.array == pytest.approx(
        sum(bound.array for bound in least.layers.values())
    )
    assert 0.9 * least.array < least.peak < least.array  # shortcuts that select channels, and the pool, aside
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
    products = macs(graph, node) * needed_rows(graph, node)  # type: ignore[arg-type]
    assert least.layers[node.name].array == pytest.approx(products / (PYNQ.pi * PYNQ.pp))
    assert least.lanes > 0
