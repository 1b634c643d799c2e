"""What a network takes, counted against what its arrays and its file say."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from small_graphs import conv2d, graph_of
from strategies import graphs

from bitlathe.model.graph.files.account import Account, macs_by_layer, selects, useful_macs
from bitlathe.model.graph.files.compact import encode_compact
from bitlathe.model.graph.graph import Graph, macs


@given(graph=graphs(product=True))
@settings(max_examples=20, deadline=None)
def test_the_parts_are_the_file(graph: Graph) -> None:
    account = Account.of(graph)
    assert sum(account.parts.values()) == account.file_bytes == len(encode_compact(graph))
    assert account.nonzero <= account.parameters
    assert account.float_bytes == 4 * account.parameters


def test_zeros_shrink_the_file_and_not_the_work() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 128, (16, 32, 3, 3)).astype(np.int8)
    layer = replace(conv2d(weight), weight_frac=(9,) * 16, bias=np.ones(16, dtype=np.int32))
    dense = Account.of(graph_of(layer, shape=(32, 8, 8)))
    halved = Account.of(
        graph_of(replace(layer, weight=weight * (rng.random(weight.shape) < 0.5)), shape=(32, 8, 8))
    )
    assert (dense.parameters, dense.nonzero, dense.macs) == (
        16 * 32 * 9 + 16,
        16 * 32 * 9 + 16,
        16 * 32 * 9 * 36,
    )
    assert (halved.parameters, halved.macs) == (dense.parameters, dense.macs)
    assert halved.nonzero < 0.6 * dense.nonzero
    assert halved.file_bytes < 0.75 * dense.file_bytes


def test_a_layer_that_only_selects_is_free() -> None:
    weight = np.eye(4, dtype=np.int8).reshape(4, 4, 1, 1)
    graph = graph_of(replace(conv2d(weight), weight_frac=(0,) * 4), shape=(4, 5, 5))
    node = graph.nodes[1]
    assert selects(node)
    assert (useful_macs(graph, node), macs(graph, node)) == (0, 16 * 25)
    assert Account.of(graph).parameters == 0


def test_layers_that_the_output_does_not_need_are_in_the_file_and_no_part_of_the_work() -> None:
    layers = [conv2d(np.ones((4, 4, 1, 1), np.int8), name=name) for name in ("kept", "unread")]
    graph = replace(graph_of(*layers, shape=(4, 5, 5)), output="kept")
    account = Account.of(graph)
    assert account.macs == 16 * 25 and account.parameters == 2 * (16 + 4)
    assert macs_by_layer(graph) == {"image": 0, "kept": 16 * 25}
