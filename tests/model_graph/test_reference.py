"""The reference evaluator against an evaluator written plainly from the definition."""

import numpy as np
import pytest
from naive_evaluator import evaluate_naively

from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_graphs import random_graph
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_all

SMALL = 6_000  # MACs an image that the naive evaluator can afford


def assert_equals_naive(graph: Graph, codes: np.ndarray) -> None:
    expected = evaluate_naively(graph, codes)
    found = evaluate_all(graph, codes)
    assert list(found) == [node.name for node in graph.nodes]
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=f"{name} of {graph}")


@pytest.mark.parametrize("seed", range(60))
def test_every_tensor_of_a_random_graph_equals_the_naive_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, budget=SMALL, wide=seed % 4 == 3)
    assert_equals_naive(graph, np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)]))
