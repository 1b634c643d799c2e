"""The read channels in every simulator, for both word sizes."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [(Simulator.VERILATOR, {"PI": 8}), (Simulator.ICARUS, {"PI": 8}), (Simulator.ICARUS, {"PI": 16})]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_every_beat_reaches_whom_asked_for_it(simulator, parameters, seed):
    run_bench(
        "axi_read",
        bench="bitlathe.rtl_tb.axi_read.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
