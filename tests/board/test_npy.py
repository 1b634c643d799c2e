"""An array is as large as the bytes that are there, whatever its header says; nothing in it is evaluated."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import FILES, small_manifest

from bitlathe.board.bundle import write_bundle
from bitlathe.board.errors import BundleError
from bitlathe.board.npy import array_from_npy
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files import npy as graph_npy

HUGE = 10**9 - 1


def npy(descr: str, shape: str, data: bytes, *, fortran: str = "False", version: int = 1) -> bytes:
    """Bytes in the format, with any header."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


@pytest.mark.parametrize("dtype", ["|i1", "|u1", "<i2", "<u2", "<i4", "<i8"])
@pytest.mark.parametrize("shape", [(1,), (6,), (2, 3), (1, 2, 3, 1)])
def test_what_numpy_writes_comes_back(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    array = rng.integers(0, 100, shape).astype(dtype)
    stream = io.BytesIO()
    np.save(stream, array)
    back = array_from_npy(stream.getvalue(), "array")
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.flags.writeable) == (array.dtype, False)


BAD = {
    "huge": npy("'|u1'", f"({HUGE}, {HUGE}, {HUGE})", b"x"),
    "huge, of one axis": npy("'<i8'", "(1152921504606846976,)", b"x"),
    "wraps to its size": npy("'|u1'", "(4294967296, 4294967296, 2)", b""),
    "empty times huge": npy("'|u1'", f"(0, {HUGE}, {HUGE}, {HUGE})", b""),
    "empty": npy("'|u1'", "(0,)", b""),
    "forty axes": npy("'|u1'", "(" + "1, " * 40 + "1)", b"x"),
    "negative": npy("'|u1'", "(-1,)", b"x"),
    "negative twice": npy("'|u1'", "(-1, -1)", b"x"),
    "no axis": npy("'|u1'", "()", b"x"),
    "no number": npy("'|u1'", "('1',)", b"x"),
    "true": npy("'|u1'", "(True,)", b"x"),
    "too few bytes": npy("'<i4'", "(2,)", b"1234567"),
    "too many bytes": npy("'<i4'", "(2,)", b"123456789"),
    "objects": npy("'|O'", "(1,)", b"\x80\x04N."),
    "structured": npy("[('a', '|u1'), ('b', '|O')]", "(1,)", b"xy"),
    "bytes of no width": npy("'|S0'", f"({HUGE},)", b""),
    "wide bytes": npy("'|S2147483647'", "(1,)", b"x"),
    "nothing": npy("'|V0'", f"({HUGE},)", b""),
    "floats": npy("'<f4'", "(1,)", b"1234"),
    "other byte order": npy("'>i4'", "(1,)", b"1234"),
    "fortran order": npy("'|u1'", "(2, 2)", b"1234", fortran="True"),
    "version 2": npy("'|u1'", "(1,)", b"x", version=2),
    "version 3": npy("'|u1'", "(1,)", b"x", version=3),
    "version 9": npy("'|u1'", "(1,)", b"x", version=9),
    "code": npy("__import__('os').abort()", "(1,)", b"x"),
    "header longer than the file": b"\x93NUMPY\x01\x00\xff\xff{'descr': '|u1'",
    "header of no length": b"\x93NUMPY\x01\x00\x00\x00x",
    "only the magic": b"\x93NUMPY",
    "archive": b"PK\x03\x04" + bytes(100),
    "pickle": b"\x80\x04N.",
    "none": b"",
}


@pytest.mark.parametrize("kind", BAD)
def test_an_array_of_another_kind_is_refused_before_memory_is_taken(kind: str, tmp_path: Path) -> None:
    files = {**FILES, "array.npy": BAD[kind]}
    bundle = write_bundle(tmp_path, small_manifest(files), files)
    with pytest.raises(BundleError, match=r"array\.npy: is not a readable array \(.*\); make it again"):
        bundle.array("array.npy")


@given(data=st.binary(max_size=40), where=st.integers(0, 90), text=st.binary(max_size=12))
def test_any_bytes_in_a_header_are_an_array_or_an_error_of_ours(data: bytes, where: int, text: bytes) -> None:
    sound = npy("'|u1'", "(40,)", data)
    damaged = sound[:where] + text + sound[where + len(text) :]
    try:
        array: Any = array_from_npy(damaged, "array")
    except BundleError as error:
        assert str(error).startswith("array: ")
    else:
        assert array.nbytes <= len(damaged)


def test_the_board_refuses_what_the_graphs_file_refuses() -> None:
    for data in (data for kind, data in BAD.items() if kind != "empty"):
        with pytest.raises(FormatError, match=re.escape("array: ")):
            graph_npy.array_from_npy(data, "array")
        with pytest.raises(BundleError):
            array_from_npy(data, "array")


def test_what_the_graphs_file_holds_the_board_reads(rng: np.random.Generator) -> None:
    for dtype in (np.int8, np.uint8, np.int16, np.int32):
        array = rng.integers(0, 100, (3, 1, 2)).astype(dtype)
        np.testing.assert_array_equal(array_from_npy(graph_npy.npy_from_array(array), "array"), array)
