"""Pools that take each strip as it is made, where the map does not stay in the scratchpad."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiled_networks import are_equal, compiled_for, computed_outputs
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.hls.compile import Compiled
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.program import Exec, LoadMove, Space, StoreMove
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.graph import Output
from bitlathe.model.graph.nodes import AvgPool2d, MaxPool2d, Node
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs

SMALL = EngineConfiguration(bank_lines=140)
SHAPE = (3, 19, 18)


def made(*others: Node, output: Any = "pool", engine: EngineConfiguration = SMALL) -> Compiled:
    """A convolution and what follows, compiled and found to compute what the reference does."""
    rng = np.random.default_rng(5)
    first = conv2d(rng.integers(-9, 10, (24, 3, 3, 3)).astype(np.int8), name="first", padding=(1, 1))
    graph = replace(graph_of(first, *others, shape=SHAPE), output=output)
    compiled = compiled_for(graph, engine)
    codes = np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)])
    for order in (None, rng):
        assert are_equal(computed_outputs(compiled, codes, order), evaluate_outputs(graph, codes))
    return compiled


def pool(kernel: int = 2, stride: int = 2, **fields: Any) -> MaxPool2d:
    sizes: dict[str, Any] = {"kernel_size": (kernel, kernel), "stride": (stride, stride)}
    return MaxPool2d(**{"name": "pool", "format": BYTE, "source": "first"} | sizes | fields)


def moved(compiled: Compiled) -> list[str]:
    """Nodes whose maps go to or come from scratch space."""
    moves = (each for each in compiled.program.descriptors if isinstance(each, LoadMove | StoreMove))
    return [each.node for each in moves if each.space == Space.SCRATCH]


def turns(compiled: Compiled) -> Sequence[str]:
    return [each.node for each in compiled.program.descriptors if isinstance(each, Exec)]


@pytest.mark.parametrize(
    "behind",
    [
        pool(),  # the last row is read by no window
        pool(end_padding=(1, 0)),
        pool(stride=3),
        pool(kernel=1),
        AvgPool2d(
            name="pool",
            format=BYTE,
            source="first",
            kernel_size=(2, 2),
            stride=(2, 2),
            multiplier=64,
            multiplier_frac=8,
        ),
    ],
)
def test_a_pool_reads_strips_where_they_were_made(behind: Node) -> None:
    compiled = made(behind)
    assert moved(compiled) == []
    order = turns(compiled)
    assert order[:4] == ["first", "pool", "first", "pool"]


def test_a_map_that_others_read_is_stored_and_not_loaded_for_its_pool() -> None:
    rng = np.random.default_rng(6)
    deep = conv2d(rng.integers(-9, 10, (8, 24, 3, 3)).astype(np.int8), name="deep", source="first")
    compiled = made(pool(), deep, output=(Output("pool", "pool"), Output("deep", "deep")))
    assert {"first", "deep"} == set(moved(compiled)) and turns(compiled)[:2] == ["first", "pool"]


def test_windows_that_share_rows_wait_for_the_map() -> None:
    compiled = made(pool(kernel=3, end_padding=(1, 1)))
    assert "pool" in moved(compiled)


def test_a_map_that_stays_is_made_before_its_pool() -> None:
    compiled = made(pool(), engine=EngineConfiguration())
    order = turns(compiled)
    assert order.index("pool") == order.count("first") and moved(compiled) == []


def test_strips_that_never_leave_save_their_way_through_memory() -> None:
    apart, slow = made(pool(kernel=3, end_padding=(1, 1))), DdrModel(busy=0.2)
    assert predict(made(pool()).program, slow).cycles < 0.8 * predict(apart.program, slow).cycles
