"""The control registers in every simulator."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator


@pytest.mark.parametrize("simulator", Simulator)
def test_registers_behave_as_the_table_says(simulator, seed):
    run_bench(
        "axil_regs",
        bench="bitlathe.rtl_tb.axil_regs.bench",
        parameters={"Identity": 0x8BADF00D},
        simulator=simulator,
        seed=seed,
    )
