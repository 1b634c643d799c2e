"""The scratchpad in every simulator, for both word sizes and with as many banks as pixels."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "PP": 6, "Banks": 7, "Lines": 16}),
    (Simulator.VERILATOR, {"PI": 16, "PP": 4, "Banks": 5, "Lines": 16}),
    (Simulator.ICARUS, {"PI": 8, "PP": 4, "Banks": 4, "Lines": 16}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_words_are_read_back_and_conflicts_wait(simulator, parameters, seed):
    run_bench(
        "scratchpad",
        bench="bitlathe.rtl_tb.scratchpad.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
