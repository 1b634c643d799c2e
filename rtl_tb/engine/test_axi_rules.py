"""The bus rules that watch the engine are themselves tried in every simulator."""

from pathlib import Path

import pytest

from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.simulators import Simulator


@pytest.mark.parametrize("simulator", list(Simulator))
def test_every_broken_rule_is_noted(simulator, seed):
    run_bench(
        "axi_rules",
        bench="bitlathe.rtl_tb.engine.rules_bench",
        sources=[Path(__file__).with_name("axi_rules.sv")],
        simulator=simulator,
        seed=seed,
    )
