"""Programs of several outputs: each is stored, also where it is read further or is a part of another."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import IMAGE, PYNQ, ROOMY, TINY, are_equal, compiled_for, computed_outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs_with_inputs

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.program import Opcode, Space
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, EngineConfiguration, reference_targets
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph, Output
from bitlathe.model.graph.nodes import Concat
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.rtl_tb.random_networks.layers import Sketch


def branched(rng: np.random.Generator, size: int = 12, width: int = 5) -> Graph:
    """Features that are read further, twice an output, a concatenation and its operand, a map and classes."""
    sketch = Sketch(rng=rng, widths=(8,))
    image = sketch.input(IMAGE, (3, size, size))
    features = sketch.convolution(image, width, (3, 3), (1, 1), (1, 1), target=IMAGE)
    other = sketch.convolution(features, width + 3, (3, 3), (1, 1), (1, 1), target=IMAGE)
    joined = Concat(name="joined", format=IMAGE, operands=(features, other))
    mask = sketch.convolution(other, 2, (1, 1), (1, 1), (0, 0), relu=False)
    pooled = sketch.average_pool(other, (size, size), (size, size), (0, 0))
    classes = sketch.dense(pooled, 10, relu=False)
    outputs = [features, "joined", classes, mask, other, features]
    return Graph(
        name="branched",
        nodes=(*sketch.nodes, joined),
        output=tuple(Output(f"output {place}", tensor) for place, tensor in enumerate(outputs)),
    )


@given(graphs_with_inputs(several=True), st.sampled_from((*ROOMY, *TINY)), st.integers(0, 99))
@settings(max_examples=60)
def test_random_networks_give_the_references_outputs_in_any_order_that_waits_allow(
    case: tuple[Graph, IntArray], configuration: EngineConfiguration, seed: int
) -> None:
    graph, codes = case
    try:
        compiled = compiled_for(graph, configuration)
    except CapacityError:
        return
    made = computed_outputs(compiled, codes, np.random.default_rng(seed))
    assert are_equal(made, evaluate_outputs(graph, codes))


@pytest.mark.parametrize("configuration", [*ROOMY, TINY[0], TINY[3]])
def test_parts_of_a_concatenation_are_outputs_too(
    rng: np.random.Generator, configuration: EngineConfiguration
) -> None:
    graph = branched(rng)
    codes = random_inputs(rng, graph, 3)
    assert are_equal(
        computed_outputs(compiled_for(graph, configuration), codes, rng), evaluate_outputs(graph, codes)
    )


def test_outputs_follow_one_another_and_a_repeated_one_is_stored_once(rng: np.random.Generator) -> None:
    compiled = compiled_for(branched(rng), PYNQ)
    *first, again = compiled.output_layouts
    places = [(layout.offset, layout.bytes) for layout in first]
    assert [offset for offset, _ in places] == [
        sum(size for _, size in places[:i]) for i in range(len(places))
    ]
    assert again == first[0]
    assert compiled.program.output_stride == sum(size for _, size in places)
    stored = [d for d in compiled.program.descriptors if d.opcode is Opcode.STORE and d.space == Space.OUTPUT]
    word = PYNQ.word_bytes
    assert sum(d.segments * d.segment_words * word for d in stored) == compiled.program.output_stride


@pytest.mark.parametrize("target", reference_targets())
def test_the_engines_registers_give_every_output(rng: np.random.Generator, target: str) -> None:
    graph = branched(rng)
    codes, compiled = random_inputs(rng, graph, 3), compile_graph(graph, TARGETS[target].engine)
    with closing(SimulatedEngine(TARGETS[target].engine, SimulatedDdr.of(TARGETS[target]))) as engine:
        made = engine.run(compiled, codes, inputs_per_start=2).outputs
    assert are_equal(made, evaluate_outputs(graph, codes))
    assert are_equal(HlsEngine(TARGETS[target]).run_outputs(compiled, codes), evaluate_outputs(graph, codes))


def test_maps_larger_than_the_scratchpad_are_outputs_and_read_further(rng: np.random.Generator) -> None:
    """They pass through in strips: each is stored twice, once for the host and once to be read again."""
    sketch = Sketch(rng=rng, widths=(8,))
    large = sketch.convolution(sketch.input(IMAGE, (3, 40, 40)), 16, (3, 3), (1, 1), (1, 1))
    larger = sketch.convolution(large, 24, (3, 3), (1, 1), (1, 1), relu=False)
    small = sketch.convolution(larger, 8, (1, 1), (4, 4), (0, 0))
    outputs = (Output("larger", larger), Output("small", small), Output("large", large))
    graph = Graph(name="large", nodes=tuple(sketch.nodes), output=outputs)
    configuration = EngineConfiguration(bank_lines=200, weight_lines=400)
    compiled = compile_graph(graph, configuration)
    plane = 40 * 40 * -(-16 // configuration.pi)
    assert plane > configuration.bank_lines * configuration.banks
    assert compiled.scratch_bytes >= (16 + 24) * 40 * 40
    codes = random_inputs(rng, graph, 2)
    wanted = evaluate_outputs(graph, codes)
    assert are_equal(computed_outputs(compiled, codes, rng), wanted)
    with closing(SimulatedEngine(configuration, SimulatedDdr())) as engine:
        assert are_equal(engine.run(compiled, codes).outputs, wanted)


def test_four_bit_outputs_are_stored_a_byte_each(rng: np.random.Generator) -> None:
    sketch = Sketch(rng=rng, widths=(4,))
    narrow = FixedPoint(bits=4, frac=2, signed=False)
    first = sketch.convolution(sketch.input(IMAGE, (16, 8, 8)), 32, (1, 1), (1, 1), (0, 0), target=narrow)
    last = sketch.convolution(first, 16, (1, 1), (1, 1), (0, 0))
    alone = Graph(name="narrow", nodes=tuple(sketch.nodes), output=last)
    both = replace(alone, output=(Output("first", first), Output("last", last)))
    configuration = EngineConfiguration(pi=8, po=16, pp=4, banks=5)
    packed, plain = (compiled_for(graph, configuration).program.descriptors for graph in (alone, both))
    assert any(getattr(d, "out_packed", False) for d in packed)
    assert not any(getattr(d, "out_packed", False) for d in plain)
    codes = random_inputs(rng, both, 2)
    assert are_equal(
        computed_outputs(compiled_for(both, configuration), codes), evaluate_outputs(both, codes)
    )
