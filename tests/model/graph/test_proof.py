"""The overflow proof: sound, tight, and refusing with the whole message."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_evaluator import accumulator, as_image, evaluate_naively
from small_graphs import BYTE, conv2d, graph_of
from strategies import SEEDS, formats, graphs_with_inputs

from bitlathe.model.graph.bounds import code_ranges
from bitlathe.model.graph.elementwise import Lookup
from bitlathe.model.graph.errors import OverflowRisk
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray, rounding_constant
from bitlathe.model.graph.graph import Graph, shifts
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d
from bitlathe.model.graph.proof import Bound, check, prove
from bitlathe.model.graph.reference import evaluate_all

WORD = FixedPoint(bits=16, frac=7, signed=False)
WIDE_OUTPUT = {"format": FixedPoint(bits=16, frac=7), "lo": -(2**15), "hi": 2**15 - 1}


def extreme_codes(weight: IntArray, image: FixedPoint) -> IntArray:
    """Input codes (2, C, H, W) that make the sum of one output channel smallest and largest."""
    lowest = np.where(weight > 0, image.lo, image.hi)
    highest = np.where(weight > 0, image.hi, image.lo)
    return np.stack([lowest, highest])


@given(seed=SEEDS, image=formats(max_bits=8), bias=st.integers(-(2**20), 2**20))
def test_the_worst_input_attains_the_bound(seed: int, image: FixedPoint, bias: int) -> None:
    weight = np.random.default_rng(seed).integers(-127, 128, (1, 3, 2, 3)).astype(np.int8)
    node = conv2d(weight, bias=np.array([bias]), format=FixedPoint(bits=8, frac=image.frac))
    graph = graph_of(node, shape=(3, 2, 3), image=image)
    lowest, highest = (
        accumulator(graph, node, [as_image(codes)], (0, 0, 0)) for codes in extreme_codes(weight[0], image)
    )
    (bound,) = prove(graph)
    assert (bound.lowest, bound.highest) == (lowest - max(bias, 0), highest - min(bias, 0) + 2**6)


def sums_of(graph: Graph, node: Conv2d, tensors: dict[str, IntArray]) -> IntArray:
    """Accumulators (images, out_channels, positions) of a node, by the naive evaluator."""
    images = range(len(tensors[node.source]))
    shape = graph.shapes[node.name]
    found = [
        accumulator(graph, node, [as_image(tensors[name][image]) for name in node.sources], position)
        for image in images
        for position in np.ndindex(*shape)
    ]
    return np.array(found).reshape(len(images), shape[0], -1)


@given(graph_and_codes=graphs_with_inputs(budget=2_000, count=1))
@settings(max_examples=15)
def test_no_accumulator_of_a_random_graph_leaves_its_bound(graph_and_codes: tuple[Graph, IntArray]) -> None:
    graph, codes = graph_and_codes
    bounds = {(bound.layer, bound.channel): bound for bound in prove(graph)}
    tensors = evaluate_all(graph, codes[-4:])
    for node in graph.nodes:
        if not isinstance(node, Conv2d):
            continue
        sums, half = sums_of(graph, node, tensors), rounding_constant(np.array(shifts(graph, node)))
        for channel in range(node.out_channels):
            bound = bounds[node.name, channel]
            assert bound.lowest <= sums[:, channel].min()
            assert sums[:, channel].max() + half[channel] <= bound.highest


@given(graph_and_codes=graphs_with_inputs(budget=20_000))
@settings(max_examples=20)
def test_no_code_of_a_random_graph_leaves_its_range(graph_and_codes: tuple[Graph, IntArray]) -> None:
    graph, codes = graph_and_codes
    ranges = code_ranges(graph)
    for name, tensor in evaluate_all(graph, codes).items():
        assert ranges[name].lo <= tensor.min() <= tensor.max() <= ranges[name].hi


def full(channels: int, last: int) -> IntArray:
    """Weights (2, channels, 1, 1): zeros, then the largest of 16 bits up to the `last`."""
    weight = np.zeros((2, channels, 1, 1), dtype=np.int16)
    weight[1] = 32767
    weight[1, -1] = last
    return weight


def test_a_graph_that_would_overflow_is_refused_by_layer_channel_and_bound() -> None:
    node = conv2d(full(2, 32767), weight_bits=16, weight_frac=(7, 7), **WIDE_OUTPUT)
    graph = graph_of(node, shape=(2, 1, 1), image=WORD)
    with pytest.raises(OverflowRisk) as caught:
        check(graph)
    assert str(caught.value) == (
        "conv: the accumulator of channel 1 may reach 4294770754, int32 has 2147483647; "
        "use fewer bits for weights or activations, or a smaller residual shift"
    )


def test_what_is_refused_does_overflow() -> None:
    node = conv2d(full(2, 32767), weight_bits=16, weight_frac=(7, 7), **WIDE_OUTPUT)
    graph = graph_of(node, shape=(2, 1, 1), image=WORD)
    worst = np.full((2, 1, 1), WORD.hi)
    assert accumulator(graph, node, [as_image(worst)], (1, 0, 0)) >= 2**31
    assert evaluate_naively(graph, worst[None])["conv"].max() == 2**15 - 1


def test_the_last_accumulator_of_int32_is_accepted_and_the_next_refused() -> None:
    def graph_with(bias: int) -> Graph:
        node = conv2d(full(1, 32767)[1:], weight_bits=16, bias=np.array([bias]), **WIDE_OUTPUT)
        return graph_of(node, image=WORD)

    spare = 2**31 - 1 - 32767 * 65535 - 2**6
    (bound,) = prove(graph_with(spare))
    assert bound.highest == 2**31 - 1
    assert bound.bits == 32
    with pytest.raises(OverflowRisk, match="channel 0 may reach 2147483648,"):
        check(graph_with(spare + 1))


def test_the_clamp_of_the_source_tightens_the_bound() -> None:
    clamped = conv2d(np.ones((1, 1, 1, 1), np.int8), name="clamped", lo=0, hi=3)
    node = conv2d(np.full((1, 1, 1, 1), -100, np.int8), source="clamped", bias=np.array([5]))
    bounds = {bound.layer: bound for bound in prove(graph_of(clamped, node))}
    assert bounds["conv"] == Bound(layer="conv", channel=0, lowest=-300, highest=5 + 2**6)


def test_zero_padding_widens_the_bound_of_codes_that_are_never_zero() -> None:
    far = conv2d(np.ones((1, 1, 1, 1), np.int8), name="far", lo=5, hi=9)
    node = conv2d(np.full((1, 1, 3, 3), -1, np.int8), source="far", padding=(3, 3))
    graph = graph_of(far, node, shape=(1, 4, 4))
    assert prove(graph)[1] == Bound(layer="conv", channel=0, lowest=-9 * 9, highest=2**6)
    corner = accumulator(graph, node, [as_image(np.full((1, 4, 4), 5))], (0, 0, 0))
    assert corner == 0


def test_a_residual_counts_with_its_shift() -> None:
    node = conv2d(np.zeros((1, 1, 1, 1), np.int8), residual="image", weight_frac=(20,))
    assert prove(graph_of(node)) == (
        Bound(layer="conv", channel=0, lowest=-128 << 20, highest=(127 << 20) + 2**19),
    )
    with pytest.raises(OverflowRisk, match="channel 0 may reach 2147483648,"):
        check(graph_of(conv2d(np.zeros((1, 1, 1, 1), np.int8), residual="image", weight_frac=(24,))))


def test_pools_and_concatenations_pass_ranges_on() -> None:
    relu = conv2d(np.ones((1, 1, 1, 1), np.int8), name="relu", lo=0, hi=9)
    pool = MaxPool2d(
        name="pool", format=BYTE, source="relu", kernel_size=(2, 2), stride=(1, 1), padding=(1, 1)
    )
    shifted = conv2d(np.ones((1, 1, 2, 2), np.int8), name="shifted", lo=-5, hi=4, padding=(1, 1))
    both = Concat(name="both", format=BYTE, operands=("pool", "shifted"))
    ranges = code_ranges(graph_of(relu, pool, shifted, both, shape=(1, 4, 4)))
    assert (ranges["pool"].lo, ranges["pool"].hi) == (0, 9)
    assert (ranges["both"].lo, ranges["both"].hi) == (-5, 9)


def test_a_table_passes_on_the_codes_that_its_source_reaches() -> None:
    relu = conv2d(np.ones((1, 1, 1, 1), np.int8), name="relu", lo=-3, hi=5)
    table = {"format": BYTE, "source": "relu", "function": "any"}
    rising = Lookup(name="rising", **table, codes=tuple(range(-128, 128)))
    falling = Lookup(name="falling", **table, codes=tuple(range(127, -129, -1)))
    ranges = code_ranges(graph_of(relu, rising, falling))
    assert (ranges["rising"].lo, ranges["rising"].hi) == (-3, 5)
    assert (ranges["falling"].lo, ranges["falling"].hi) == (-6, 2)


def test_every_channel_of_every_weighted_layer_has_a_bound() -> None:
    conv = conv2d(np.ones((3, 1, 1, 1), np.int8))
    pool = AvgPool2d(
        name="pool",
        format=BYTE,
        source="conv",
        kernel_size=(2, 2),
        stride=(2, 2),
        multiplier=1,
        multiplier_frac=2,
    )
    dense = Dense(
        name="dense",
        format=BYTE,
        source="pool",
        weight=np.ones((2, 3), np.int8),
        bias=np.zeros(2, np.int32),
        weight_bits=8,
        weight_frac=(7, 7),
        lo=-128,
        hi=127,
    )
    bounds = prove(graph_of(conv, pool, dense, shape=(1, 2, 2)))
    assert [(bound.layer, bound.channel) for bound in bounds] == [
        *(("conv", channel) for channel in range(3)),
        *(("pool", channel) for channel in range(3)),
        *(("dense", channel) for channel in range(2)),
    ]
