"""The simulated engine refuses an EXEC that leaves its stores before it writes a word, and no other."""

from dataclasses import replace

import numpy as np
import pytest
from lone_execs import alone, execs
from small_graphs import conv2d, graph_of

from bitlathe.hls.checks import fault_of
from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.program import ErrorCode, Exec, StoreMove
from bitlathe.hls.program.decode import decode_program
from bitlathe.hls.sim import EngineStopped, SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import EngineConfiguration

CONFIGURATION = EngineConfiguration()
SHAPE = (8, 6, 6)
DEADLINE = 100_000  # cycles


@pytest.fixture(scope="module")
def layer() -> Compiled:
    weight = np.random.default_rng(1).integers(-9, 9, (8, 8, 3, 3)).astype(np.int8)
    return compile_graph(graph_of(conv2d(weight), shape=SHAPE), CONFIGURATION)


@pytest.fixture(scope="module")
def engine():
    engine = SimulatedEngine(CONFIGURATION, SimulatedDdr())
    yield engine
    engine.close()


def said(engine: SimulatedEngine, network: Compiled, codes: np.ndarray) -> ErrorCode:
    """How a run ends; a bus rule that is broken or a run without end is an error of its own."""
    try:
        engine.run(network, codes, deadline=DEADLINE)
    except EngineStopped as fault:
        assert fault.descriptor == 0
        return fault.code
    return ErrorCode.NONE


def test_an_exec_runs_or_is_refused_as_specified(engine, layer, rng) -> None:
    codes = np.zeros((1, *SHAPE), np.int8)
    for number, (descriptor, expected) in enumerate(execs(rng, CONFIGURATION, 40)):
        assert said(engine, alone(layer, descriptor), codes) is expected, (number, descriptor)


def test_an_exec_that_is_refused_has_written_nothing(engine, layer, rng) -> None:
    codes = rng.integers(-100, 100, (1, *SHAPE)).astype(np.int8)
    honest = engine.run(layer, codes).codes
    layers = decode_program(layer.program.encode(), CONFIGURATION).descriptors
    full = next(one for one in layers if isinstance(one, Exec))
    store = next(one for one in layer.program.descriptors if isinstance(one, StoreMove))
    free = replace(store, wait_exec=0)
    # The soonest that an EXEC can write: one lane, one tap, one cycle a group, over the words of the output.
    step = {"tap_row_line": full.pitch_line, "tap_row_bank": full.pitch_bank}
    short = replace(full, kernel_h=1, kernel_w=1, group_lanes=1, group_cycles=1, skip_weights=0)
    soonest = replace(short, start_y=0, start_x=0, wait_load=0, **step)
    assert fault_of(soonest, CONFIGURATION) is None
    for wrong, code in (
        ({"weight_line": CONFIGURATION.weight_lines - 1}, ErrorCode.OUT_OF_BOUNDS),
        ({"in_row_line": full.in_row_line + 1}, ErrorCode.BAD_FIELD),
        ({"out_h": 2, "out_row_line": CONFIGURATION.bank_lines}, ErrorCode.OUT_OF_BOUNDS),
        ({"in_plane": 1 << 15, "ci_tiles": 2, "group_cycles": 2}, ErrorCode.OUT_OF_BOUNDS),
    ):
        refused = replace(soonest, **wrong)
        assert said(engine, alone(layer, refused), codes) is code, wrong
        kept = engine.run(alone(layer, free), codes).codes
        np.testing.assert_array_equal(kept, honest)
    assert said(engine, alone(layer, soonest), codes) is ErrorCode.NONE
    assert (engine.run(alone(layer, free), codes).codes != honest).any()  # what the others would have written
