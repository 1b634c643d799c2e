"""Graphs of several outputs: each is a tensor of the graph, in every evaluator and in every file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compiled_networks import are_equal
from graph_files import file_of, members_of
from hypothesis import given, settings
from small_graphs import BYTE, conv2d, graph_of
from strategies import graphs, graphs_with_inputs

from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.files.archive import decode_graph, encode_graph, read_graph, write_graph
from bitlathe.model.graph.files.compact import decode_compact, encode_compact
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph, Output
from bitlathe.model.graph.nodes import MaxPool2d
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate, evaluate_all, evaluate_outputs
from bitlathe.model.native.evaluator import CompiledGraph, evaluator
from bitlathe.model.quantize.exact_network import ExactNetwork

POOL = MaxPool2d(name="pool", format=BYTE, source="conv", kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
CHAIN = graph_of(conv2d(np.array([[[[3]]], [[[-4]]]], np.int8)), POOL, shape=(1, 4, 4))
SEVERAL = replace(CHAIN, output=(Output("map: 0", "conv"), Output("pooled", "pool"), Output("again", "conv")))


@given(graphs_with_inputs(several=True))
@settings(max_examples=40)
def test_every_evaluator_gives_each_output_the_integers_of_its_tensor(case: tuple[Graph, IntArray]) -> None:
    graph, codes = case
    tensors = evaluate_all(graph, codes)
    wanted = tuple(tensors[output.tensor] for output in graph.outputs)
    assert are_equal(evaluate_outputs(graph, codes), wanted)
    assert are_equal(evaluator(graph)(codes), wanted)


@given(graphs(several=True))
@settings(max_examples=20)
def test_the_module_of_a_graph_gives_every_output(graph: Graph) -> None:
    codes = random_inputs(np.random.default_rng(0), graph, 2)
    assert are_equal(ExactNetwork(graph).output_codes(codes), evaluate_outputs(graph, codes))


@pytest.mark.parametrize(("images", "threads"), [(1, 4), (17, 3)])
def test_the_number_of_images_and_threads_changes_no_output(
    rng: np.random.Generator, images: int, threads: int
) -> None:
    codes = random_inputs(rng, SEVERAL, images)
    made = CompiledGraph(SEVERAL).evaluate_outputs(codes, threads)
    assert are_equal(made, evaluate_outputs(SEVERAL, codes))


def test_an_output_may_be_read_further_and_be_listed_twice(rng: np.random.Generator) -> None:
    codes = random_inputs(rng, SEVERAL, 3)
    first, pooled, again = evaluate_outputs(SEVERAL, codes)
    assert np.array_equal(first, again)
    assert np.array_equal(pooled, evaluate(CHAIN, codes))
    assert [node.name for node in SEVERAL.needed] == ["image", "conv", "pool"]


def test_what_no_output_needs_is_not_needed() -> None:
    other = replace(POOL, name="other")
    graph = replace(SEVERAL, nodes=(*SEVERAL.nodes, other), output=SEVERAL.outputs)
    assert [node.name for node in graph.needed] == ["image", "conv", "pool"]
    with_it = replace(graph, output=(*SEVERAL.outputs, Output("other", "other")))
    assert [node.name for node in with_it.needed] == ["image", "conv", "pool", "other"]


def test_the_only_output_goes_by_its_tensor() -> None:
    assert CHAIN.outputs == (Output("pool", "pool"),)
    assert CHAIN.only_output == "pool"


def test_one_output_is_not_taken_from_several(rng: np.random.Generator) -> None:
    codes = random_inputs(rng, SEVERAL, 1)
    with pytest.raises(FormatError, match=r"^small: has outputs map: 0, pooled, again, where one is needed"):
        evaluate(SEVERAL, codes)
    with pytest.raises(ShapeError, match=r"^the network has 3 outputs where one is needed"):
        CompiledGraph(SEVERAL).evaluate(codes)


UNFIT = [
    ([("map", "none")], "small: output none is not a node of the graph"),
    (
        [("map", "conv")],
        "small: lists outputs ['map']; list several of different names, or give the one tensor",
    ),
    (
        [("map", "conv"), ("map", "pool")],
        "small: lists outputs ['map', 'map']; list several of different names, or give the one tensor",
    ),
    (
        [("map", "conv"), ("image", "image")],
        "small: its output image is its input, which the host has; leave it out",
    ),
    (
        [("map", "conv"), ("a\nb", "pool")],
        "small: an output is called 'a\\nb'; name it by 1 to 200 printable characters",
    ),
    (
        [("map", "conv"), ("", "pool")],
        "small: an output is called ''; name it by 1 to 200 printable characters",
    ),
]


@pytest.mark.parametrize(("outputs", "message"), UNFIT, ids=[message for _, message in UNFIT])
def test_outputs_that_fit_no_graph_are_refused(outputs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(FormatError) as caught:
        replace(CHAIN, output=tuple(Output(*pair) for pair in outputs))
    assert str(caught.value) == message


@given(graph=graphs(several=True))
@settings(max_examples=20)
def test_several_outputs_come_back_from_both_files(graph: Graph) -> None:
    for encode, decode in ((encode_graph, decode_graph), (encode_compact, decode_compact)):
        back = decode(encode(graph))
        assert back.output == graph.output
        assert encode(back) == encode(graph)


def test_names_of_any_script_come_back(tmp_path: Path) -> None:
    graph = replace(CHAIN, output=(Output("карта", "conv"), Output("logits:0", "pool")))
    write_graph(graph, tmp_path / "net.blg")
    assert read_graph(tmp_path / "net.blg").output == graph.output


def test_a_graph_of_one_output_is_written_as_before_several_were_known() -> None:
    assert b'"version": 1, "name": "small", "output": "pool", "nodes"' in encode_graph(CHAIN)
    several = b'"version": 3, "name": "small", "output": [{"name": "map: 0", "tensor": "conv"}'
    assert several in encode_graph(SEVERAL)


MISSHAPEN: list[tuple[Callable[[dict[str, object]], object], str]] = [
    (lambda d: d.update(output=[["map", "conv"]]), "output: ['map', 'conv'] is not an output"),
    (
        lambda d: d.update(output=[{"name": "map"}]),
        "output: unknown fields [], missing fields ['tensor']; see the specification",
    ),
    (
        lambda d: d.update(output=[{"name": 1, "tensor": "conv"}]),
        "output, name: 1 is not a string",
    ),
    (
        lambda d: d.update(output=[]),
        "lists outputs []; list several of different names, or give the one tensor",
    ),
]


def test_a_file_of_an_older_version_lists_no_outputs() -> None:
    members = members_of(encode_graph(CHAIN))
    listed = members["graph.json"].replace(
        b'"output": "pool"', b'"output": [{"name": "a", "tensor": "pool"}]'
    )
    with pytest.raises(FormatError, match=r"^output: .* is not a string$"):
        decode_graph(file_of({**members, "graph.json": listed}))


@pytest.mark.parametrize(("change", "message"), MISSHAPEN, ids=[message for _, message in MISSHAPEN])
def test_a_file_whose_outputs_are_misshapen_is_refused(
    change: Callable[[dict[str, object]], object], message: str
) -> None:
    members = members_of(encode_graph(SEVERAL))
    document = json.loads(members["graph.json"])
    change(document)
    with pytest.raises(FormatError) as caught:
        decode_graph(file_of({**members, "graph.json": json.dumps(document).encode()}))
    assert str(caught.value).endswith(message)
