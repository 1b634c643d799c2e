"""A user's npz archive: the arrays it may hold, and every way in which it can be wrong."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitlathe.model.data import memory
from bitlathe.model.data.npz import read_splits
from bitlathe.model.graph.errors import DataError

IMAGES, LABELS = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3), np.arange(4)


def archive(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("images", "labels"),
    ],
)
def test_arrays_go_by_several_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    given: list[NDArray[Any]] = [IMAGES, LABELS, IMAGES[:2], LABELS[:2]][: len(names)]
    path = archive(tmp_path / "x.npz", **dict(zip(names, given, strict=True)), val_images=IMAGES)
    arrays, class_names, left_out = read_splits(path)
    assert all(np.array_equal(*pair) for pair in zip(arrays, given, strict=True))
    assert class_names is None and left_out == ("val_images",)


def test_class_names_may_be_beside_them(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "x.npz", images=IMAGES, labels=LABELS, class_names=np.array(["cat", "dog", "ä", "b"])
    )
    assert read_splits(path)[1] == ("cat", "dog", "ä", "b")


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_splits(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_missing_arrays_are_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.npz", train_images=IMAGES, train_labels=LABELS, test_images=IMAGES)
    assert refused(path) == (
        "x.npz: has no test_labels, its arrays are test_images, train_images, train_labels; "
        "give train_images, train_labels, test_images, test_labels"
    )
    assert "its arrays are none; give" in refused(archive(tmp_path / "y.npz"))


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.array([{}, []], object), labels=LABELS)
    assert refused(path) == (
        "x.npz: cannot be read (images.npy holds Python objects, of which numbers must be made first); write "
        "it with numpy.savez, from arrays of numbers"
    )


HEADERS = {
    "huge": "{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 999999999, 3), }",
    "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }",
    "nested": "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), " + "[" * 9000,
    "code": "__import__('os').abort()",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path: Path, header: str) -> None:
    line, labels = (header + "\n").encode(), io.BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(8))
        file.writestr("labels.npy", labels.getvalue())
    assert refused(tmp_path / "x.npz").startswith("x.npz: cannot be read (")


def test_more_than_memory_holds_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "x.npz", images=np.zeros((10, 100, 100), np.uint8), labels=np.zeros(10, int))
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 300)
    assert refused(path) == (
        "x.npz: images.npy: takes 0.1 MB, this machine has 0.1 MB; give fewer or smaller images"
    )


@pytest.mark.parametrize("keep", [0, 10, 100, -30])
def test_a_truncated_archive_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = archive(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[:keep])
    assert (
        refused(path)
        == "x.npz: cannot be read (File is not a zip file); write it with numpy.savez, from arrays of numbers"
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_archive_is_read_or_refused_but_nothing_else(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = archive(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 8):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    try:
        read_splits(path)
    except DataError as error:
        assert re.match(re.escape(f"{path}: "), str(error)) and "\n" not in str(error)
