"""Hypothesis strategies for formats, tensors and graphs."""

from collections.abc import Sequence

import numpy as np
from compiled_networks import compiled_for
from hypothesis import strategies as st

from bitlathe.hls.compile import Compiled
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.fixed_point import MAX_BITS, MAX_FRAC, MIN_BITS, FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.rtl_tb.random_networks.graphs import random_graph

SEEDS = st.integers(0, 2**32 - 1)


def formats(*, max_bits: int = MAX_BITS) -> st.SearchStrategy[FixedPoint]:
    """Any fixed-point format."""
    return st.builds(
        FixedPoint,
        bits=st.integers(MIN_BITS, max_bits),
        frac=st.integers(-MAX_FRAC, MAX_FRAC),
        signed=st.booleans(),
    )


@st.composite
def tensors(draw: st.DrawFn, limits: FixedPoint, shape: tuple[int, ...]) -> IntArray:
    """Codes of a format, int32: uniform, or all at one end of the range, or zero."""
    rng = np.random.default_rng(draw(SEEDS))
    noise = rng.integers(limits.lo, limits.hi, shape, dtype=np.int32, endpoint=True)
    ends = [np.full(shape, code, dtype=np.int32) for code in (limits.lo, limits.hi, 0)]
    return draw(st.sampled_from([noise, *ends]))


@st.composite
def graphs(draw: st.DrawFn, *, budget: int = 20_000, **kinds: bool) -> Graph:
    """Networks of `random_graph`, of its `kinds`."""
    return random_graph(np.random.default_rng(draw(SEEDS)), budget=budget, **kinds)


@st.composite
def graphs_with_inputs(
    draw: st.DrawFn, *, budget: int = 20_000, count: int = 2, **kinds: bool
) -> tuple[Graph, IntArray]:
    """Networks, each with `count` random inputs and the corners of its input's range; some round to even."""
    rng, half_even = np.random.default_rng(draw(SEEDS)), draw(st.booleans())
    graph = random_graph(rng, budget=budget, half_even=half_even, **kinds)
    return graph, np.concatenate([random_inputs(rng, graph, count), corner_inputs(graph)])


@st.composite
def held_networks(
    draw: st.DrawFn, configurations: Sequence[EngineConfiguration]
) -> tuple[Graph, IntArray, Compiled]:
    """Networks that an engine of few lines can hold, each with two random inputs, compiled for it.

    An engine that holds none of twenty fails the test: two of five are refused where lines are fewest.
    """
    configuration, rng = draw(st.sampled_from(configurations)), np.random.default_rng(draw(SEEDS))
    for _ in range(20):
        graph = random_graph(rng, budget=20_000)
        try:
            return graph, random_inputs(rng, graph, 2), compiled_for(graph, configuration)
        except CapacityError:
            continue
    raise AssertionError(f"{configuration} holds none of twenty networks")
