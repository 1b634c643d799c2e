"""Encoded weights and several inputs a start, on the simulated engine: integers, AXI rules, cycles."""

from dataclasses import replace

import numpy as np
import pytest
from encoded_networks import chain

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.program import Encoding, ErrorCode, LoadWeights, Opcode
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.sim.faults import EngineStopped
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

BOARD = TARGETS["pynq-z2"]
WIDE = (64, 128, 256)  # weights beyond the store
STALLED = SimulatedDdr(stall_percent=30, seed=3)


def _encodings(compiled: Compiled) -> set[Encoding]:
    loads = [d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS]
    return {Encoding(d.encoding) for d in loads}


NETWORKS = {
    "codewords": (lambda rng: chain(rng, 8, WIDE, codewords=200), Encoding.INDICES),
    "4-bit weights": (lambda rng: chain(rng, 8, WIDE, weight_bits=4), Encoding.NIBBLES),
    "sparse weights": (lambda rng: chain(rng, 8, WIDE, zeros=0.6), Encoding.SPARSE),
    "sparse 4-bit weights": (lambda rng: chain(rng, 8, WIDE, weight_bits=4, zeros=0.7), Encoding.SPARSE),
    "resident codewords": (lambda rng: chain(rng, 12, (20, 30, 44), codewords=16), Encoding.INDICES),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("memory", [SimulatedDdr(), STALLED], ids=["steady", "stalls"])
def test_encoded_weights_give_the_references_integers(
    name: str, memory: SimulatedDdr, rng: np.random.Generator
) -> None:
    make, encoding = NETWORKS[name]
    graph = make(rng)
    compiled = compile_graph(graph, BOARD.engine, DdrModel.of(BOARD))
    assert encoding in _encodings(compiled)
    codes = random_inputs(rng, graph, 5)
    engine = SimulatedEngine(BOARD.engine, memory)
    result = engine.run(compiled, codes, inputs_per_start=3)
    assert np.array_equal(result.codes, evaluate(graph, codes))
    assert not result.counters.broken


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inputs", [1, 4])
def test_cycles_of_encoded_weights_are_predicted(name: str, inputs: int, rng: np.random.Generator) -> None:
    graph: Graph = NETWORKS[name][0](rng)
    compiled = compile_graph(graph, BOARD.engine, DdrModel.of(BOARD))
    codes = random_inputs(rng, graph, 2 * inputs)
    result = SimulatedEngine(BOARD.engine, SimulatedDdr()).run(compiled, codes, inputs_per_start=inputs)
    guesses = [
        predict(compiled.program, DdrModel.of(BOARD), weights_resident=resident, inputs=inputs).cycles
        for resident in (False, True)
    ]
    errors = [abs(guess / cycles - 1) for guess, cycles in zip(guesses, result.cycles, strict=True)]
    assert max(errors) <= 0.01, f"predicted {guesses}, simulated {result.cycles}"


def test_inputs_of_a_start_follow_each_other_without_a_gap(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    compiled = compile_graph(graph, BOARD.engine, DdrModel.of(BOARD))
    engine = SimulatedEngine(BOARD.engine, SimulatedDdr())
    codes = random_inputs(rng, graph, 17)
    alone = engine.run(compiled, codes[:1]).cycles[0]
    engine.load(compiled, 16)
    result = engine.run(compiled, codes[1:], inputs_per_start=16)
    assert np.array_equal(result.codes, evaluate(graph, codes[1:]))
    array = predict(compiled.program, DdrModel.of(BOARD), weights_resident=True)
    executed = [
        timing.end - timing.start
        for descriptor, timing in zip(compiled.program.descriptors, array.timings, strict=True)
        if descriptor.opcode is Opcode.EXEC
    ]
    assert result.cycles[0] / 16 <= 1.005 * sum(executed) < alone


@pytest.mark.parametrize("changes", [{"beats": -1}, {"beats": 1}, {"lines": -1}, {"lines": 1}], ids=str)
def test_a_sparse_stream_that_lies_stops_the_run_and_the_next_one_is_right(
    changes: dict[str, int], rng: np.random.Generator
) -> None:
    graph = chain(rng, 8, (16, 24), zeros=0.7)
    compiled = compile_graph(graph, BOARD.engine, DdrModel.of(BOARD))
    descriptors = list(compiled.program.descriptors)
    index = next(i for i, d in enumerate(descriptors) if isinstance(d, LoadWeights) and d.lines)
    wrong = {name: getattr(descriptors[index], name) + more for name, more in changes.items()}
    descriptors[index] = replace(descriptors[index], **wrong)
    lying = replace(compiled, program=replace(compiled.program, descriptors=tuple(descriptors)))
    codes = random_inputs(rng, graph, 1)
    engine = SimulatedEngine(BOARD.engine, STALLED)
    with pytest.raises(EngineStopped, match="BAD_STREAM") as stopped:
        engine.run(lying, codes)
    assert (stopped.value.code, stopped.value.descriptor) == (ErrorCode.BAD_STREAM, index)
    assert np.array_equal(engine.run(compiled, codes).codes, evaluate(graph, codes))
