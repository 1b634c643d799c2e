"""The reference evaluator against an evaluator written plainly from the definition."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from naive_evaluator import evaluate_naively
from small_graphs import BYTE, conv2d, graph_of
from strategies import graphs_with_inputs, tensors

from bitlathe.model.graph import reference
from bitlathe.model.graph.bounds import code_ranges, product_range
from bitlathe.model.graph.convolution import FLOAT32_EXACT, FLOAT64_EXACT
from bitlathe.model.graph.errors import FormatError, OverflowRisk, ShapeError
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, MaxPool2d, average_multiplier
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.rtl_tb.random_networks.graphs import random_graph

SMALL = 6_000  # MACs an image that the naive evaluator can afford
WORD = FixedPoint(bits=16, frac=7, signed=False)
ONE = np.ones((1, 1, 1, 1), dtype=np.int8)


def assert_equals_naive(graph: Graph, codes: IntArray) -> None:
    expected = evaluate_naively(graph, codes)
    found = evaluate_all(graph, codes)
    assert list(found) == [node.name for node in graph.nodes]
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=f"{name} of {graph}")


@pytest.mark.parametrize("seed", range(60))
def test_every_tensor_of_a_random_graph_equals_the_naive_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, budget=SMALL, wide=seed % 4 == 3, half_even=seed % 2 == 0)
    assert_equals_naive(graph, np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)]))


@given(codes=tensors(BYTE, (2, 3, 7, 6)))
@settings(max_examples=20)
def test_a_convolution_with_everything_set_equals_the_naive_evaluation(codes: IntArray) -> None:
    rng = np.random.default_rng(0)
    node = conv2d(
        rng.integers(-127, 128, (3, 3, 3, 5)).astype(np.int8),
        bias=rng.integers(-(2**20), 2**20, 3).astype(np.int32),
        weight_frac=(5, 7, 12),
        format=FixedPoint(bits=7, frac=2),
        padding=(1, 2),
        residual="image",
        lo=-50,
        hi=60,
    )
    assert_equals_naive(graph_of(node, shape=(3, 7, 6)), codes)


@given(codes=tensors(BYTE, (2, 3, 7, 6)))
@settings(max_examples=20)
def test_windowed_and_global_average_pools_equal_the_naive_evaluation(codes: IntArray) -> None:
    for kernel, stride, padding in (((3, 2), (2, 2), (1, 0)), ((7, 6), (7, 6), (0, 0))):
        multiplier, frac = average_multiplier(kernel[0] * kernel[1])
        node = AvgPool2d(
            name="pool",
            format=BYTE,
            source="image",
            kernel_size=kernel,
            stride=stride,
            padding=padding,
            multiplier=multiplier,
            multiplier_frac=frac,
        )
        assert_equals_naive(graph_of(node, shape=(3, 7, 6)), codes)


def test_padding_never_wins_a_max_pool() -> None:
    node = MaxPool2d(
        name="pool", format=BYTE, source="image", kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)
    )
    codes = np.full((1, 1, 5, 5), BYTE.lo)
    assert (evaluate(graph_of(node, shape=(1, 5, 5)), codes) == BYTE.lo).all()


@pytest.mark.parametrize(
    ("weight", "weight_bits", "image", "least"),
    [(127, 8, BYTE, 0), (127, 8, WORD, FLOAT32_EXACT), (32767, 16, WORD, 2**31)],
    ids=["float32", "float64", "int64 sums"],
)
def test_sums_are_exact_in_each_number_type(
    weight: int, weight_bits: int, image: FixedPoint, least: int
) -> None:
    node = conv2d(
        np.full((1, 3, 1, 1), weight, dtype=np.int16),
        weight_bits=weight_bits,
        weight_frac=(24,),
        format=FixedPoint(bits=16, frac=0),
        lo=-(2**15),
        hi=2**15 - 1,
    )
    graph = graph_of(node, shape=(3, 1, 1), image=image)
    assert product_range(node.weight, code_ranges(graph)["image"]).max_abs >= least
    odd = np.array([image.hi, image.hi - 1, 1]).reshape(1, 3, 1, 1)
    assert_equals_naive(graph, np.concatenate([odd, corner_inputs(graph)]))


def test_an_odd_sum_beyond_float32_is_exact() -> None:
    """2**24 + 1 is the smallest integer that float32 lacks."""
    node = conv2d(
        np.array([257, 1], dtype=np.int16).reshape(1, 2, 1, 1),
        bias=np.array([-(2**24)]),
        weight_bits=16,
        weight_frac=(0,),
    )
    assert 257 * 65281 == 2**24 + 1
    codes = np.array([65281, 0]).reshape(1, 2, 1, 1)
    assert evaluate(graph_of(node, shape=(2, 1, 1), image=WORD), codes).item() == 1


def test_a_sum_beyond_float64_is_refused() -> None:
    taps = 2 * FLOAT64_EXACT // (32767 * 65535)
    node = conv2d(np.full((1, 1, 1, taps), 32767, np.int16), weight_bits=16)
    with pytest.raises(OverflowRisk, match=r"^conv: an accumulator may reach \d+; narrow weights, "):
        evaluate(graph_of(node, shape=(1, 1, taps), image=WORD), np.zeros((1, 1, 1, taps), np.int32))


@given(graph_and_codes=graphs_with_inputs(count=7))
@settings(max_examples=20)
def test_neither_chunks_nor_the_other_images_change_an_image_s_codes(
    graph_and_codes: tuple[Graph, IntArray],
) -> None:
    graph, codes = graph_and_codes
    one_by_one = np.concatenate([evaluate(graph, codes[i : i + 1]) for i in range(len(codes))])
    np.testing.assert_array_equal(evaluate(graph, codes), one_by_one)


@pytest.mark.parametrize("chunk", [1, 4, 5, 11, 12])
def test_several_chunks_make_one_result(
    chunk: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    graph = random_graph(rng, budget=SMALL)
    codes = random_inputs(rng, graph, 11)
    expected = [evaluate(graph, codes[i : i + 1]) for i in range(len(codes))]
    largest = max(reference._window_elements(graph, node) for node in graph.nodes)
    monkeypatch.setattr(reference, "CHUNK_BYTES", 4 * largest * chunk)
    np.testing.assert_array_equal(evaluate(graph, codes), np.concatenate(expected))
    np.testing.assert_array_equal(evaluate_all(graph, codes)[graph.output], np.concatenate(expected))


@given(graph_and_codes=graphs_with_inputs(count=3))
@settings(max_examples=10)
def test_only_the_output_is_what_all_tensors_have_for_it(graph_and_codes: tuple[Graph, IntArray]) -> None:
    graph, codes = graph_and_codes
    everything = evaluate_all(graph, codes)
    np.testing.assert_array_equal(evaluate(graph, codes), everything[graph.output])
    assert {name: tensor.shape[1:] for name, tensor in everything.items()} == dict(graph.shapes)
    assert {tensor.dtype for tensor in everything.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_any_integer_type_and_memory_order_of_the_input_gives_the_same_codes(
    dtype: type[np.integer], rng: np.random.Generator
) -> None:
    graph = graph_of(conv2d(np.ones((2, 3, 3, 3), np.int8)), shape=(3, 5, 5))
    codes = random_inputs(rng, graph, 3)
    other = np.asfortranarray(codes.astype(dtype))
    np.testing.assert_array_equal(evaluate(graph, other), evaluate(graph, codes))


def test_no_images_give_no_codes() -> None:
    graph = graph_of(conv2d(ONE), shape=(1, 4, 4))
    assert evaluate(graph, np.zeros((0, 1, 4, 4), np.int8)).shape == (0, 1, 4, 4)


def test_evaluation_leaves_the_input_alone(rng: np.random.Generator) -> None:
    node = conv2d(ONE, residual="image")
    graph = graph_of(node, shape=(1, 4, 4))
    codes = random_inputs(rng, graph, 2)
    before = codes.copy()
    evaluate_all(graph, codes)
    np.testing.assert_array_equal(codes, before)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 1, 4, 5), (2, 4, 4, 1)])
def test_input_codes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = f"small: input codes have shape {shape}; they must be (N, C, H, W) with (C, H, W) = (1, 4, 4)"
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        evaluate(graph_of(conv2d(ONE), shape=(1, 4, 4)), np.zeros(shape, np.int8))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((1, 1, 1, 1)), "small: input codes are float64, not integers; convert them exactly"),
        (
            np.full((1, 1, 1, 1), 128),
            "small: input codes span [128, 128], beyond [-128, 127]; clip them",
        ),
        (
            np.full((1, 1, 1, 1), -129),
            "small: input codes span [-129, -129], beyond [-128, 127]; clip them",
        ),
    ],
)
def test_input_codes_that_are_no_codes_are_refused(codes: IntArray, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        evaluate(graph_of(conv2d(ONE)), codes)
    assert str(caught.value) == message
