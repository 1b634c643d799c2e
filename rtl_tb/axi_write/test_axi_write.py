"""The write channels in every simulator, for both word sizes."""

import pytest

from bitlathe.hls.target.config import INPUT_CHANNELS
from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator

CASES = [(simulator, {"PI": pi}) for simulator in Simulator for pi in INPUT_CHANNELS]


@pytest.mark.parametrize(("simulator", "parameters"), CASES)
def test_every_word_is_written_once(simulator, parameters, seed):
    run_bench(
        "axi_write",
        bench="bitlathe.rtl_tb.axi_write.bench",
        parameters=parameters,
        simulator=simulator,
        seed=seed,
    )
