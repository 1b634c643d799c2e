"""Codebooks: decoding, what a graph and its file make of them, and what is refused."""

import io
import json
import zipfile
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from graph_files import file_of, members_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import conv2d, graph_of
from strategies import SEEDS, graphs, graphs_with_inputs

from bitlathe.model.graph.codebook import Codebook, index_bits, index_shape, index_type, packed, unpacked
from bitlathe.model.graph.errors import BitlatheError, FormatError, ShapeError
from bitlathe.model.graph.files.archive import decode_graph, encode_graph
from bitlathe.model.graph.files.npy import npy_from_array
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.reference import evaluate


@st.composite
def codebooks(draw: st.DrawFn, *, axes: int = 4) -> tuple[Codebook, tuple[int, ...]]:
    """Codebooks of convolutions (4 axes) or dense layers (2), each with its weights' shape."""
    rng = np.random.default_rng(draw(SEEDS))
    shape = tuple(int(axis) for axis in rng.integers(1, 7, axes))
    codewords, length = draw(st.sampled_from([1, 2, 3, 16, 200, 256, 257, 400])), draw(st.integers(1, 9))
    indices = rng.integers(codewords, size=index_shape(shape, length)).astype(index_type(codewords))
    values = rng.integers(-127, 128, (codewords, length)).astype(np.int8)
    return Codebook(values=values, indices=indices), shape


def layer(codebook: Codebook, shape: tuple[int, ...]) -> Conv2d:
    """A convolution of decoded weights that no input overflows."""
    return conv2d(codebook.decode(shape[1]), codebook=codebook, padding=(6, 6))


SMALL = Codebook(
    values=np.array([[1, 2], [-3, 4], [5, 0]], np.int8),
    indices=np.array([[[[2, 0]]], [[[1, 1]]]], np.uint8),
)
SMALL_GRAPH = graph_of(layer(SMALL, (2, 3, 1, 1)), shape=(3, 1, 1))


def of(graph: Graph) -> Codebook:
    """The codebook of a graph's last layer."""
    node = graph.nodes[-1]
    assert isinstance(node, Conv2d | Dense)
    assert node.codebook is not None
    return node.codebook


@given(drawn=codebooks())
def test_a_convolution_decodes_to_its_codewords_along_the_input_channels(
    drawn: tuple[Codebook, tuple[int, ...]],
) -> None:
    codebook, shape = drawn
    weight = codebook.decode(shape[1])
    assert weight.shape == shape
    for o, i, y, x in product(*map(range, shape)):
        index = codebook.indices[o, y, x, i // codebook.length]
        assert weight[o, i, y, x] == codebook.values[index, i % codebook.length]


@given(drawn=codebooks(axes=2))
def test_a_dense_layer_decodes_to_its_codewords_along_its_columns(
    drawn: tuple[Codebook, tuple[int, ...]],
) -> None:
    codebook, shape = drawn
    weight = codebook.decode(shape[1])
    assert weight.shape == shape
    for row, column in product(*map(range, shape)):
        index = codebook.indices[row, column // codebook.length]
        assert weight[row, column] == codebook.values[index, column % codebook.length]


@given(drawn=codebooks())
def test_indices_come_back_from_their_packed_bits(drawn: tuple[Codebook, tuple[int, ...]]) -> None:
    codebook, _ = drawn
    data = packed(codebook)
    assert data.size == -(-codebook.indices.size * index_bits(codebook.codewords) // 8)
    back = unpacked(data, codebook.codewords, codebook.indices.shape)
    np.testing.assert_array_equal(back, codebook.indices)
    assert back.dtype == codebook.indices.dtype


@given(drawn=codebooks())
def test_a_codebook_comes_back_from_the_file_of_its_graph(drawn: tuple[Codebook, tuple[int, ...]]) -> None:
    codebook, shape = drawn
    graph = graph_of(layer(codebook, shape), shape=(shape[1], 3, 3))
    back = of(decode_graph(encode_graph(graph)))
    np.testing.assert_array_equal(back.values, codebook.values)
    np.testing.assert_array_equal(back.indices, codebook.indices)


@given(case=graphs_with_inputs(product=True))
@settings(max_examples=30)
def test_a_file_of_codebooks_computes_what_plain_weights_compute(case: tuple[Graph, IntArray]) -> None:
    graph, codes = case
    plain = tuple(
        replace(node, codebook=None) if isinstance(node, Conv2d | Dense) else node for node in graph.nodes
    )
    expected = evaluate(replace(graph, nodes=plain), codes)
    back = decode_graph(encode_graph(graph))
    assert encode_graph(back) == encode_graph(graph)
    np.testing.assert_array_equal(evaluate(back, codes), expected)


@given(graph=graphs(product=True))
@settings(max_examples=30)
def test_a_weight_beside_a_changed_codeword_is_refused(graph: Graph) -> None:
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Conv2d | Dense) and node.codebook is not None:
            values = node.codebook.values.copy()
            used = int(node.codebook.indices.flat[0])
            values[used, 0] += -1 if values[used, 0] > 0 else 1
            changed = replace(node, codebook=replace(node.codebook, values=values))
            nodes = (*graph.nodes[:position], changed, *graph.nodes[position + 1 :])
            with pytest.raises(FormatError, match="not what its codebook decodes to"):
                replace(graph, nodes=nodes)


def test_a_dense_codebook_follows_its_layer_to_a_map_of_one_pixel_only() -> None:
    codebook = Codebook(values=np.array([[1, 2]], np.int8), indices=np.zeros((3, 4), np.uint8))
    dense = Dense(
        name="dense",
        format=conv2d(np.ones((1, 1, 1, 1))).format,
        source="image",
        weight=codebook.decode(8),
        bias=np.zeros(3, np.int32),
        weight_bits=8,
        weight_frac=(7,) * 3,
        lo=-128,
        hi=127,
        codebook=codebook,
    )
    pixel = dense.as_convolution((8, 1, 1))
    assert pixel.codebook is not None
    np.testing.assert_array_equal(pixel.codebook.decode(8), pixel.weight)
    assert dense.as_convolution((2, 2, 2)).codebook is None


def test_the_parts_of_a_codebook_are_as_the_specification_says() -> None:
    members = members_of(encode_graph(SMALL_GRAPH))
    assert list(members) == ["graph.json", "1.values.npy", "1.indices.npy", "1.bias.npy"]
    document = json.loads(members["graph.json"])
    assert document["version"] == 2
    assert document["nodes"][1]["weight"] == {
        "shape": [2, 3, 1, 1],
        "values": "1.values.npy",
        "indices": "1.indices.npy",
    }
    with zipfile.ZipFile(io.BytesIO(encode_graph(SMALL_GRAPH))) as archive:
        np.testing.assert_array_equal(np.load(archive.open("1.values.npy")), SMALL.values)
        np.testing.assert_array_equal(np.load(archive.open("1.indices.npy")), [0b10_00_01_01])


def forged(indices: np.ndarray | None = None, values: np.ndarray | None = None, **weight: object) -> bytes:
    """File of SMALL_GRAPH whose codebook was changed."""
    members = members_of(encode_graph(SMALL_GRAPH))
    document = json.loads(members["graph.json"])
    document["nodes"][1]["weight"].update(weight)
    members["graph.json"] = json.dumps(document).encode()
    if indices is not None:
        members["1.indices.npy"] = npy_from_array(indices)
    if values is not None:
        members["1.values.npy"] = npy_from_array(values)
    return file_of(members)


REFUSED = [
    (
        forged(np.array([0b11_00_01_01], np.uint8)),
        "node 1, weight: codebook: index 3 leaves its 3 codewords; count from 0",
    ),
    (
        forged(np.array([1, 2], np.uint8)),
        "node 1, weight: (2,) bytes do not hold 4 indices of 2 bits",
    ),
    (
        forged(np.array([1], np.int8)),
        "1.indices.npy: an array of int8; save it as uint8",
    ),
    (
        forged(values=np.array([[1, 2]] * 3, np.uint8)),
        "1.values.npy: an array of uint8; save it as int8, int16 or int32",
    ),
    (
        forged(values=np.array([[1, 2]] * 3, np.int16)),
        "node 1, weight: codebook: values int16 (3, 2) and indices (2, 1, 1, 2); they are int8 of 2 axes, "
        "and of 4 axes for a convolution, 2 for a dense layer",
    ),
    (
        forged(values=np.full((3, 2), -128, np.int8)),
        "conv: a weight exceeds +-127, the symmetric range of 8 bits",
    ),
    (
        forged(values=np.zeros((3, 0), np.int8)),
        "node 1, weight: codewords (3, 0) for weights (2, 3, 1, 1); codewords have 2 axes, weights 2 or 4",
    ),
    (
        forged(shape=[2, 3, 1]),
        "node 1, weight: codewords (3, 2) for weights (2, 3, 1); codewords have 2 axes, weights 2 or 4",
    ),
    (
        forged(shape=[1 << 20, 1 << 20, 1 << 20, 1 << 20]),
        "node 1, weight: (1,) bytes do not hold 604462909807314587353088 indices of 2 bits",
    ),
    (
        forged(shape=[2, 4, 1, 1]),
        "conv: weight (2, 4, 1, 1) with groups 1 does not fit 3 input channels; groups must "
        "divide the input and the output channels",
    ),
    (
        forged(length=2),
        "node 1, weight: unknown fields ['length'], missing fields []; see the specification",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_damaged_codebook_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(BitlatheError) as caught:
        decode_graph(data)
    assert str(caught.value) == message


def test_a_codeword_out_of_range_is_refused_even_where_no_place_takes_it() -> None:
    values = np.concatenate([SMALL.values, np.array([[-128, 0]], np.int8)])
    with pytest.raises(FormatError) as caught:
        graph_of(layer(replace(SMALL, values=values), (2, 3, 1, 1)), shape=(3, 1, 1))
    assert str(caught.value) == "conv: a codeword exceeds +-127, the symmetric range of 8 bits"


def test_indices_of_another_layer_are_refused() -> None:
    node = layer(SMALL, (2, 3, 1, 1))
    other = replace(node, codebook=replace(SMALL, indices=SMALL.indices[:1]))
    with pytest.raises(ShapeError) as caught:
        graph_of(other, shape=(3, 1, 1))
    assert str(caught.value) == (
        "conv: codebook indices are (1, 1, 1, 2), weights (2, 3, 1, 1) in vectors of 2 take (2, 1, 1, 2)"
    )


@pytest.mark.parametrize(
    ("values", "indices", "message"),
    [
        ((0, 2), np.uint8, "codebook: 0 codewords of 2 weights; there are 1 to 65536 of 1 to 256"),
        ((2, 257), np.uint8, "codebook: 2 codewords of 257 weights; there are 1 to 65536 of 1 to 256"),
        ((257, 1), np.uint8, "codebook: indices of 257 codewords are uint8; make them uint16"),
        ((2, 1), np.int8, "codebook: indices of 2 codewords are int8; make them uint8"),
    ],
)
def test_arrays_that_are_no_codebook_are_refused(
    values: tuple[int, int], indices: type, message: str
) -> None:
    with pytest.raises(FormatError) as caught:
        Codebook(values=np.zeros(values, np.int8), indices=np.zeros((1, 1), indices))
    assert str(caught.value) == message
