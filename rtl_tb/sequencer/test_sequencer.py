"""The sequencer in every simulator, from as many banks as pixels to one or two more."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PP": 6, "Banks": 7}),
    (Simulator.VERILATOR, {"PP": 3, "Banks": 3}),
    (Simulator.ICARUS, {"PP": 4, "Banks": 5}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_the_walk_follows_the_descriptor(simulator, parameters, seed):
    run_bench(
        "sequencer",
        bench="bitlathe.rtl_tb.sequencer.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
