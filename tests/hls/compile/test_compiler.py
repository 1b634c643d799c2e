"""Compiled programs compute what the reference does, wherever maps lie and however the units interleave."""

import numpy as np
import pytest
from compiled_networks import IMAGE, NETWORKS, PYNQ, ROOMY, TINY, compiled_for, computed, inception, vgg
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import conv2d, graph_of
from strategies import SEEDS, graphs_with_inputs, held_networks

from bitlathe.hls.compile.limits import LARGEST_MAP
from bitlathe.hls.program import Opcode, Space
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.layers import Sketch


@settings(max_examples=100)
@given(graphs_with_inputs(), st.sampled_from(ROOMY), SEEDS)
def test_random_networks_equal_the_reference_on_every_engine(graph_and_codes, configuration, order):
    graph, codes = graph_and_codes
    compiled = compiled_for(graph, configuration)
    expected = evaluate(graph, codes)
    assert np.array_equal(computed(compiled, codes), expected)
    assert np.array_equal(computed(compiled, codes[:1], np.random.default_rng(order)), expected[:1])


@settings(max_examples=100)
@given(held_networks(TINY), SEEDS)
def test_random_networks_that_stream_equal_the_reference(network, order):
    graph, codes, compiled = network
    expected = evaluate(graph, codes)
    assert np.array_equal(computed(compiled, codes), expected)
    assert np.array_equal(computed(compiled, codes[:1], np.random.default_rng(order)), expected[:1])


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "configuration", [*ROOMY, EngineConfiguration(bank_lines=200, weight_lines=600)], ids=str
)
def test_known_shapes_equal_the_reference(
    network: str, configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    graph = NETWORKS[network](rng)
    codes = random_inputs(rng, graph, 2)
    compiled = compiled_for(graph, configuration)
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_maps_beyond_the_scratchpad_go_through_ddr_in_strips(rng: np.random.Generator) -> None:
    graph = vgg(rng, 64, 8)
    codes = random_inputs(rng, graph, 1)
    compiled = compiled_for(graph, EngineConfiguration(bank_lines=150, weight_lines=600))
    executed = [d.node for d in compiled.program.descriptors if d.opcode is Opcode.EXEC]
    assert compiled.scratch_bytes > 0
    assert len(executed) > 2 * len(set(executed))
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_weights_beyond_the_store_stream_through_it(rng: np.random.Generator) -> None:
    graph = vgg(rng, 16, 16)
    codes = random_inputs(rng, graph, 2)
    compiled = compiled_for(graph, EngineConfiguration(weight_lines=300))
    loads = [d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS]
    assert sum(d.beats for d in loads) > 3 * 300 * 8
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_weights_that_fit_are_loaded_once(rng: np.random.Generator) -> None:
    compiled = compiled_for(NETWORKS["resnet8"](rng), PYNQ)
    loads = [d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS]
    assert all(d.once for d in loads)
    assert sum(d.beats for d in loads) * PYNQ.word_bytes == len(compiled.weights)


def test_concatenation_takes_no_step_unless_an_operand_must_be_copied(rng: np.random.Generator) -> None:
    compiled = compiled_for(inception(rng, 12, 5), PYNQ)
    executed = [d.node for d in compiled.program.descriptors if d.opcode is Opcode.EXEC]
    assert executed.count("first") == 1  # the input
    assert executed.count("second") == 2  # an operand of both, and one that comes twice


def test_every_intermediate_map_can_be_traced(rng: np.random.Generator) -> None:
    graph = NETWORKS["resnet8"](rng)
    compiled = compiled_for(graph, PYNQ)
    executed = [i for i, d in enumerate(compiled.program.descriptors) if d.opcode is Opcode.EXEC]
    assert len(compiled.labels) == len(compiled.program.descriptors) - 1
    assert {compiled.labels[index] for index in executed} == {node.name for node in graph.nodes[1:]}


def test_equal_graphs_give_equal_bytes(rng: np.random.Generator) -> None:
    graph = NETWORKS["vgg"](rng)
    copy = Graph(name=graph.name, nodes=graph.nodes, output=graph.output)
    first, second = compiled_for(graph, TINY[3]), compiled_for(copy, TINY[3])
    assert first.program.encode() == second.program.encode()
    assert first.weights == second.weights


def test_an_output_that_layers_read_is_never_read_back(rng: np.random.Generator) -> None:
    graph = inception(rng, 16, 20)
    codes = random_inputs(rng, graph, 1)
    compiled = compiled_for(graph, EngineConfiguration(bank_lines=60))
    stores = [d.space for d in compiled.program.descriptors if d.opcode is Opcode.STORE]
    loads = [d.space for d in compiled.program.descriptors if d.opcode is Opcode.LOAD]
    assert stores.count(Space.SCRATCH) and Space.OUTPUT not in loads
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_a_window_folded_into_one_tap_steps_by_one(rng: np.random.Generator) -> None:
    sketch = Sketch(rng=rng, widths=(8,))
    logits = sketch.dense(sketch.input(IMAGE, (1, 14, 13)), 10, relu=False)
    graph = Graph(name="one_tap", nodes=tuple(sketch.nodes), output=logits)
    (execute,) = (
        d
        for d in compiled_for(graph, TARGETS["zcu104"].engine).program.descriptors
        if d.opcode is Opcode.EXEC
    )
    assert (execute.kernel_w, execute.tap_step) == (1, 1)


def test_rows_of_any_length_are_left_out(rng: np.random.Generator) -> None:
    def weights() -> np.ndarray:
        return rng.integers(-8, 9, (16, 16, 3, 3), dtype=np.int8)

    first = conv2d(weights(), name="first", padding=(1, 1))
    added = conv2d(weights(), name="added", source="first", residual="first", padding=(1, 1))
    graph = graph_of(first, added, shape=(16, 2, LARGEST_MAP - 2))
    compiled = compiled_for(graph, PYNQ)
    skips = [d.skip_weights for d in compiled.program.descriptors if d.opcode is Opcode.EXEC]
    assert any(skips)
    codes = random_inputs(rng, graph, 1)
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))
