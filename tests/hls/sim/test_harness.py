"""The harness counts, times and refuses what it says it does; proven on an engine that only copies."""

import numpy as np
import pytest
from echo_engine import (
    ADDRESS_WAITS,
    CHANGES_ADDRESS,
    CROSSES_PAGE,
    DATA_FIRST,
    DONE_EARLY,
    DROPS_VALID,
    FAULT_OFFSET,
    LONG_BURST,
    NARROW_BURST,
    NEVER_DONE,
    PARTIAL_STROBE,
    SPARE_DATA,
    STRAY_READ,
    STRAY_WRITE,
    UNALIGNED,
    VALID_IN_RESET,
    WRONG_LAST,
    echo_library,
    echo_network,
)

from bitlathe.hls.program import ErrorCode
from bitlathe.hls.program.registers import OFFSETS, START
from bitlathe.hls.sim import (
    AxiChannel,
    BuildOptions,
    BusError,
    EngineStopped,
    EngineTimeout,
    ProtocolViolation,
    Response,
    SimulatedDdr,
    SimulatedEngine,
    WriteOrder,
    model,
    simulate_many,
)
from bitlathe.hls.sim.memory import RunBuffer
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import FormatError, ShapeError, ToolError

CONFIGURATION = EngineConfiguration()
SIZE = 4096 + 24 * 8  # bytes: a page and a part, the last burst short


def engine(
    *, fault: int = 0, pi: int = 8, ddr: SimulatedDdr | None = None, **options: bool
) -> SimulatedEngine:
    library = echo_library(pi, options=BuildOptions(**options))
    made = SimulatedEngine(EngineConfiguration(pi=pi, po=pi), ddr or SimulatedDdr(), library=library)
    made.model.write(FAULT_OFFSET, fault)
    return made


def codes(rng: np.random.Generator, inputs: int = 1, size: int = SIZE) -> np.ndarray:
    return rng.integers(0, 256, (inputs, 1, 1, size))


@pytest.mark.parametrize("pi", [8, 16])
@pytest.mark.parametrize("stall_percent", [0, 30, 70])
def test_what_the_echo_engine_copies_arrives_whole_under_any_stall(
    rng: np.random.Generator, pi: int, stall_percent: int
) -> None:
    given = codes(rng)
    result = engine(pi=pi, ddr=SimulatedDdr(stall_percent=stall_percent, seed=5)).run(
        echo_network(SIZE, pi), given
    )
    assert np.array_equal(result.codes, given)
    assert result.counters.broken == {}
    assert result.counters.statistics["read_beats"] == result.counters.statistics["write_beats"] == SIZE // pi


def test_an_address_above_32_bits_is_reached(rng: np.random.Generator) -> None:
    given = codes(rng)
    result = engine(ddr=SimulatedDdr(base=0xAB_0000_0000)).run(echo_network(SIZE), given)
    assert np.array_equal(result.codes, given)


def test_inputs_of_one_start_lie_a_stride_apart(rng: np.random.Generator) -> None:
    given = codes(rng, inputs=5, size=40)
    result = engine().run(echo_network(40, stride=64), given, inputs_per_start=2)
    assert np.array_equal(result.codes, given)
    assert len(result.cycles) == 3


def test_a_profile_is_read_back_when_asked_for(rng: np.random.Generator) -> None:
    simulated = engine()
    assert simulated.run(echo_network(SIZE), codes(rng)).profile is None
    result = simulated.run(echo_network(SIZE), codes(rng), profile=True)
    assert result.profile is not None
    assert result.profile.tolist() == [[7, result.cycles[0]]]


def test_a_burst_takes_the_latencies_and_its_beats(rng: np.random.Generator) -> None:
    cycles = {
        ddr: engine(ddr=ddr).run(echo_network(128), codes(rng, size=128)).cycles[0]
        for ddr in (
            SimulatedDdr(latency=1, write_latency=1, busy=1),
            SimulatedDdr(latency=31, write_latency=1, busy=1),
            SimulatedDdr(latency=1, write_latency=21, busy=1),
            SimulatedDdr(latency=1, write_latency=1, busy=0.5),
        )
    }
    alone, read, write, half = cycles.values()
    assert (read - alone, write - alone) == (30, 20)
    assert half - alone in (30, 31, 32)  # 16 beats each way, one more cycle each but perhaps the first


def test_equal_seeds_stall_equally_and_other_seeds_otherwise(rng: np.random.Generator) -> None:
    given = codes(rng, inputs=3)
    first, again, other = (
        engine(ddr=SimulatedDdr(stall_percent=40, seed=seed)).run(echo_network(SIZE), given).cycles
        for seed in (1, 1, 2)
    )
    assert first == again and len(set(first)) == 1
    assert first != other


@pytest.mark.parametrize(
    ("fault", "violation"),
    [
        (CHANGES_ADDRESS, "payload_changed_while_waiting"),
        (DROPS_VALID, "valid_dropped"),
        (CROSSES_PAGE, "burst_crosses_4_kib"),
        (LONG_BURST, "burst_over_16_beats"),
        (NARROW_BURST, "burst_not_incr_of_words"),
        (UNALIGNED, "address_unaligned"),
        (WRONG_LAST, "last_misplaced"),
        (PARTIAL_STROBE, "strobe_partial"),
        (STRAY_WRITE, "stray_writes"),
        (STRAY_READ, "stray_reads"),
        (DONE_EARLY, "outstanding"),
    ],
)
def test_a_broken_bus_rule_is_named(rng: np.random.Generator, fault: int, violation: str) -> None:
    simulated = engine(fault=fault, ddr=SimulatedDdr(stall_percent=40))
    network = echo_network(SIZE + 8)
    with pytest.raises(ProtocolViolation, match=violation):
        simulated.run(network, codes(rng, 4, SIZE + 8), inputs_per_start=4, deadline=10**7)


def test_a_request_during_reset_is_named() -> None:
    simulated = engine(fault=VALID_IN_RESET)
    with pytest.raises(ProtocolViolation, match="valid_in_reset"):
        simulated.reset()


def test_a_correct_engine_breaks_no_rule_where_the_faulty_ones_do(rng: np.random.Generator) -> None:
    simulated = engine(ddr=SimulatedDdr(stall_percent=40))
    given = codes(rng, 4, SIZE + 8)
    assert np.array_equal(
        simulated.run(echo_network(SIZE + 8), given, inputs_per_start=4, deadline=10**7).codes, given
    )


def test_a_run_without_end_is_stopped_and_the_next_engine_state_is_fresh(rng: np.random.Generator) -> None:
    simulated = engine(fault=NEVER_DONE)
    for _ in range(2):
        with pytest.raises(
            EngineTimeout, match=r"not done after 3000 cycles, at descriptor 1 \(the program has 1\)"
        ):
            simulated.run(echo_network(SIZE), codes(rng), deadline=3000)


@pytest.mark.parametrize("channel", list(AxiChannel))
def test_a_channel_that_falls_silent_ends_in_a_timeout_and_a_reset_mends_it(
    rng: np.random.Generator, channel: AxiChannel
) -> None:
    simulated = engine()
    simulated.model.hang(channel, 3)
    with pytest.raises(EngineTimeout):
        simulated.run(echo_network(SIZE), codes(rng))
    simulated.model.clear_injections()
    given = codes(rng)
    assert np.array_equal(simulated.run(echo_network(SIZE), given).codes, given)


@pytest.mark.parametrize(("write", "code"), [(False, ErrorCode.AXI_READ), (True, ErrorCode.AXI_WRITE)])
@pytest.mark.parametrize("response", list(Response))
def test_an_injected_error_response_becomes_the_engines_error(
    rng: np.random.Generator, write: bool, code: ErrorCode, response: Response
) -> None:
    simulated, network = engine(), echo_network(SIZE)
    simulated.load(network)
    simulated.model.inject(response, 0x1000_0000, 0x2000_0000, write=write)
    with pytest.raises(
        EngineStopped, match=rf"engine stopped with {code.name} at descriptor 0 \(END of logits\)"
    ) as caught:
        simulated.run(network, codes(rng))
    assert (caught.value.code, caught.value.descriptor) == (code, 0)
    simulated.model.clear_injections()
    given = codes(rng)
    assert np.array_equal(simulated.run(network, given).codes, given)


def test_memory_outside_the_ddr_answers_decerr(rng: np.random.Generator) -> None:
    simulated, network = engine(), echo_network(SIZE)
    simulated.load(network)
    simulated.model.attach(np.zeros(4096, np.uint8), 0x9000_0000)
    with pytest.raises(EngineStopped, match="AXI_READ"):
        simulated.run(network, codes(rng))


def test_a_write_becomes_visible_with_its_response_and_no_earlier(rng: np.random.Generator) -> None:
    simulated, given = engine(ddr=SimulatedDdr(write_latency=2000)), codes(rng, size=8)
    simulated.run(echo_network(8), given)
    simulated.bytes_of(RunBuffer.OUTPUT)[:] = 0xA5
    simulated.model.write(OFFSETS["CTRL"], START)
    simulated.model.run(1000)
    assert simulated.bytes_of(RunBuffer.OUTPUT).tolist() == [0xA5] * 8
    simulated.model.run(2000)
    assert simulated.bytes_of(RunBuffer.OUTPUT).tolist() == given.ravel().tolist()


@pytest.mark.parametrize("order", list(WriteOrder))
@pytest.mark.parametrize(("stall_percent", "bunch"), [(0, 1), (40, 4)])
def test_writes_arrive_whole_in_any_order_of_address_and_data(
    rng: np.random.Generator, order: WriteOrder, stall_percent: int, bunch: int
) -> None:
    given = codes(rng)
    ddr = SimulatedDdr(stall_percent=stall_percent, seed=1, write_order=order, response_bunch=bunch)
    result = engine(ddr=ddr).run(echo_network(SIZE), given)
    assert np.array_equal(result.codes, given) and result.counters.broken == {}


@pytest.mark.parametrize("order", [WriteOrder.EITHER, WriteOrder.DATA_OFFERED, WriteOrder.DATA_FIRST])
def test_data_may_go_ahead_of_their_address(rng: np.random.Generator, order: WriteOrder) -> None:
    simulated, given = engine(fault=DATA_FIRST, ddr=SimulatedDdr(write_order=order)), codes(rng)
    if order is WriteOrder.DATA_OFFERED:  # each waits for the other, which only the memory may
        with pytest.raises(EngineTimeout):
            simulated.run(echo_network(SIZE), given)
    else:
        result = simulated.run(echo_network(SIZE), given)
        assert np.array_equal(result.codes, given) and result.counters.broken == {}


@pytest.mark.parametrize("order", list(WriteOrder))
def test_data_that_wait_for_their_address_hang_where_the_memory_waits_for_data(
    rng: np.random.Generator, order: WriteOrder
) -> None:
    simulated, given = engine(fault=ADDRESS_WAITS, ddr=SimulatedDdr(write_order=order)), codes(rng)
    if order in (WriteOrder.DATA_OFFERED, WriteOrder.DATA_FIRST):
        with pytest.raises(EngineTimeout):
            simulated.run(echo_network(SIZE), given)
    else:
        assert np.array_equal(simulated.run(echo_network(SIZE), given).codes, given)


def test_data_without_an_address_are_told(rng: np.random.Generator) -> None:
    simulated = engine(fault=SPARE_DATA, ddr=SimulatedDdr(write_order=WriteOrder.EITHER))
    with pytest.raises(ProtocolViolation, match="outstanding x 1"):
        simulated.run(echo_network(SIZE), codes(rng))


def test_what_was_asked_before_a_reset_is_answered_after_it(rng: np.random.Generator) -> None:
    simulated, given = engine(ddr=SimulatedDdr(latency=100, write_latency=100)), codes(rng)
    simulated.run(echo_network(SIZE), given)
    in_flight = []
    for cycles in range(10, 330, 20):  # in the first burst's read, then in its write
        simulated.model.write(OFFSETS["CTRL"], START)
        simulated.model.run(cycles)
        owed = simulated.model.counters().statistics["outstanding"]
        simulated.model.reset()
        assert simulated.model.counters().statistics["outstanding"] == owed
        in_flight.append(owed)
        simulated.reset()
        assert np.array_equal(simulated.run(echo_network(SIZE), given).codes, given)
    assert any(in_flight)


def test_a_memory_that_stays_silent_after_a_reset_is_told(rng: np.random.Generator) -> None:
    simulated, given = engine(), codes(rng)
    simulated.model.hang(AxiChannel.R, 3)
    with pytest.raises(EngineTimeout, match="not done after"):
        simulated.run(echo_network(SIZE), given)
    with pytest.raises(EngineTimeout, match="the memory is silent: it has not answered all bursts"):
        simulated.run(echo_network(SIZE), given)
    simulated.model.clear_injections()
    assert np.array_equal(simulated.run(echo_network(SIZE), given).codes, given)


def test_a_register_access_without_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = engine()
    assert simulated.model.read(0xB8) == 1
    monkeypatch.setattr(model, "REGISTER_LIMIT", 1)
    with pytest.raises(BusError, match="register read at 0xb8: no answer in 1 cycles"):
        simulated.model.read(0xB8)


def test_registers_without_reset_may_start_at_random(rng: np.random.Generator) -> None:
    library = echo_library(options=BuildOptions(random_init=True))
    given = codes(rng)
    for seed in range(1, 20):
        simulated = SimulatedEngine(CONFIGURATION, SimulatedDdr(), library=library, random_seed=seed)
        assert simulated.model.read(0xB8) == 1
        assert np.array_equal(simulated.run(echo_network(SIZE), given).codes, given)


def test_a_model_built_for_it_writes_waves(rng: np.random.Generator, tmp_path) -> None:
    simulated = engine(trace=True)
    simulated.model.trace(tmp_path / "run.vcd")
    simulated.run(echo_network(64), codes(rng, size=64))
    simulated.close()
    assert "m_axi_araddr" in (tmp_path / "run.vcd").read_text()


def test_a_model_built_without_waves_says_so(tmp_path) -> None:
    with pytest.raises(ToolError, match=r"built without BuildOptions\(trace=True\)"):
        engine().model.trace(tmp_path / "run.vcd")


def test_many_inputs_give_the_same_whatever_the_number_of_engines(rng: np.random.Generator) -> None:
    given, seen = codes(rng, inputs=21), []
    results = [
        simulate_many(
            echo_network(SIZE),
            given,
            SimulatedDdr(stall_percent=20),
            workers=workers,
            progress=seen.append,
            library=echo_library(),
        )
        for workers in (1, 2)
    ]
    assert all(np.array_equal(result.codes, given) for result in results)
    assert results[0].cycles == results[1].cycles and len(results[0].cycles) == 21
    assert seen[-1] == 21 and seen[2] == 21


def test_an_engine_that_fails_ends_the_many(rng: np.random.Generator) -> None:
    with pytest.raises(EngineTimeout):
        simulate_many(
            echo_network(8),
            codes(rng, 40, 8),
            SimulatedDdr(),
            workers=2,
            library=echo_library(fault=NEVER_DONE),
        )


def test_a_program_for_another_configuration_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(FormatError, match="compile it again"):
        engine(pi=8).run(echo_network(64, pi=16), codes(rng, size=64))


def test_no_inputs_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match="give at least one"):
        engine().run(echo_network(64), codes(rng, inputs=0, size=64))
