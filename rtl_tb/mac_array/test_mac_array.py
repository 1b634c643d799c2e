"""The multiplier array in every simulator: both word ratios, odd and even numbers of pixels."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "PO": 8, "PP": 6}),
    (Simulator.VERILATOR, {"PI": 8, "PO": 16, "PP": 3}),
    (Simulator.VERILATOR, {"PI": 16, "PO": 16, "PP": 3}),
    (Simulator.ICARUS, {"PI": 8, "PO": 8, "PP": 2}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_groups_sum_to_their_products(simulator, parameters, seed):
    run_bench(
        "mac_array",
        bench="bitlathe.rtl_tb.mac_array.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
