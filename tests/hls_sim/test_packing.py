"""The engine's packed 4-bit mode and its fast residuals, on the simulated hardware."""

import numpy as np
import pytest

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.config import TARGETS, EngineConfiguration
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.random_resnet import random_resnet
from bitlathe.model.graph.reference import evaluate

NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=512)


@pytest.mark.parametrize("configuration", [TARGETS["pynq-z2"].engine, NARROW], ids=str)
@pytest.mark.parametrize("stall_percent", [0, 30])
def test_packed_networks_equal_the_reference(
    configuration: EngineConfiguration, stall_percent: int, rng: np.random.Generator
) -> None:
    engine = SimulatedEngine(configuration, SimulatedDdr(stall_percent=stall_percent))
    for inner in (None, (11, 22, 44)):
        graph = random_resnet(rng, blocks=1, inner=inner, bits=4)
        codes = random_inputs(rng, graph, 2)
        result = engine.run(compile_graph(graph, configuration), codes)
        assert np.array_equal(result.codes, evaluate(graph, codes))
        assert not result.counters.broken
