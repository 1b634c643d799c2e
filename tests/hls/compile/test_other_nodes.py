"""Every node of the integer graph, compiled: tables, products, parts, groups, dilation, crops, selections."""

import numpy as np
from compiled_networks import ROOMY, TINY, are_equal, compiled_for, computed_outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS

from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.rtl_tb.random_networks.graphs import random_graph

FIVE_BANKS = EngineConfiguration(banks=5, pp=4, bank_lines=200, weight_lines=600)


@settings(max_examples=30)
@given(SEEDS, st.sampled_from([*ROOMY, *TINY, FIVE_BANKS]), st.booleans())
def test_random_networks_of_all_nodes_equal_the_reference(seed, configuration, several):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, budget=8_000, others=True, several=several, half_even=seed % 2 == 0)
    codes = np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)])
    try:
        compiled = compiled_for(graph, configuration)
    except CapacityError:
        assert configuration in TINY  # which do not hold every network
        return
    expected = evaluate_outputs(graph, codes)
    assert are_equal(computed_outputs(compiled, codes), expected)
    assert are_equal(computed_outputs(compiled, codes, np.random.default_rng(seed)), expected)
