"""The fetch in every simulator, for both word sizes."""

import pytest

from bitlathe.rtl_tb.fetch.programs import IDENTITY
from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [
    (Simulator.VERILATOR, {"PI": 8, "PO": 16}),
    (Simulator.VERILATOR, {"PI": 16, "PO": 32, "PP": 4, "Banks": 5}),
    (Simulator.ICARUS, {"PI": 8, "PO": 8}),
    (Simulator.ICARUS, {"PI": 16, "PO": 32, "PP": 4, "Banks": 5}),
]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_descriptors_reach_their_units_in_order_and_faults_stop_the_run(simulator, parameters, seed):
    run_bench(
        "fetch",
        bench="bitlathe.rtl_tb.fetch.bench",
        parameters={**parameters, "Identity": IDENTITY},
        simulator=simulator,
        seed=seed,
    )
