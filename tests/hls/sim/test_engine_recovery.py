"""The simulated engine under faults of its memory: it says what failed, and its next start is right."""

from contextlib import suppress

import numpy as np
import pytest

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.program import ErrorCode, Opcode
from bitlathe.hls.program.registers import ABORT, DONE, IDLE, NO_DESCRIPTOR, OFFSETS, START
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.faults import EngineStopped, EngineTimeout
from bitlathe.hls.sim.memory import RunBuffer, SimulatedDdr, WriteOrder
from bitlathe.hls.sim.model import Response
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

CONFIGURATION = EngineConfiguration()
INPUTS = 2


@pytest.fixture(scope="module")
def network():
    graph = random_resnet(np.random.default_rng(1), blocks=1, channels=(8, 16))
    codes = np.random.default_rng(2).integers(0, 100, (INPUTS, *graph.input.shape))
    return compile_graph(graph, CONFIGURATION), codes, evaluate(graph, codes)


@pytest.fixture(scope="module", params=[0, 30], ids=["steady", "stalling"])
def engine(request, network):
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr(stall_percent=request.param, seed=3))
    engine.load(network[0], INPUTS)
    yield engine
    engine.close()


def place(rng: np.random.Generator, engine: SimulatedEngine, network, buffer: RunBuffer) -> int:
    """Address of a word that a run of one input touches."""
    compiled, word = network[0], CONFIGURATION.word_bytes
    low, size = engine.span(buffer)
    words = {
        RunBuffer.PROGRAM: 64 * (len(compiled.program.descriptors) + 1) // word,
        RunBuffer.WEIGHTS: len(compiled.weights) // word,
        RunBuffer.INPUT: compiled.program.input_stride // word,
        RunBuffer.OUTPUT: compiled.program.output_stride // word,
        RunBuffer.PROFILE: len(compiled.program.descriptors),
    }[buffer]
    assert words * word <= size
    return low + int(rng.integers(words)) * word


def check(engine: SimulatedEngine, network, **arguments: int) -> None:
    compiled, codes, expected = network
    result = engine.run(compiled, codes, **arguments)
    np.testing.assert_array_equal(result.codes.reshape(INPUTS, -1), np.asarray(expected).reshape(INPUTS, -1))


@pytest.mark.parametrize(
    ("buffer", "error", "culprits"),
    [
        (RunBuffer.PROGRAM, "AXI_READ", None),
        (RunBuffer.WEIGHTS, "AXI_READ", Opcode.LOAD_WEIGHTS),
        (RunBuffer.INPUT, "AXI_READ", Opcode.LOAD),
        (RunBuffer.OUTPUT, "AXI_WRITE", Opcode.STORE),
        (RunBuffer.PROFILE, "AXI_WRITE", None),
    ],
    ids=["program", "weights", "input", "output", "profile"],
)
def test_an_error_response_is_reported_and_the_next_start_is_right(
    engine, network, buffer, error, culprits, rng
):
    for response in (Response.SLVERR, Response.DECERR):
        engine.reset()
        low = place(rng, engine, network, buffer)
        write = buffer in (RunBuffer.OUTPUT, RunBuffer.PROFILE)
        engine.model.inject(response, low, low + CONFIGURATION.word_bytes, write=write)
        with pytest.raises(
            EngineStopped, match=error if culprits is None else rf"{error}.*\({culprits.name} of"
        ):
            engine.run(network[0], network[1], profile=True, inputs_per_start=INPUTS)
        engine.model.clear_injections()
        check(engine, network)


def begin(engine: SimulatedEngine, cycles: int) -> int:
    """Start the network that ran before, and leave it after so many cycles; bursts that are in flight."""
    engine.model.write(OFFSETS["CTRL"], START)
    engine.model.run(cycles)
    return engine.model.counters().statistics["outstanding"]


def test_a_reset_at_any_time_leaves_an_engine_that_works(engine, network, rng):
    check(engine, network, inputs_per_start=INPUTS, profile=True)
    owed = []
    for cycles in rng.integers(1, 9_000, 12):
        owed.append(begin(engine, int(cycles)))
        engine.reset()
        check(engine, network, inputs_per_start=INPUTS, profile=True)
    assert any(owed)


def test_an_abort_at_any_time_drains_the_bus_and_the_next_start_is_right(engine, network, rng):
    check(engine, network, inputs_per_start=INPUTS, profile=True)
    owed = []
    for cycles in rng.integers(1, 9_000, 12):
        owed.append(begin(engine, int(cycles)))
        runs = engine.model.read(OFFSETS["RUNS"])
        assert engine.abort()
        assert engine.model.counters().statistics["outstanding"] == 0
        assert engine.model.read(OFFSETS["CTRL"]) == IDLE
        assert engine.model.read(OFFSETS["RUNS"]) == runs + 1
        assert engine.model.read(OFFSETS["ERROR"]) == ErrorCode.ABORTED
        assert engine.model.read(OFFSETS["ERROR_INDEX"]) == NO_DESCRIPTOR
        check(engine, network, inputs_per_start=INPUTS, profile=True)
    assert any(owed)


def test_an_abort_of_an_idle_engine_is_ignored(engine, network):
    check(engine, network)
    before = engine.model.read(OFFSETS["RUNS"])
    engine.model.write(OFFSETS["CTRL"], ABORT)
    engine.model.run(1000)
    assert engine.model.read(OFFSETS["CTRL"]) & (DONE | IDLE) == IDLE
    assert engine.model.read(OFFSETS["RUNS"]) == before
    check(engine, network)


def test_a_run_past_its_deadline_is_aborted(engine, network, rng):
    for cycles in rng.integers(1, 9_000, 4):
        with pytest.raises(EngineTimeout, match="not done after"):
            engine.run(network[0], network[1], deadline=int(cycles))
        assert engine.model.read(OFFSETS["ERROR"]) == ErrorCode.ABORTED
        check(engine, network, inputs_per_start=INPUTS)


@pytest.mark.parametrize("order", list(WriteOrder))
def test_resets_and_aborts_are_survived_in_any_order_of_writes(network, rng, order):
    ddr = SimulatedDdr(write_order=order, response_bunch=4, busy=0.3, write_latency=90, stall_percent=20)
    engine = SimulatedEngine(CONFIGURATION, ddr)
    check(engine, network, profile=True)
    for cycles in rng.integers(1, 8_000, 3):
        begin(engine, int(cycles))
        assert engine.abort()
        check(engine, network, profile=True)
        begin(engine, int(cycles))
        engine.reset()
        check(engine, network, profile=True)
    engine.close()


def test_a_flipped_bit_of_a_move_never_hangs_the_engine_or_leads_it_astray(engine, network, rng):
    compiled, codes, _ = network
    program = engine.bytes_of(RunBuffer.PROGRAM)
    moves = [n for n, one in enumerate(compiled.program.descriptors) if one.opcode is not Opcode.EXEC]
    for _ in range(60):
        engine.reset()
        byte = 64 * (1 + int(rng.choice(moves))) + int(rng.integers(34))
        bit = np.uint8(1 << rng.integers(8))
        program[byte] ^= bit
        with suppress(EngineStopped):  # a flip may be harmless to the run, if not to its results
            engine.run(compiled, codes[:1], deadline=1_000_000)
        program[byte] ^= bit
    engine.reset()
    check(engine, network)
