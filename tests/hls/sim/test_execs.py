"""Random EXECs on the simulated engine leave the functional engine's words, in the cycle model's cycles."""

import numpy as np
import pytest
from exec_programs import ExecProgram, exec_program, random_program, random_words

from bitlathe.hls.cycles.model import DdrModel, exec_cycles, predict
from bitlathe.hls.sim import BuildOptions, SimulatedDdr, SimulatedEngine, engine_model
from bitlathe.hls.target.config import TABLE_CODES, EngineConfiguration
from bitlathe.model.graph.arrays import Bytes

# As large as random EXECs need, and of both word sizes; 16 output channels from 8 are two words a pixel.
# The one of 5 banks is test_engine's too.
CONFIGURATIONS = {
    "7 banks": EngineConfiguration(bank_lines=1024, weight_lines=1024),
    "5 banks": EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=512),
    "wide": EngineConfiguration(pi=16, po=16, pp=2, banks=7, bank_lines=1024, weight_lines=1024),
}
CHECKED = BuildOptions(assertions=True, random_init=True)
DRAWS = {
    "any": {},
    "products": {"is_product": 1},
    "vectors": {"res_still": 1},
    "held": {"hold_weights": 1},
    "phases": {"out_step": 3, "has_table": 1},
    "dilated": {"tap_rows": 3, "tap_step": 3},
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def configuration(request: pytest.FixtureRequest) -> EngineConfiguration:
    return CONFIGURATIONS[request.param]


@pytest.fixture(scope="module")
def engine(configuration: EngineConfiguration):
    engine = SimulatedEngine(configuration, SimulatedDdr(), library=engine_model(configuration, CHECKED))
    yield engine
    engine.close()


def left(engine: SimulatedEngine, program: ExecProgram, words: Bytes) -> Bytes:
    return np.asarray(engine.run(program, words).codes)


def first_wrong(engine: SimulatedEngine, program: ExecProgram, words: Bytes) -> object:
    """The first EXEC after which the scratchpad is not what it should be."""
    for count in range(1, len(program.execs) + 1):
        some = program.cut(count)
        if not np.array_equal(left(engine, some, words), some.expected(words)):
            return some.execs[-1]
    return "none of them"


@pytest.mark.parametrize("draw", DRAWS)
def test_execs_one_after_another_leave_the_words_of_the_functional_engine(
    engine: SimulatedEngine, configuration: EngineConfiguration, rng: np.random.Generator, draw: str
) -> None:
    program = random_program(rng, configuration, 12, **DRAWS[draw])
    words = random_words(rng, configuration)
    assert np.array_equal(program.expected(words), program.expected(words, rng))
    result = engine.run(program, words, profile=True)
    assert np.array_equal(result.codes, program.expected(words)), first_wrong(engine, program, words)
    assert result.profile is not None
    for place, one in zip(program.places(), program.execs, strict=True):
        first, last = map(int, result.profile[place])
        waits = int(one.has_residual and not one.res_fast)  # for the cycle that its first word is read in
        assert 0 <= exec_cycles(one) - (last - first) <= waits, one


def test_loads_of_tables_take_the_cycles_of_the_model(
    engine: SimulatedEngine, configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    program = random_program(rng, configuration, 1, has_table=1, table=7)
    one, weights = program.execs[0], program.weights + bytes(7 * TABLE_CODES)
    several = exec_program((one,) * 8, weights, configuration)
    cycles = []
    for each in (program, several):
        taken = engine.run(each, random_words(rng, configuration)).cycles[0]
        assert predict(each.program, DdrModel()).cycles == pytest.approx(taken, rel=0.01)
        cycles.append(taken)
    assert cycles[1] - cycles[0] > 7 * TABLE_CODES // 2
