"""Random graphs: reproducible, within budget, alive, and covering what implementations must handle."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import SEEDS, formats, graphs

from bitlathe.hls.compile.limits import SUPPORTED
from bitlathe.model.graph.files.archive import encode_graph
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph, macs, shifts
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d, Node
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.random_inputs import corner_inputs, random_codes, random_inputs
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

MANY = 150


@pytest.fixture(scope="module")
def many() -> list[Graph]:
    return [random_graph(np.random.default_rng(seed)) for seed in range(MANY)]


def convolutions(graph: Graph) -> list[Conv2d]:
    return [node for node in graph.nodes if isinstance(node, Conv2d)]


def is_per_channel(node: Conv2d) -> bool:
    return len(set(node.weight_frac)) > 1


def is_global(graph: Graph, node: Node) -> bool:
    return isinstance(node, AvgPool2d) and graph.shapes[node.source][1:] == node.kernel_size


def has_unaligned_concat(graph: Graph) -> bool:
    concats = [node for node in graph.nodes if isinstance(node, Concat)]
    return any(graph.shapes[name][0] % 8 for node in concats for name in node.operands)


def leaves_12_bits(graph: Graph) -> bool:
    """Whether 32 channels of 4 bits, what an engine may add in a cycle, add up beyond 2,047 on some image."""
    narrow = [
        node
        for node in convolutions(graph)
        if node.weight_bits <= 4 and graph.format_of(node.source).bits <= 4 and node.kernel_size == (1, 1)
    ]
    if not narrow:
        return False
    codes = np.concatenate([random_inputs(np.random.default_rng(0), graph, 8), corner_inputs(graph)])
    tensors = evaluate_all(graph, codes)
    return any(
        np.abs(np.einsum("nchw,oc->nohw", tensors[c.source][:, :32], c.weight[:, :32, 0, 0])).max() > 2047
        for c in narrow
    )


FEATURES: dict[str, Callable[[Graph], bool]] = {
    "1x1": lambda g: any(c.kernel_size == (1, 1) for c in convolutions(g)),
    "3x3": lambda g: any(c.kernel_size == (3, 3) for c in convolutions(g)),
    "5x5": lambda g: any(c.kernel_size == (5, 5) for c in convolutions(g)),
    "kernel not square": lambda g: any(c.kernel_size[0] != c.kernel_size[1] for c in convolutions(g)),
    "strided": lambda g: any(max(c.stride) > 1 for c in convolutions(g)),
    "stride not square": lambda g: any(c.stride[0] != c.stride[1] for c in convolutions(g)),
    "padded": lambda g: any(max(c.padding) > 0 for c in convolutions(g)),
    "padding not same": lambda g: any(
        c.padding != (c.kernel_size[0] // 2, c.kernel_size[1] // 2) for c in convolutions(g)
    ),
    "depthwise": lambda g: any(c.is_depthwise for c in convolutions(g)),
    "residual": lambda g: any(c.residual for c in convolutions(g)),
    "residual per channel": lambda g: any(
        c.residual and len(set(c.weight_frac)) > 1 for c in convolutions(g)
    ),
    "residual of the source": lambda g: any(c.residual == c.source for c in convolutions(g)),
    "frac per channel": lambda g: any(is_per_channel(c) for c in convolutions(g)),
    "narrow weights": lambda g: any(c.weight_bits < 8 for c in convolutions(g)),
    "sums beyond 12 bits": leaves_12_bits,
    "narrow activations": lambda g: any(node.format.bits < 8 for node in g.nodes[1:]),
    "signed activations": lambda g: any(c.format.signed and c.lo < 0 for c in convolutions(g)),
    "ReLU": lambda g: any(c.lo == 0 for c in convolutions(g)),
    "ReLU6": lambda g: any(c.hi < c.format.hi for c in convolutions(g)),
    "no shift": lambda g: any(0 in shifts(g, c) for c in convolutions(g)),
    "dense on a map": lambda g: any(
        isinstance(node, Dense) and g.shapes[node.source][1:] != (1, 1) for node in g.nodes
    ),
    "no dense": lambda g: not any(isinstance(node, Dense) for node in g.nodes),
    "max pool": lambda g: any(isinstance(node, MaxPool2d) for node in g.nodes),
    "padded max pool": lambda g: any(isinstance(n, MaxPool2d) and max(n.padding) > 0 for n in g.nodes),
    "average pool": lambda g: any(isinstance(n, AvgPool2d) and not is_global(g, n) for n in g.nodes),
    "global average of any area": lambda g: any(is_global(g, n) and n.multiplier > 1 for n in g.nodes),
    "unaligned concat": has_unaligned_concat,
    "input not of 8 bits": lambda g: g.input.format.bits != 8,
    "input unsigned": lambda g: not g.input.format.signed,
    "odd map": lambda g: any(size % 2 for size in g.input.shape[1:]),
    "map not square": lambda g: g.input.shape[1] != g.input.shape[2],
    "several readers": lambda g: any(len(g.consumers(node.name)) > 1 for node in g.nodes),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_the_feature_occurs(many: list[Graph], feature: str) -> None:
    assert sum(map(FEATURES[feature], many)) >= MANY // 75


def test_formats_stay_within_8_bits(many: list[Graph]) -> None:
    for graph in many:
        assert max(node.format.bits for node in graph.nodes) <= 8
        assert max((c.weight_bits for c in convolutions(graph)), default=0) <= 8
        assert all(5 <= size <= 20 for size in graph.input.shape[1:])


def test_wide_formats_occur_only_when_asked_for() -> None:
    wide = [random_graph(np.random.default_rng(seed), wide=True) for seed in range(30)]
    assert max(node.format.bits for graph in wide for node in graph.nodes) > 12
    assert max(c.weight_bits for graph in wide for c in convolutions(graph)) > 12


@pytest.mark.parametrize("budget", [500, 5_000, 50_000, 500_000])
def test_convolutions_keep_to_the_budget(budget: int) -> None:
    for seed in range(30):
        graph = random_graph(np.random.default_rng(seed), budget=budget)
        assert sum(macs(graph, node) for node in convolutions(graph)) <= budget


def test_outputs_are_neither_dead_nor_saturated(many: list[Graph]) -> None:
    distinct, ends = [], []
    for seed, graph in enumerate(many):
        codes = evaluate(graph, random_inputs(np.random.default_rng(seed), graph, 8))
        distinct.append(np.unique(codes).size)
        limits = graph.format_of(graph.output)
        ends.append(np.isin(codes, (limits.lo, limits.hi)).mean())
    assert np.mean(np.array(distinct) >= 5) > 0.95
    assert np.median(distinct) >= 20
    assert np.median(ends) < 0.2


def test_inner_tensors_are_neither_dead_nor_saturated(many: list[Graph]) -> None:
    alive: list[bool] = []
    for seed, graph in enumerate(many):
        tensors = evaluate_all(graph, random_inputs(np.random.default_rng(seed), graph, 4))
        for node in graph.nodes:
            alive.append(np.unique(tensors[node.name]).size >= min(5, 2**node.format.bits - 1))
    assert np.mean(alive) > 0.95


@given(seed=SEEDS)
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_graph(seed: int) -> None:
    first, second = (random_graph(np.random.default_rng(seed), budget=10_000) for _ in range(2))
    assert encode_graph(first) == encode_graph(second)


@given(graph=graphs())
@settings(max_examples=20)
def test_a_random_graph_is_proven_and_has_no_idle_nodes(graph: Graph) -> None:
    check(graph)
    for node in graph.nodes:
        assert node.name == graph.output or graph.consumers(node.name) or node is graph.input


@given(limits=formats(), seed=SEEDS)
def test_random_codes_are_codes(limits: FixedPoint, seed: int) -> None:
    codes = random_codes(np.random.default_rng(seed), limits, (3, 2, 4, 5))
    assert limits.lo <= codes.min() <= codes.max() <= limits.hi


def test_random_inputs_reach_both_ends_of_the_range(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    codes = random_inputs(rng, graph, 20)
    assert (codes.min(), codes.max()) == (-128, 127)


def test_corner_inputs_are_the_ends_of_the_range_zero_and_a_chequer(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    lowest, highest, zero, chequer = corner_inputs(graph)
    assert (set(lowest.flat), set(highest.flat), set(zero.flat)) == ({-128}, {127}, {0})
    assert (np.diff(chequer, axis=2) != 0).all()


@pytest.mark.parametrize(("blocks", "million_macs"), [(1, 12.5), (3, 40.8), (9, 125.7)])
def test_a_random_resnet_has_the_published_size(blocks: int, million_macs: float) -> None:
    graph = random_resnet(np.random.default_rng(0), blocks=blocks)
    assert round(sum(macs(graph, node) for node in graph.nodes) / 1e6, 1) == million_macs
    assert graph.shapes[graph.output] == (10, 1, 1)


def test_with_others_every_node_and_any_window_comes_up() -> None:
    graphs = [random_graph(np.random.default_rng(seed), budget=4_000, others=True) for seed in range(MANY)]
    nodes = [node for graph in graphs for node in graph.nodes]
    assert {type(node) for node in nodes} == set(get_args(SUPPORTED))
    windows = [node for node in nodes if isinstance(node, Conv2d | MaxPool2d)]
    assert {max(node.dilation) for node in windows} >= {1, 2, 3}
    assert any(min(node.padding) < 0 for node in windows)
    assert any(node.end_padding not in (None, node.padding) for node in windows)
    assert any(max(node.stride) > 15 for node in windows)
    assert any(1 < node.groups < node.out_channels for node in windows if isinstance(node, Conv2d))
