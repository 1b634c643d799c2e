"""The engine's packed 4-bit mode, its fast residuals and its largest sums, on the simulated hardware."""

import numpy as np
import pytest
from aligned_networks import aligned_graphs

from bitlathe.hls.compile import compile_graph
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=512)
# 16 input channels a cycle, over fewer pixels than zcu104's: a third of the time to compile.
WIDE = EngineConfiguration(pi=16, po=16, pp=2, banks=7, bank_lines=4096, weight_lines=1024)
WIDER = (
    TARGETS["zcu104"].engine,
    EngineConfiguration(pi=16, po=32, pp=3, banks=5, bank_lines=1024, weight_lines=512),
    EngineConfiguration(pi=16, po=64, pp=2, banks=3, bank_lines=1024, weight_lines=512),
)
ENGINES = [
    TARGETS["pynq-z2"].engine,
    NARROW,
    WIDE,
    *(pytest.param(configuration, marks=pytest.mark.slow) for configuration in WIDER),
]


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


@pytest.mark.parametrize("configuration", ENGINES, ids=lambda configuration: configuration.label)
def test_codes_and_weights_that_all_add_up_equal_the_reference(configuration: EngineConfiguration) -> None:
    engine = SimulatedEngine(configuration, SimulatedDdr())
    wrong = []
    for name, graph in aligned_graphs(configuration).items():
        compiled, codes = compile_graph(graph, configuration), corner_inputs(graph)
        if not np.array_equal(engine.run(compiled, codes).codes, evaluate(graph, codes)):
            wrong.append(name)
    assert wrong == []
