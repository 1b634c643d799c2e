"""The compiled evaluator gives the reference's integers, and leaves to the reference what it cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled_kernels import mismatches
from halves import network_of_halves
from hypothesis import given, settings
from naive_evaluator import evaluate_naively
from small_graphs import conv2d, graph_of
from strategies import graphs_with_inputs

from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Concat, Dense, MaxPool2d
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.model.native.evaluator import CompiledGraph, compiled, evaluator, is_compilable
from bitlathe.model.native.library import fastest_kernels, kernels
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.rtl_tb.random_networks.resnet import random_resnet


@given(graphs_with_inputs(count=9))
@settings(max_examples=60)
def test_a_random_network_gives_the_references_integers(case: tuple[Graph, IntArray]) -> None:
    graph, codes = case
    assert is_compilable(graph)
    assert mismatches(graph, codes) == 0


@given(graphs_with_inputs(count=4, others=True))
@settings(max_examples=60)
def test_a_random_network_of_every_node_gives_the_references_integers(case: tuple[Graph, IntArray]) -> None:
    graph, codes = case
    assert is_compilable(graph)
    assert mismatches(graph, codes) == 0


@given(graphs_with_inputs(wide=True, product=True))
@settings(max_examples=60)
def test_codes_of_any_width_and_codebooks_give_the_references_integers(case: tuple[Graph, IntArray]) -> None:
    graph, codes = case
    assert np.array_equal(evaluator(graph)(codes)[0], evaluate(graph, codes))


@pytest.mark.parametrize("seed", range(5))
def test_halves_round_to_even_where_the_layer_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = network_of_halves(rng)
    codes = np.concatenate([random_inputs(rng, graph, 9), corner_inputs(graph)])
    naive = evaluate_naively(graph, codes)
    assert all(np.array_equal(made, naive[name]) for name, made in evaluate_all(graph, codes).items())
    assert np.array_equal(ExactNetwork(graph).codes(codes), naive[graph.output])
    assert mismatches(graph, codes) == 0


@pytest.mark.parametrize(("images", "threads"), [(1, 4), (7, 2), (8, 1), (17, 3)])
def test_the_number_of_images_and_threads_changes_nothing(
    rng: np.random.Generator, images: int, threads: int
) -> None:
    graph = random_resnet(rng, blocks=1)
    assert mismatches(graph, random_inputs(rng, graph, images), threads) == 0


def test_no_image_gives_no_codes(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    none = random_inputs(rng, graph, 0)
    assert CompiledGraph(graph).evaluate(none).shape == evaluate(graph, none).shape


@pytest.mark.parametrize("channels", [1, 2, 3, 15, 16, 17, 33])
@pytest.mark.parametrize("sign", [-1, 1])
def test_products_of_aligned_corners_are_exact_whatever_the_channels(channels: int, sign: int) -> None:
    weight = np.full((channels, channels, 3, 3), 127 * sign, np.int8)
    conv = conv2d(
        weight, padding=(1, 1), stride=(2, 1), format=FixedPoint(bits=16, frac=-2), lo=-(1 << 15), hi=32767
    )
    graph = graph_of(conv, shape=(channels, 5, 6))
    assert mismatches(graph, corner_inputs(graph)) == 0


def test_accumulators_at_both_ends_of_int32_are_exact() -> None:
    """Partial sums wrap around: the bias takes them back."""
    wide, top = FixedPoint(bits=16, frac=0), (1 << 15) - 1
    weight = np.full((2, 4, 1, 1), top // 4, np.int16)
    weight[1] = -weight[1]
    bias = np.array([-(1 << 30), 1 << 30], np.int32)
    conv = conv2d(weight, bias=bias, format=wide, weight_bits=16, weight_frac=(15, 15), lo=-(1 << 15), hi=top)
    graph = graph_of(conv, shape=(4, 1, 2), image=wide)
    assert is_compilable(graph)
    assert mismatches(graph, corner_inputs(graph)) == 0


def test_an_image_that_is_joined_pooled_and_added_is_read_in_whole_blocks(rng: np.random.Generator) -> None:
    first = conv2d(rng.integers(-127, 128, (3, 3, 1, 1)).astype(np.int8), name="first", residual="image")
    pool = MaxPool2d(
        name="pool", format=first.format, source="image", kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)
    )
    joined = Concat(name="joined", format=first.format, operands=("image", "first", "pool"))
    last = conv2d(rng.integers(-127, 128, (5, 9, 3, 3)).astype(np.int8), name="last", source="joined")
    graph = graph_of(first, pool, joined, last, shape=(3, 6, 5))
    codes = np.concatenate([random_inputs(rng, graph, 5), corner_inputs(graph)])
    assert mismatches(graph, codes) == 0


def test_a_dense_layer_over_a_map_beside_a_dead_node_is_exact(
    rng: np.random.Generator,
) -> None:
    dead = conv2d(rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8), name="dead")
    dense = Dense(
        name="dense",
        format=dead.format,
        source="image",
        weight=rng.integers(-127, 128, (11, 90)).astype(np.int8),
        bias=rng.integers(-999, 999, 11).astype(np.int32),
        weight_bits=8,
        weight_frac=(7,) * 11,
        lo=-128,
        hi=127,
    )
    graph = graph_of(dead, dense, shape=(3, 6, 5))
    assert mismatches(graph, random_inputs(rng, graph, 13)) == 0


def test_unsigned_codes_of_16_bits_are_left_to_the_reference() -> None:
    image = FixedPoint(bits=16, frac=0, signed=False)
    graph = graph_of(conv2d(np.ones((1, 1, 1, 1), np.int8)), image=image)
    assert compiled(graph) is None
    assert np.array_equal(evaluator(graph)(corner_inputs(graph))[0], evaluate(graph, corner_inputs(graph)))


def test_accumulators_beyond_int32_are_left_to_the_reference() -> None:
    image = FixedPoint(bits=16, frac=0)
    weight = np.full((1, 4, 1, 1), 32767, np.int16)
    graph = graph_of(conv2d(weight, weight_bits=16, weight_frac=(15,)), shape=(4, 1, 1), image=image)
    assert compiled(graph) is None
    assert np.array_equal(evaluator(graph)(corner_inputs(graph))[0], evaluate(graph, corner_inputs(graph)))


def test_without_a_compiler_the_reference_evaluates(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = random_resnet(rng, blocks=1)
    codes = random_inputs(rng, graph, 2)
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("BITLATHE_CACHE", str(tmp_path))
    kernels.cache_clear()
    try:
        assert compiled(graph) is None
        assert np.array_equal(evaluator(graph)(codes)[0], evaluate(graph, codes))
    finally:
        kernels.cache_clear()


def test_a_compiler_that_does_not_know_the_processor_makes_plain_kernels(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = random_resnet(rng, blocks=1)
    codes = random_inputs(rng, graph, 2)
    old = tmp_path / "old-compiler"
    old.write_text(
        '#!/bin/sh\ncase "$*" in *-march=native*) echo "unknown value" >&2; exit 1;; esac\ng++ "$@"\n'
    )
    old.chmod(0o755)
    monkeypatch.setenv("CXX", str(old))
    monkeypatch.setenv("BITLATHE_CACHE", str(tmp_path))
    kernels.cache_clear()
    try:
        fast = compiled(graph)
        assert fast is not None and np.array_equal(fast.evaluate(codes), evaluate(graph, codes))
    finally:
        kernels.cache_clear()


def test_a_library_that_cannot_be_loaded_is_done_without(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = random_resnet(rng, blocks=1)
    codes = random_inputs(rng, graph, 2)
    monkeypatch.setenv("BITLATHE_CACHE", str(tmp_path))
    kernels.cache_clear()
    try:
        fastest_kernels()
        (library,) = tmp_path.glob("evaluator-*.so")
        library.unlink()  # first: the one in use must stay as it is
        library.write_bytes(b"no library")
        kernels.cache_clear()
        assert np.array_equal(evaluator(graph)(codes)[0], evaluate(graph, codes))
    finally:
        kernels.cache_clear()


def test_unfit_codes_are_refused_as_the_reference_does(rng: np.random.Generator) -> None:
    graph = random_resnet(rng, blocks=1)
    fast = CompiledGraph(graph)
    with pytest.raises(ShapeError, match="input codes have shape"):
        fast.evaluate(np.zeros((1, 3, 8, 8), np.int8))
    with pytest.raises(FormatError, match="beyond"):
        fast.evaluate(np.full((1, 3, 32, 32), 200, np.int32))
