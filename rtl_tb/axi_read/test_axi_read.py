"""The read channels in every simulator, for both word sizes."""

import pytest

from bitlathe.hls.target.config import INPUT_CHANNELS
from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [(simulator, {"PI": pi}) for simulator in Simulator for pi in INPUT_CHANNELS]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_every_beat_reaches_whom_asked_for_it(simulator, parameters, seed):
    run_bench(
        "axi_read",
        bench="bitlathe.rtl_tb.axi_read.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
