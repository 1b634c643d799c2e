"""The zoo passes capture, quantization and compilation, and the RTL computes its integers."""

from __future__ import annotations

import numpy as np
import pytest
from compiled_networks import are_equal
from zoo_graphs import zoo_graph

from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.bounds import bounds
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, reference_targets
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.zoo import NETWORKS

# Seconds each; GoogLeNet on images of a sixteenth of the size keeps all its layers.
QUICK = (("lenet5", 8), ("lenet5-caffe", 28), ("alexnet", 32), ("mobilenet-28", 28), ("googlenet", 8))
MODEL_ERROR = 0.01  # of the cycle model, relative


@pytest.mark.parametrize(("network", "size"), QUICK)
def test_a_network_of_the_zoo_gives_the_references_integers(network: str, size: int) -> None:
    check(network, size, "pynq-z2")


@pytest.mark.slow
@pytest.mark.parametrize("target", reference_targets())
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_of_the_zoo_gives_the_references_integers(network: str, target: str) -> None:
    check(network, None, target)


def check(network: str, size: int | None, target: str) -> None:
    graph, codes = zoo_graph(network, size)
    board = TARGETS[target]
    compiled = compile_for(graph, board)
    engine = SimulatedEngine(board.engine, SimulatedDdr.of(board))
    result = engine.run(compiled, codes[:1])
    wanted = evaluate_outputs(graph, codes[:1])
    assert all(np.unique(one).size > 2 for one in wanted)  # an output of zeros would prove nothing
    assert are_equal(result.outputs, wanted)
    assert not result.counters.broken
    least = bounds(graph, compiled.program, DdrModel.of(board))
    print(
        f"{network} on {target}: {result.cycles[0]:,} cycles, predicted {compiled.predicted.cycles:,}, "
        f"bounds: array {least.array:,.0f}, DDR {least.ddr:,.0f}"
    )
    assert least.peak <= least.array and least.cycles <= result.cycles[0]
    assert abs(compiled.predicted.cycles / result.cycles[0] - 1) <= MODEL_ERROR
