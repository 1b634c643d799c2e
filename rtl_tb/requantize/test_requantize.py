"""The requantizer in every simulator; it has no parameters."""

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator


@pytest.mark.parametrize("simulator", list(Simulator))
def test_every_accumulator_becomes_the_references_code(simulator, seed):
    run_bench("requantize", bench="bitlathe.rtl_tb.requantize.bench", simulator=simulator, seed=seed)
