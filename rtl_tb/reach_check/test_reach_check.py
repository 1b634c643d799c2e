"""The checks of an EXEC in every simulator, from small stores to the largest."""

from pathlib import Path

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "PO": 8, "PP": 6, "Banks": 7, "BankLines": 4096, "WeightLines": 4608}),
    (
        Simulator.VERILATOR,
        {"PI": 8, "PO": 24, "PP": 3, "Banks": 15, "BankLines": 32000, "WeightLines": 65000},
    ),
    (
        Simulator.VERILATOR,
        {"PI": 8, "PO": 8, "PP": 6, "Banks": 15, "BankLines": 32768, "WeightLines": 65536},
    ),
    (Simulator.VERILATOR, {"PI": 16, "PO": 32, "PP": 2, "Banks": 2, "BankLines": 1024, "WeightLines": 1024}),
    (Simulator.ICARUS, {"PI": 8, "PO": 16, "PP": 4, "Banks": 5, "BankLines": 1500, "WeightLines": 1100}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_an_exec_that_leaves_a_store_is_refused_and_no_other_is(simulator, parameters, seed):
    run_bench(
        "exec_checks",
        bench="bitlathe.rtl_tb.reach_check.bench",
        sources=[Path(__file__).with_name("exec_checks.sv")],
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
