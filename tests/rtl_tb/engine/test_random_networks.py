"""Random networks mean the same everywhere: fake-quantized PyTorch, reference, and the engine's RTL."""

import numpy as np
import pytest
import torch
from compiled_networks import are_equal

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.rtl_tb.random_networks.graphs import random_graph, with_zeros

NETWORKS, CHUNK = 200, 20


@pytest.mark.parametrize("first", range(0, NETWORKS, CHUNK))
def test_random_networks_agree_between_torch_reference_and_hardware(first: int) -> None:
    configuration = TARGETS["pynq-z2"].engine
    engine = SimulatedEngine(configuration, SimulatedDdr(stall_percent=20, seed=first))
    for seed in range(first, first + CHUNK):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, product=seed % 2 == 1, half_even=seed % 3 == 1, several=seed % 4 >= 2)
        graph = with_zeros(rng, graph) if seed % 5 == 0 else graph
        codes = np.concatenate([random_inputs(rng, graph, 2), corner_inputs(graph)])
        wanted = evaluate_outputs(graph, codes)
        with torch.no_grad():
            faked = ExactNetwork(graph).output_codes(codes)
        result = engine.run(compile_graph(graph, configuration), codes)
        assert are_equal(faked, wanted), f"seed {seed}: PyTorch differs from the reference"
        assert are_equal(result.outputs, wanted), f"seed {seed}: the RTL differs from the reference"
        assert not result.counters.broken, f"seed {seed}: {result.counters.broken}"
