"""The engine computes what the reference does, under any memory, and survives what goes wrong."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from compiled_networks import computed
from halves import network_of_halves

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.program import ErrorCode, Opcode
from bitlathe.hls.program.registers import OFFSETS
from bitlathe.hls.sim import (
    AxiChannel,
    BuildOptions,
    EngineStopped,
    EngineTimeout,
    Response,
    SimulatedDdr,
    SimulatedEngine,
    WriteOrder,
    engine_model,
    simulate_many,
)
from bitlathe.hls.sim.memory import RunBuffer
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph, with_rounding
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

CONFIGURATION = TARGETS["pynq-z2"].engine
# Unlike the boards': 16 output channels from 8 input channels, few banks, small stores.
NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=512)
# 128-bit words as zcu104's, with fewer pixels: a third of the time to compile.
WIDE = EngineConfiguration(pi=16, po=16, pp=2, banks=7, bank_lines=4096, weight_lines=1024)
CHECKED = BuildOptions(assertions=True, random_init=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A compiled network, inputs, and what must come out."""

    network: Compiled
    codes: np.ndarray
    wanted: np.ndarray


def case_of(
    graph: Graph, rng: np.random.Generator, configuration: EngineConfiguration, inputs: int = 3
) -> Case:
    codes = random_inputs(rng, graph, inputs)
    return Case(
        network=compile_graph(graph, configuration),
        codes=codes,
        wanted=evaluate(graph, codes).reshape(inputs, -1),
    )


def holds(case: Case, codes: np.ndarray) -> bool:
    return np.array_equal(codes.reshape(len(codes), -1), case.wanted)


@pytest.fixture(scope="module")
def library() -> Path:
    """The engine with its assertions, and with random contents wherever the reset leaves any."""
    return engine_model(CONFIGURATION, CHECKED)


@pytest.fixture(scope="module")
def resnet() -> Case:
    rng = np.random.default_rng(8)
    return case_of(random_resnet(rng, blocks=1, channels=(8, 12, 16)), rng, CONFIGURATION)


@pytest.mark.parametrize("configuration", [CONFIGURATION, WIDE, NARROW], ids=["z2", "wide", "narrow"])
@pytest.mark.parametrize("stall_percent", [0, 35])
def test_networks_one_after_another_give_the_references_integers(
    rng: np.random.Generator, configuration: EngineConfiguration, stall_percent: int
) -> None:
    built = engine_model(configuration, CHECKED)
    ddr = SimulatedDdr(stall_percent=stall_percent, seed=1)
    engine = SimulatedEngine(configuration, ddr, library=built, random_seed=1)
    for count in range(12):
        others = count % 3 > 0 and configuration != NARROW  # whose weight store holds few of them
        case = case_of(random_graph(rng, budget=60_000 >> others, others=others), rng, configuration)
        result = engine.run(case.network, case.codes, profile=count % 2 == 0, inputs_per_start=1 + count % 3)
        assert holds(case, result.codes)


@pytest.mark.parametrize("order", list(WriteOrder))
def test_a_memory_may_take_writes_in_any_order_and_answer_them_late_and_in_bunches(
    rng: np.random.Generator, library: Path, order: WriteOrder
) -> None:
    for number, bunch in enumerate((1, 3, 8, 8)):
        ddr = SimulatedDdr(
            write_order=order,
            response_bunch=bunch,
            write_latency=(20, 300)[number % 2],
            stall_percent=(0, 35)[number // 2],
        )
        engine = SimulatedEngine(CONFIGURATION, ddr, library=library)
        case = case_of(random_graph(rng, budget=60_000), rng, CONFIGURATION)
        result = engine.run(case.network, case.codes, profile=True, inputs_per_start=1 + number % 2)
        assert holds(case, result.codes)
        engine.close()


@pytest.mark.parametrize("seed", range(3))
def test_halves_round_to_even_where_the_layer_says_so(library: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = network_of_halves(rng)
    up = with_rounding(graph, dict.fromkeys(graph.by_name, RoundingMode.HALF_UP))
    even, upwards = (case_of(one, np.random.default_rng(seed), CONFIGURATION, 6) for one in (graph, up))
    assert not np.array_equal(even.wanted, upwards.wanted)
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    for case in (even, upwards, even):
        assert holds(case, engine.run(case.network, case.codes).codes)
        assert holds(case, computed(case.network, case.codes))


def test_resident_weights_are_not_read_again(resnet: Case, library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    beats = []
    for _ in range(3):
        result = engine.run(resnet.network, resnet.codes[:1])
        assert np.array_equal(result.codes.ravel(), resnet.wanted[0])
        beats.append((result.counters.statistics["read_beats"], result.cycles[0]))
    assert beats[1] == beats[2]
    assert beats[0][0] - beats[1][0] == len(resnet.network.weights) // CONFIGURATION.word_bytes
    assert beats[0][1] > beats[1][1]


def test_several_engines_agree_with_one(resnet: Case, library: Path) -> None:
    codes = np.concatenate([resnet.codes] * 7)
    one, two = (
        simulate_many(resnet.network, codes, SimulatedDdr(), workers=workers, library=library)
        for workers in (1, 2)
    )
    assert np.array_equal(one.codes, two.codes) and one.cycles == two.cycles
    assert np.array_equal(one.codes.reshape(len(codes), -1), np.concatenate([resnet.wanted] * 7))
    assert len(set(one.cycles)) == 1


def test_a_profile_holds_every_descriptors_span_within_the_run(resnet: Case, library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    result = engine.run(resnet.network, resnet.codes, profile=True)
    assert result.profile is not None
    start, end = result.profile.T
    assert np.all(start <= end) and end.max() <= result.cycles[-1]
    executed = [entry.opcode is Opcode.EXEC for entry in resnet.network.program.descriptors]
    assert np.all(np.diff(start[executed]) > 0)
    skipped = [entry.once for entry in resnet.network.program.descriptors]
    assert np.array_equal(start[skipped], end[skipped])


def test_an_address_above_32_bits_is_reached(resnet: Case, library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(base=0xFE_FFFF_F000), library=library)
    assert holds(resnet, engine.run(resnet.network, resnet.codes).codes)


def test_the_engine_tells_its_identity(library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    assert engine.model.read(OFFSETS["IDENTITY"]) == CONFIGURATION.identity


@pytest.mark.parametrize(
    ("buffer", "write", "code"),
    [
        (RunBuffer.PROGRAM, False, ErrorCode.AXI_READ),
        (RunBuffer.WEIGHTS, False, ErrorCode.AXI_READ),
        (RunBuffer.INPUT, False, ErrorCode.AXI_READ),
        (RunBuffer.OUTPUT, True, ErrorCode.AXI_WRITE),
        (RunBuffer.PROFILE, True, ErrorCode.AXI_WRITE),
    ],
)
@pytest.mark.parametrize("response", list(Response))
def test_an_error_response_stops_the_run_and_not_the_next(
    resnet: Case, library: Path, buffer: RunBuffer, write: bool, code: ErrorCode, response: Response
) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    engine.load(resnet.network)
    low, size = engine.span(buffer)
    engine.model.inject(response, low + size // 2, low + size, write=write)
    with pytest.raises(EngineStopped) as caught:
        engine.run(resnet.network, resnet.codes, profile=True)
    assert caught.value.code is code
    engine.model.clear_injections()
    assert holds(resnet, engine.run(resnet.network, resnet.codes).codes)


def test_a_failed_weight_load_names_its_descriptor_and_node(resnet: Case, library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    engine.load(resnet.network)
    low, _ = engine.span(RunBuffer.WEIGHTS)
    engine.model.inject(Response.SLVERR, low, low + 8, write=False)
    index, first = next(
        (index, entry)
        for index, entry in enumerate(resnet.network.program.descriptors)
        if entry.opcode is Opcode.LOAD_WEIGHTS
    )
    with pytest.raises(
        EngineStopped, match=rf"AXI_READ at descriptor {index} \(LOAD_WEIGHTS of {first.node}\)"
    ):
        engine.run(resnet.network, resnet.codes)


def test_weights_shorter_than_the_program_reads_are_out_of_bounds(resnet: Case, library: Path) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    short = replace(resnet.network, weights=resnet.network.weights[:-64])
    with pytest.raises(EngineStopped, match="engine stopped with OUT_OF_BOUNDS at descriptor"):
        engine.run(short, resnet.codes)
    assert holds(resnet, engine.run(resnet.network, resnet.codes).codes)


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [(0, 0, ErrorCode.BAD_HEADER), (8, 1, ErrorCode.BAD_HEADER), (64, 0xEE, ErrorCode.BAD_OPCODE)],
    ids=["magic", "identity", "opcode"],
)
def test_a_damaged_program_is_refused(
    resnet: Case, library: Path, offset: int, value: int, code: ErrorCode
) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    engine.load(resnet.network)
    program = engine.bytes_of(RunBuffer.PROGRAM)
    kept = program[offset]
    program[offset] = value
    with pytest.raises(EngineStopped) as caught:
        engine.run(resnet.network, resnet.codes)
    assert caught.value.code is code
    program[offset] = kept
    assert holds(resnet, engine.run(resnet.network, resnet.codes).codes)


@pytest.mark.parametrize("channel", list(AxiChannel))
def test_a_silent_memory_is_a_timeout_and_a_reset_mends_it(
    resnet: Case, library: Path, channel: AxiChannel
) -> None:
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library)
    engine.model.hang(channel, 0 if channel in (AxiChannel.AW, AxiChannel.W, AxiChannel.B) else 50)
    with pytest.raises(EngineTimeout, match=r"not done after \d+ cycles, at descriptor \d+ \("):
        engine.run(resnet.network, resnet.codes)
    engine.model.clear_injections()
    assert holds(resnet, engine.run(resnet.network, resnet.codes).codes)
