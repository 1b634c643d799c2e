"""The store unit in every simulator, for both word sizes."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "BankLines": 512}),
    (Simulator.VERILATOR, {"PI": 16, "Banks": 5, "BankLines": 512}),
    (Simulator.ICARUS, {"PI": 8, "BankLines": 300}),
    (Simulator.ICARUS, {"PI": 16, "Banks": 5, "BankLines": 512}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_stores_bring_every_word_to_memory(simulator, parameters, seed):
    run_bench(
        "store_unit",
        bench="bitlathe.rtl_tb.store_unit.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
