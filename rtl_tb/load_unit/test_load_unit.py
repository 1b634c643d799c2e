"""The load unit in every simulator, for both word sizes."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "PO": 16, "BankLines": 512, "WeightLines": 64}),
    (Simulator.VERILATOR, {"PI": 16, "PO": 16, "Banks": 5, "BankLines": 512, "WeightLines": 64}),
    (Simulator.ICARUS, {"PI": 8, "PO": 8, "BankLines": 300, "WeightLines": 48}),
    (Simulator.ICARUS, {"PI": 16, "PO": 16, "Banks": 5, "BankLines": 512, "WeightLines": 64}),
]


@pytest.mark.parametrize("bench", ["bench", "sparse"])
@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_loads_arrive_where_the_descriptors_say(simulator, parameters, bench, seed):
    run_bench(
        "load_unit",
        bench=f"bitlathe.rtl_tb.load_unit.{bench}",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
