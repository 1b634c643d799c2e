"""Every node of the integer graph, compiled: tables, products, parts, groups, dilation, crops, selections."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiled_networks import PYNQ, ROOMY, TINY, are_equal, compiled_for, computed_outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import BYTE, conv2d, graph_of
from strategies import SEEDS

from bitlathe.hls.compile import Compiled
from bitlathe.hls.cycles.model import exec_cycles
from bitlathe.hls.program import Encoding, Exec, LoadWeights
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph, Output
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, MaxPool2d, Node, average_multiplier
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)
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


def node_of(kind: type[Node], **fields: Any) -> Node:
    return kind(**{"name": "last", "format": BYTE, "source": "image", **fields})


def execs(compiled: Compiled) -> list[Exec]:
    return [each for each in compiled.program.descriptors if isinstance(each, Exec)]


def steps_of(made: list[Exec]) -> list[str]:
    """The nodes that EXECs work for, in order; strips of one count as one."""
    return list(dict.fromkeys(each.node for each in made))


def holding(graph: Graph, configuration: EngineConfiguration = PYNQ) -> list[Exec]:
    """The EXECs of a graph whose program computes what the reference does."""
    return execs(checked(graph, configuration))


def checked(graph: Graph, configuration: EngineConfiguration = PYNQ) -> Compiled:
    """A graph compiled, after it has computed what the reference does."""
    compiled = compiled_for(graph, configuration)
    rng = np.random.default_rng(0)
    codes = np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)])
    expected = evaluate_outputs(graph, codes)
    assert are_equal(computed_outputs(compiled, codes), expected)
    assert are_equal(computed_outputs(compiled, codes, rng), expected)
    return compiled


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-9, 10, shape).astype(np.int8)


def selection(channels: Sequence[int], of: int, **fields: Any) -> Conv2d:
    """A 1x1 convolution that picks channels."""
    weight = np.zeros((len(channels), of, 1, 1), np.int8)
    weight[np.arange(len(channels)), list(channels)] = 1
    return conv2d(weight, weight_bits=2, weight_frac=(0,) * len(channels), **fields)


def table_of(rng: np.random.Generator, **fields: Any) -> Node:
    return node_of(Lookup, function="silu", codes=tuple(rng.integers(-128, 128, 256).tolist()), **fields)


def test_a_selection_takes_no_exec_where_its_readers_take_any_lanes(rng: np.random.Generator) -> None:
    first = conv2d(weights(rng, 24, 3, 1, 1), name="first")
    picked = selection((20, 3, 11, 17), 24, name="picked", source="first")
    pool = node_of(MaxPool2d, name="pool", source="picked", kernel_size=(2, 2), stride=(2, 2))
    last = conv2d(weights(rng, 8, 4, 3, 3), name="last", source="pool")
    made = holding(graph_of(first, picked, pool, last, shape=(3, 8, 8)))
    assert steps_of(made) == ["first", "pool", "last"]


@pytest.mark.parametrize("channels", [(0, 1, 2), (7, 6, 5, 4, 3, 2, 1, 0), (2, 2, 5), tuple(range(5, 21))])
def test_a_selection_that_is_an_output_or_concatenated_is_copied(
    rng: np.random.Generator, channels: tuple[int, ...]
) -> None:
    first = conv2d(weights(rng, 24, 3, 1, 1), name="first")
    picked = selection(channels, 24, name="picked", source="first")
    joined = Concat(name="last", format=BYTE, operands=("picked", "first"))
    added = conv2d(weights(rng, len(channels), 3, 1, 1), name="added", residual="picked")
    whole = graph_of(first, picked, joined, added, shape=(3, 4, 5))
    outputs = tuple(Output(name=name, tensor=name) for name in ("picked", "last", "added"))
    holding(replace(whole, output=outputs))


@pytest.mark.parametrize(("channels", "half_tiles"), [(58, 4), (116, 8), (20, 2)])
def test_shuffled_halves_are_copied_tile_by_tile_and_read_beside_each_other(
    rng: np.random.Generator, channels: int, half_tiles: int
) -> None:
    nodes: list[Node] = [
        conv2d(weights(rng, channels, 3, 1, 1), name="kept"),
        conv2d(weights(rng, channels, 3, 1, 1), name="made"),
    ]
    order = np.arange(2 * channels).reshape(2, channels).T.ravel()
    for unit in range(2):
        first, second = (tuple(half.tolist()) for half in np.split(order, 2))
        names = f"kept{unit}", f"taken{unit}", f"made{unit}"
        nodes.append(Concat(name=f"join{unit}", format=BYTE, operands=(nodes[-2].name, nodes[-1].name)))
        nodes.append(selection(second, 2 * channels, name=names[1], source=f"join{unit}"))
        nodes.append(selection(first, 2 * channels, name=names[0], source=f"join{unit}"))
        nodes.append(conv2d(weights(rng, channels, channels, 1, 1), name=names[2], source=names[1]))
    last = Concat(name="last", format=BYTE, operands=(nodes[-2].name, nodes[-1].name))
    made = holding(graph_of(*nodes, last, shape=(3, 6, 7)))
    copies = [each for each in made if each.node.startswith(("join", "last"))]
    assert all(each.is_max for each in copies) or channels < 58
    reading = {each.node: each.ci_tiles for each in made if each.node.startswith("made")}
    assert reading["made0"] <= 2 * half_tiles + 1 and reading["made1"] <= 2 * half_tiles + 3


@pytest.mark.parametrize(
    ("channels", "groups", "tiles"),
    [(64, 8, 1), (64, 16, 1), (64, 2, 4), (48, 4, 3), (20, 5, 1), (64, 32, 1)],
)
def test_a_grouped_convolution_reads_the_tiles_of_its_groups(
    rng: np.random.Generator, channels: int, groups: int, tiles: int
) -> None:
    weight = weights(rng, channels, channels // groups, 3, 3)
    conv = conv2d(weight, groups=groups, padding=(1, 1))
    added = replace(conv, name="added", residual="conv")
    shape = (channels, 8, 8)
    dense = holding(graph_of(conv2d(weights(rng, channels, channels, 3, 3), padding=(1, 1)), shape=shape))
    grouped = holding(graph_of(conv, shape=shape))
    holding(graph_of(conv, added, shape=shape))
    assert max(each.ci_tiles for each in grouped) == tiles
    assert sum(map(exec_cycles, grouped)) < sum(map(exec_cycles, dense)) * (tiles + 1) / (channels / 8)


def test_a_depth_multiplier_keeps_its_weights_on_the_diagonal(rng: np.random.Generator) -> None:
    graph = graph_of(conv2d(weights(rng, 48, 1, 3, 3), groups=16), shape=(16, 9, 9))
    compiled = checked(graph)
    assert {each.ci_tiles for each in execs(compiled)} == {1}
    loads = [each for each in compiled.program.descriptors if isinstance(each, LoadWeights)]
    assert {each.encoding for each in loads} == {Encoding.DIAGONAL}


def test_a_table_is_looked_up_by_the_layer_before_it(rng: np.random.Generator) -> None:
    conv = conv2d(weights(rng, 10, 3, 3, 3), name="conv")
    act, twice = table_of(rng, name="act", source="conv"), table_of(rng, name="twice", source="act")
    pool = node_of(MaxPool2d, name="pool", source="twice", kernel_size=(2, 2), stride=(2, 2))
    last = table_of(rng, name="last", source="pool")
    made = holding(graph_of(conv, act, twice, pool, last, shape=(3, 9, 9)))
    assert steps_of(made) == ["conv", "pool"] and all(each.has_table for each in made)
    both = replace(graph_of(conv, act, shape=(3, 9, 9)), output=(Output("a", "conv"), Output("b", "act")))
    assert {(each.node, each.has_table) for each in holding(both)} == {("conv", False), ("act", True)}


@pytest.mark.parametrize("count", [1, 8, 9, 12])
def test_tables_beyond_their_memory_take_turns(rng: np.random.Generator, count: int) -> None:
    nodes: list[Node] = []
    source = "image"
    for number in range(16):
        act = replace(table_of(np.random.default_rng(number % count)), name=f"act{number}", source=source)
        conv = conv2d(weights(rng, 8, 8, 1, 1), name=f"conv{number}", source=act.name)
        source = conv.name
        nodes += [act, conv]
    for weight_lines in (4608, 24):
        configuration = replace(PYNQ, weight_lines=weight_lines)
        compiled = checked(graph_of(*nodes, shape=(8, 3, 3)), configuration)
        loads = [each for each in compiled.program.descriptors if isinstance(each, LoadWeights)]
        tables = [each for each in loads if each.encoding == Encoding.TABLE]
        assert len(tables) == (count if count <= 8 else 16)
        assert all(one.once == (count <= 8) for one in tables)


@pytest.mark.parametrize("bank_lines", [4096, 30])
def test_all_parts_of_a_node_fill_a_strip_before_it_is_stored(
    rng: np.random.Generator, bank_lines: int
) -> None:
    configuration = EngineConfiguration(bank_lines=bank_lines, weight_lines=300)
    first = conv2d(weights(rng, 8, 3, 3, 3), name="first", padding=(1, 1))
    up = node_of(
        ConvTranspose2d,
        name="up",
        source="first",
        weight=weights(rng, 8, 8, 4, 4),
        bias=np.zeros(8, np.int32),
        weight_bits=8,
        weight_frac=(7,) * 8,
        stride=(2, 3),
        padding=(1, 1),
        lo=-128,
        hi=127,
    )
    bigger = node_of(Upsample2d, name="bigger", source="up", factors=(3, 2))
    smooth = node_of(Interpolate2d, name="smooth", source="bigger", factors=(2, 1), align_corners=True)
    intervals = tuple(Interval(first, first + 5, 5) for first in (0, 7, 9, 16))
    last = node_of(IntervalPool2d, source="smooth", is_max=False, rows=intervals, columns=intervals)
    graph = graph_of(first, up, bigger, smooth, last, shape=(3, 4, 4))
    outputs = tuple(Output(name=node.name, tensor=node.name) for node in graph.nodes[1:])
    compiled = checked(replace(graph, output=outputs), configuration)
    assert bool(compiled.scratch_bytes) == (bank_lines == 30)


def test_a_convolution_shuffles_its_pixels_where_that_is_cheap(rng: np.random.Generator) -> None:
    conv = conv2d(weights(rng, 32, 8, 1, 1), name="conv")
    shuffle = node_of(PixelShuffle2d, source="conv", factor=2)
    made = holding(graph_of(conv, shuffle, shape=(8, 5, 6)))
    assert {(each.node, each.out_step) for each in made} == {("conv", 2)}
    narrow = conv2d(weights(rng, 12, 64, 3, 3), name="conv")
    made = holding(graph_of(narrow, shuffle, shape=(64, 9, 8)))
    assert steps_of(made) == ["conv", "last"]


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("channels", [3, 16])
def test_shuffles_undo_each_other_by_copies_of_tiles(factor: int, channels: int) -> None:
    down = node_of(PixelUnshuffle2d, name="down", factor=factor)
    up = node_of(PixelShuffle2d, name="last", source="down", factor=factor)
    made = holding(graph_of(down, up, shape=(channels, 4 * factor, 3 * factor)))
    assert all(each.is_max for each in made) == (channels == 16)


@pytest.mark.parametrize("stride", [(16, 17), (63, 62), (2, 63), (33, 1)])
def test_strides_up_to_63_are_one_step(rng: np.random.Generator, stride: tuple[int, int]) -> None:
    conv = conv2d(weights(rng, 24, 3, 4, 5), stride=stride, padding=(1, 2), bias=np.zeros(24, np.int32))
    made = holding(graph_of(conv, shape=(3, 2 * stride[0] + 4, 2 * stride[1] + 5)))
    assert {each.strides for each in made} == {stride} and min(each.out_w for each in made) > 1


def test_the_widest_map_of_two_banks_takes_the_largest_stride(rng: np.random.Generator) -> None:
    conv = conv2d(weights(rng, 4, 8, 1, 1), stride=(63, 60), bias=np.zeros(4, np.int32))
    narrow = EngineConfiguration(banks=2, pp=2, bank_lines=4096)
    made = holding(graph_of(conv, shape=(8, 127, 2047)), narrow)
    assert {(each.pitch_line, each.pitch_bank, each.out_h) for each in made} == {(1023, 1, 1)}


def test_steps_beyond_their_fields_are_taken_one_by_one(rng: np.random.Generator) -> None:
    conv = conv2d(weights(rng, 24, 3, 3, 3), stride=(64, 65), bias=np.zeros(24, np.int32))
    graph = graph_of(conv, shape=(3, 132, 134))
    made = holding(graph)
    assert len(made) == 3 * 3 and len({each.weight_line for each in made}) == 1  # of the same weights
    skip = conv2d(weights(rng, 24, 3, 1, 1), name="skip", stride=(64, 65))
    added = replace(conv, name="added", residual="skip")
    holding(graph_of(skip, added, shape=(3, 131, 133)))
    holding(graph_of(replace(conv, stride=(2, 65)), shape=(3, 132, 134)))


def test_an_average_of_a_large_window_holds_one_line(rng: np.random.Generator) -> None:
    multiplier, frac = average_multiplier(40 * 40)
    pool = node_of(
        AvgPool2d, kernel_size=(40, 40), stride=(40, 40), multiplier=multiplier, multiplier_frac=frac
    )
    graph = graph_of(pool, shape=(20, 40, 40))
    (made,) = holding(graph, replace(PYNQ, weight_lines=8))
    assert made.hold_weights and made.repeat_weights


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("bank_lines", [4096, 30])
def test_products_of_maps_and_of_vectors_equal_the_reference(
    rng: np.random.Generator, vector: bool, bank_lines: int
) -> None:
    first = conv2d(weights(rng, 20, 3, 3, 3), name="first", padding=(1, 1))
    multiplier, frac = average_multiplier(9 * 8)
    pool = node_of(
        AvgPool2d,
        name="pool",
        source="first",
        kernel_size=(9, 8),
        stride=(9, 8),
        multiplier=multiplier,
        multiplier_frac=frac,
    )
    gate = conv2d(weights(rng, 20, 20, 1, 1), name="gate", source="pool" if vector else "first")
    act = table_of(rng, name="act", source="gate")
    product = node_of(Product, name="product", source="first", factor="act", lo=-128, hi=127)
    square = node_of(Product, name="last", source="product", factor="product", lo=-100, hi=90)
    nodes = (first, pool, gate, act, product, square) if vector else (first, gate, act, product, square)
    made = holding(graph_of(*nodes, shape=(3, 9, 8)), EngineConfiguration(bank_lines=bank_lines))
    assert {each.res_still for each in made if each.node == "product"} == {vector}
    assert all(each.is_product for each in made if each.node in ("product", "last"))


@pytest.mark.parametrize("dilation", [(1, 2), (2, 1), (31, 31), (40, 40)])
@pytest.mark.parametrize("padding", [(0, 0), (3, 2), (-2, -1)])
def test_first_layers_of_any_dilation_and_crop_equal_the_reference(
    rng: np.random.Generator, dilation: tuple[int, int], padding: tuple[int, int]
) -> None:
    size = 2 * max(dilation) + 8
    conv = conv2d(weights(rng, 9, 3, 3, 3), padding=padding, end_padding=(1, -1), dilation=dilation)
    graph = graph_of(conv, shape=(3, size, size))
    if max(dilation) > 31:
        with pytest.raises(CapacityError, match="conv: a dilation of 40x40; the engine's limit is 31"):
            compiled_for(graph, PYNQ)
        same = replace(conv, padding=dilation, end_padding=dilation)
        assert holding(graph_of(same, shape=(3, 30, 30)))[0].kernel_h == 1  # the others meet padding alone
    else:
        holding(graph)


def test_four_bit_selections_are_read_where_they_are_packed(rng: np.random.Generator) -> None:
    four = FixedPoint(bits=4, frac=3)
    small: dict[str, Any] = {"weight_bits": 4, "format": four, "lo": -8, "hi": 7}
    first = conv2d(weights(rng, 40, 3, 1, 1).clip(-7, 7), name="first", **small)
    picked = selection(tuple(range(39, 7, -1)), 40, name="picked", source="first", format=four, lo=-8, hi=7)
    last = conv2d(weights(rng, 8, 32, 3, 3).clip(-7, 7), name="last", source="picked", **small)
    made = holding(graph_of(first, picked, last, shape=(3, 8, 8)))
    assert {(each.node, each.in_packed) for each in made} == {("first", False), ("last", True)}
