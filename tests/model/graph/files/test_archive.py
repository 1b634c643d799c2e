"""The graph's file: what goes in comes out, and anything else is refused."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_files import file_of, members_of, sealed
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import conv2d, graph_of
from strategies import graphs

from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError
from bitlathe.model.graph.files.archive import (
    DIGEST_BYTES,
    decode_graph,
    encode_graph,
    graph_digest,
    read_graph,
    write_graph,
)
from bitlathe.model.graph.files.document import FORMAT, LARGEST, OLD_NODES
from bitlathe.model.graph.files.npy import array_from_npy, npy_from_array
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate

GRAPH = graph_of(conv2d(np.array([[[[3]]], [[[-4]]]], dtype=np.int8), weight_frac=(7, 9)), shape=(1, 2, 2))
GOLDEN = "sha256:2a36a1fed688fdb450fb0c526c907012de864196f43dd9dcdb0d2112b25fa0ed"


def with_document(change: Callable[[dict[str, Any]], object]) -> bytes:
    """File of GRAPH whose JSON was changed."""
    members = members_of(encode_graph(GRAPH))
    document = json.loads(members["graph.json"])
    change(document)
    return file_of({**members, "graph.json": json.dumps(document).encode()})


def refusal(data: bytes) -> str:
    with pytest.raises(BitlatheError) as caught:
        decode_graph(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(graph=graphs())
@settings(max_examples=30)
def test_a_graph_comes_back_from_its_file(graph: Graph) -> None:
    data = encode_graph(graph)
    back = decode_graph(data)
    assert encode_graph(back) == data
    assert [type(node) for node in back.nodes] == [type(node) for node in graph.nodes]
    codes = random_inputs(np.random.default_rng(0), graph, 2)
    np.testing.assert_array_equal(evaluate(back, codes), evaluate(graph, codes))


@given(graph=graphs(wide=True))
@settings(max_examples=10)
def test_a_wide_graph_comes_back_from_its_file(graph: Graph) -> None:
    assert encode_graph(decode_graph(encode_graph(graph))) == encode_graph(graph)


def test_every_field_comes_back() -> None:
    node = GRAPH.nodes[1]
    (_, back) = decode_graph(encode_graph(GRAPH)).nodes
    assert isinstance(node, Conv2d)
    assert isinstance(back, Conv2d)
    np.testing.assert_array_equal(back.weight, node.weight)
    np.testing.assert_array_equal(back.bias, node.bias)
    assert replace(back, weight=node.weight, bias=node.bias).__repr__() == node.__repr__()
    assert (back.weight.dtype, back.bias.dtype) == (np.int8, np.int32)


def test_equal_graphs_give_equal_bytes_whatever_their_integers_are_made_of() -> None:
    node = GRAPH.nodes[1]
    assert isinstance(node, Conv2d)
    other = replace(
        node,
        weight=np.asfortranarray(node.weight.astype(np.int64)),
        bias=node.bias.astype(np.int16),
        weight_frac=tuple(np.array(node.weight_frac)),
        lo=np.int64(node.lo),
    )
    assert encode_graph(graph_of(other, shape=(1, 2, 2))) == encode_graph(GRAPH)
    assert graph_digest(graph_of(other, shape=(1, 2, 2))) == graph_digest(GRAPH)


def test_another_weight_gives_another_digest() -> None:
    node = GRAPH.nodes[1]
    assert isinstance(node, Conv2d)
    other = replace(node, weight=node.weight + np.int8(1))
    assert graph_digest(graph_of(other, shape=(1, 2, 2))) != graph_digest(GRAPH)


def test_halves_to_even_come_back_and_take_a_version_that_says_so() -> None:
    node = GRAPH.nodes[1]
    assert isinstance(node, Conv2d)
    pool = AvgPool2d(
        name="pool",
        format=node.format,
        source="conv",
        kernel_size=(2, 2),
        stride=(2, 2),
        multiplier=1,
        multiplier_frac=2,
        rounding=RoundingMode.HALF_EVEN,
    )
    data = encode_graph(graph_of(node, pool, shape=(1, 2, 2)))
    _, conv, back = decode_graph(data).nodes
    assert (conv.rounding, back.rounding) == (RoundingMode.HALF_UP, RoundingMode.HALF_EVEN)
    assert json.loads(members_of(data)["graph.json"])["version"] == 3
    assert json.loads(members_of(encode_graph(GRAPH))["graph.json"])["version"] == 1


def test_the_bytes_of_a_file_never_change() -> None:
    """A changed digest means that files written before are another format: raise VERSION."""
    assert graph_digest(GRAPH) == GOLDEN


def test_any_zip_tool_and_numpy_can_read_the_parts(tmp_path: Path) -> None:
    write_graph(GRAPH, tmp_path / "small.blg")
    with zipfile.ZipFile(tmp_path / "small.blg") as archive:
        assert archive.namelist() == ["graph.json", "1.weight.npy", "1.bias.npy"]
        assert archive.testzip() is None
        assert archive.comment.decode() == graph_digest(GRAPH)
    with np.load(tmp_path / "small.blg") as arrays:
        np.testing.assert_array_equal(arrays["1.weight"], [[[[3]]], [[[-4]]]])


def test_saving_leaves_one_file_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "small.blg"
    path.write_bytes(b"old")
    write_graph(GRAPH, path)
    assert [found.name for found in tmp_path.iterdir()] == ["small.blg"]
    assert graph_digest(read_graph(path)) == graph_digest(GRAPH)


def test_a_file_that_cannot_be_written_or_read_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "small.blg"
    with pytest.raises(DataError) as caught:
        write_graph(GRAPH, path)
    assert str(caught.value) == f"{path}: cannot be written (File exists); choose another folder"
    path = tmp_path / "missing" / "small.blg"
    with pytest.raises(DataError) as caught:
        read_graph(path)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory); name a .blg file"


def test_a_refused_file_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.blg"
    path.write_text("not a graph")
    with pytest.raises(FormatError) as caught:
        read_graph(path)
    assert str(caught.value) == f"{path}: not a .blg file, or only part of one; save the graph again"


def test_a_change_of_any_byte_is_noticed() -> None:
    data = encode_graph(GRAPH)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x20
        assert "damaged" in refusal(bytes(damaged)) or "not a .blg file" in refusal(bytes(damaged))


def test_a_file_cut_off_anywhere_is_refused() -> None:
    data = encode_graph(GRAPH)
    for length in range(len(data)):
        refusal(data[:length])
    refusal(data + b"\n")


@given(position=st.integers(0, len(encode_graph(GRAPH)) - DIGEST_BYTES - 1), byte=st.integers(0, 255))
@settings(max_examples=600)
def test_a_forged_file_is_refused_in_one_line_or_still_a_graph(position: int, byte: int) -> None:
    forged = bytearray(encode_graph(GRAPH)[:-DIGEST_BYTES])
    forged[position] = byte
    try:
        decode_graph(sealed(bytes(forged)))
    except BitlatheError as error:
        assert "\n" not in str(error)


def test_an_archive_of_something_else_is_refused() -> None:
    assert (
        refusal(file_of({"readme.txt": b"hello"})) == "no member graph.json; the archive holds something else"
    )


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\evil", "1.weight.npy/", "extra.npy"]
)
def test_a_member_that_no_node_names_is_refused(name: str) -> None:
    members = {**members_of(encode_graph(GRAPH)), name: b"payload"}
    assert refusal(file_of(members)) == f"members {[name]} belong to no node; save the graph again"


def test_a_missing_array_is_refused() -> None:
    members = members_of(encode_graph(GRAPH))
    del members["1.bias.npy"]
    assert refusal(file_of(members)) == "array '1.bias.npy' is missing; every array belongs to one field"


def test_an_array_named_twice_is_refused() -> None:
    data = with_document(lambda document: document["nodes"][1].update(bias="1.weight.npy"))
    assert refusal(data) == "array '1.weight.npy' is missing; every array belongs to one field"


def test_compressed_members_are_refused() -> None:
    data = file_of(members_of(encode_graph(GRAPH)), zipfile.ZIP_DEFLATED)
    assert refusal(data) == "a member is compressed; members are stored as they are"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for _ in range(2):
            archive.writestr("graph.json", "{}")
        archive.comment = bytes(DIGEST_BYTES)
    data = sealed(stream.getvalue()[:-DIGEST_BYTES])
    assert refusal(data) == "two members have one name; save the graph again"


REFUSED_JSON: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (
        lambda d: d.update(format="onnx"),
        f"the JSON is not a {FORMAT}; name a file that this program saved",
    ),
    (
        lambda d: d.update(version=5),
        "version 5 of the format, this program reads 1 to 4; convert the file",
    ),
    (
        lambda d: d.update(author="me"),
        "the header: unknown fields ['author'], missing fields []; see the specification",
    ),
    (
        lambda d: d.pop("output"),
        "the header: unknown fields [], missing fields ['output']; see the specification",
    ),
    (lambda d: d.update(nodes={}), "nodes: {} is not a list"),
    (lambda d: d.update(nodes=[7]), "node 0: 7 is not a node"),
    (
        lambda d: d["nodes"][1].update(type="os.system"),
        f"node 1: type 'os.system' is none of {', '.join(node.__name__ for node in OLD_NODES)}",
    ),
    (
        lambda d: d["nodes"][1].update(type=["Conv2d"]),
        f"node 1: type ['Conv2d'] is none of {', '.join(node.__name__ for node in OLD_NODES)}",
    ),
    (
        lambda d: d["nodes"][1].update(dilation=1),
        "node 1: unknown fields ['dilation'], missing fields []; see the specification",
    ),
    (lambda d: d["nodes"][1].update(lo=None), "node 1, lo: None is not an integer"),
    (lambda d: d["nodes"][1].update(lo=True), "node 1, lo: True is not an integer"),
    (lambda d: d["nodes"][1].update(name=3), "node 1, name: 3 is not a string"),
    (
        lambda d: d.update(name="../../evil"),
        "a graph is called '../../evil'; name it by letters, digits and underscores, a letter first",
    ),
    (lambda d: d["nodes"][1].update(stride=[1]), "node 1, stride: [1] is not a list of 2"),
    (lambda d: d["nodes"][1].update(weight=3), "node 1, weight: 3 is not a string"),
    (
        lambda d: d["nodes"][1].update(hi=LARGEST + 1),
        "node 1, hi: an integer of 32 bits is too large for a graph",
    ),
    (lambda d: d["nodes"][1].update(format=8), "node 1, format: 8 is not a fixed-point format"),
    (
        lambda d: d["nodes"][1]["format"].update(signed=1),
        "node 1, format, signed: 1 is neither true nor false",
    ),
    (
        lambda d: d["nodes"][1]["format"].update(bits=99),
        "a code of 99 bits is not supported; choose 2 to 16",
    ),
    (
        lambda d: d["nodes"][1].update(lo=1.5),
        "its JSON is damaged (1.5 is not an integer); save the graph again",
    ),
    (
        lambda d: d["nodes"][1].update(source="nowhere"),
        "small: node conv is a duplicate or reads ['nowhere'] before it is made; order the nodes",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED_JSON)
def test_json_that_is_no_graph_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    assert refusal(with_document(change)) == message


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a": NaN}', '{"a": "ü"}'.encode(), b"1" * 5000],
    ids=["empty", "cut", "key twice", "deep", "NaN", "not ASCII", "endless number"],
)
def test_text_that_is_no_strict_json_is_refused(text: bytes) -> None:
    message = refusal(file_of({"graph.json": text}))
    assert message.startswith("its JSON is damaged (")


def test_a_name_beyond_ascii_comes_back() -> None:
    graph = graph_of(conv2d(np.ones((1, 1, 1, 1), np.int8), name="Übung"))
    assert decode_graph(encode_graph(graph)).output == "Übung"


@pytest.mark.parametrize(
    "array", [np.array([1.0]), np.array([1], np.int64), np.array([[1], [2]], np.int8, order="F"), np.array(1)]
)
def test_arrays_of_another_kind_are_refused(array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, np.asfortranarray(np.broadcast_to(array, (2, 3))) if array.ndim == 2 else array)
    with pytest.raises(FormatError) as caught:
        array_from_npy(stream.getvalue(), "1.bias.npy")
    assert str(caught.value) == (
        "1.bias.npy: no .npy version 1.0 array of int8, uint8, int16 or int32 in C order; save it as one"
    )


def test_pickled_objects_are_refused_unread() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        array_from_npy(stream.getvalue(), "1.bias.npy")


def test_an_array_that_promises_more_than_it_holds_is_refused_before_memory_is_taken() -> None:
    data = npy_from_array(np.zeros((10, 10), np.int8)).replace(b"(10, 10), }      ", b"(10, 99999999), }")
    with pytest.raises(FormatError, match=r"do not fill the shape \(10, 99999999\) of int8$"):
        array_from_npy(data, "1.weight.npy")


@pytest.mark.parametrize("shape", ["0, 999999999, 999999999, 999999999", "0, " * 39 + "0", "1, " * 39 + "1"])
def test_a_shape_that_numpy_cannot_hold_is_refused(shape: str) -> None:
    header = f"{{'descr': '|i1', 'fortran_order': False, 'shape': ({shape}), }}\n".encode()
    data = (
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(not shape.startswith("0"))
    )
    with pytest.raises(FormatError, match=r"^1\.weight\.npy: "):
        array_from_npy(data, "1.weight.npy")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_an_array_comes_back_read_only(dtype: type[np.signedinteger[Any]], rng: np.random.Generator) -> None:
    array = rng.integers(-128, 128, (3, 4, 1)).astype(dtype)
    back = array_from_npy(npy_from_array(array), "array")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == dtype
    np.testing.assert_array_equal(np.load(io.BytesIO(npy_from_array(array))), array)
    assert not back.flags.writeable
