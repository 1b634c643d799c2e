"""Compact files: the same graph comes back, in fewer bytes, or the file is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import conv2d, graph_of
from strategies import graphs

from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError
from bitlathe.model.graph.files.archive import encode_graph, graph_digest, read_graph
from bitlathe.model.graph.files.compact import decode_compact, encode_compact, load_compact, save_compact
from bitlathe.model.graph.graph import Graph


def wide_layer(density: float) -> Graph:
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (32, 64, 3, 3)) * (rng.random((32, 64, 3, 3)) < density)
    conv = conv2d(weight.astype(np.int8), padding=(1, 1))
    return graph_of(replace(conv, weight_frac=(9,) * 32), shape=(64, 4, 4))


@given(graph=graphs(product=True))
@settings(max_examples=30, deadline=None)
def test_a_graph_comes_back_with_the_same_digest(graph: Graph) -> None:
    data = encode_compact(graph)
    assert graph_digest(decode_compact(data)) == graph_digest(graph)
    assert encode_compact(decode_compact(data)) == data
    assert len(data) < len(encode_graph(graph))


def test_a_sparse_layer_takes_its_mask_and_its_values() -> None:
    graph = wide_layer(0.5)
    size = len(encode_compact(graph))
    weights = 32 * 64 * 9
    assert weights * (0.5 + 1 / 8) * 0.97 < size < weights * (0.5 + 1 / 8) * 1.03 + 500


def test_both_kinds_of_file_load(tmp_path: Path) -> None:
    graph = wide_layer(0.1)
    path = tmp_path / "net.blgc"
    assert save_compact(graph, path) == path.stat().st_size
    assert graph_digest(read_graph(path)) == graph_digest(load_compact(path)) == graph_digest(graph)


@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_a_changed_byte_is_refused_in_one_line(place: int, value: int) -> None:
    data = bytearray(encode_compact(wide_layer(0.02)))
    data[place % len(data)] ^= value
    with pytest.raises(BitlatheError) as caught:
        decode_compact(bytes(data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 40, 400])
def test_a_part_of_a_file_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "part.blgc"
    path.write_bytes(encode_compact(wide_layer(0.02))[:size])
    with pytest.raises(FormatError, match=r"part\.blgc"):
        load_compact(path)


def test_no_file_and_no_folder_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_compact(tmp_path / "none.blgc")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        save_compact(wide_layer(0.02), tmp_path / "file" / "net.blgc")
