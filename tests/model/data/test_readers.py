"""Each file format is read exactly, and what is not that format is refused by name."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitlathe.model.data import Images, Labels
from bitlathe.model.data.readers import (
    Blob,
    DatasetReader,
    read_blob,
    read_cifar10_binary,
    read_cifar100_binary,
    read_idx,
    read_npz,
)
from bitlathe.model.graph.errors import DataError

COUNTS = st.integers(1, 5)
SEEDS = st.integers(0, 2**32 - 1)


def blob(data: bytes, name: str = "file") -> Blob:
    return Blob(path=Path(name), data=data)


def idx(array: Images) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def npz(**arrays: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npz_with_header(header: str, data: bytes) -> bytes:
    """An archive whose images have any header, and sound labels."""
    line = (header + "\n").encode()
    member = b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + data
    stream = io.BytesIO()
    labels = io.BytesIO()
    np.save(labels, np.zeros(1, np.int64))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", labels.getvalue())
    return stream.getvalue()


def random_images(seed: int, count: int, channels: int = 3) -> tuple[Images, Labels]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, channels), dtype=np.uint8)
    return images, rng.integers(0, 10, count).astype(np.int64)


def cifar(images: Images, labels: Labels, coarse: bytes = b"") -> bytes:
    planes = images.transpose(0, 3, 1, 2)
    return b"".join(
        coarse + bytes((int(label),)) + plane.tobytes() for plane, label in zip(planes, labels, strict=True)
    )


@given(SEEDS, COUNTS)
def test_idx_files_give_back_their_images_and_labels(seed: int, count: int) -> None:
    images, labels = random_images(seed, count, channels=1)
    read = read_idx([blob(idx(images[..., 0])), blob(idx(labels.astype(np.uint8)))])
    assert np.array_equal(read[0], images)
    assert np.array_equal(read[1], labels)
    assert read[0].dtype == np.uint8
    assert read[1].dtype == np.int64


@given(SEEDS, COUNTS)
def test_cifar10_binary_gives_back_its_images_and_labels(seed: int, count: int) -> None:
    images, labels = random_images(seed, count)
    read = read_cifar10_binary([blob(cifar(images, labels)), blob(cifar(images[:1], labels[:1]))])
    assert np.array_equal(read[0], np.concatenate([images, images[:1]]))
    assert np.array_equal(read[1], np.concatenate([labels, labels[:1]]))
    assert read[1].dtype == np.int64


@given(SEEDS, COUNTS)
def test_cifar100_binary_takes_the_fine_label(seed: int, count: int) -> None:
    images, labels = random_images(seed, count)
    read = read_cifar100_binary([blob(cifar(images, labels, coarse=b"\x63"))])
    assert np.array_equal(read[0], images)
    assert np.array_equal(read[1], labels)


def test_npz_archives_follow_one_another() -> None:
    images, labels = random_images(0, 3)
    parts = [npz(images=images[:2], labels=labels[:2]), npz(images=images[2:], labels=labels[2:])]
    read = read_npz([blob(part) for part in parts])
    assert np.array_equal(read[0], images)
    assert np.array_equal(read[1], labels)


def test_npz_archives_of_different_images_do_not_follow_one_another() -> None:
    labels = np.zeros(2, np.int64)
    parts = [npz(images=np.zeros((2, size, size, 3), np.uint8), labels=labels) for size in (32, 28)]
    message = r"^b.npz: an array is uint8 \(2, 28, 28, 3\), the first file's uint8 \(2, 32, 32, 3\); fetch"
    with pytest.raises(DataError, match=message):
        read_npz([blob(part, name) for part, name in zip(parts, ("a.npz", "b.npz"), strict=True)])


HEADERS = {
    "{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 999999999, 3), }": "needed",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }": "wraps",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 999999999, 999999999, 999999999), }": "empty",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }": "negative",
    "{'descr': '|S2147483647', 'fortran_order': False, 'shape': (2147483647,), }": "wide",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }": "objects",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), " + "[" * 9000: "nested",
    "__import__('os').abort()": "code",
}


@pytest.mark.parametrize("header", HEADERS, ids=list(HEADERS.values()))
def test_an_array_that_its_bytes_do_not_fill_is_refused_before_memory_is_taken(header: str) -> None:
    for data in (b"", b"12345678"):
        with pytest.raises(DataError, match=r"f\.npz: not an npz archive of the arrays images and labels"):
            read_npz([blob(npz_with_header(header, data), "f.npz")])


def test_idx_sizes_whose_product_wraps_are_refused() -> None:
    data = bytes((0, 0, 8, 3)) + struct.pack(">3I", 1 << 31, 1 << 31, 4)
    with pytest.raises(DataError, match="16 bytes, its header promises 18446744073709551632"):
        read_idx([blob(data), blob(idx(np.zeros(1, np.uint8)))])


@pytest.mark.parametrize(
    ("reader", "data", "message"),
    [
        (read_npz, b"PK\x03\x04 cut short", "f.npz: not an npz archive of the arrays images and labels"),
        (read_npz, b"", "f.npz: not an npz archive"),
        (read_npz, npz(pictures=np.zeros(1)), "f.npz: not an npz archive"),
        (read_idx, b"\x89PNG", "f.npz: starts with 89504e47, an idx3 file with 00000803"),
        (read_idx, b"", "f.npz: starts with , an idx3 file with 00000803"),
        (read_idx, idx(np.zeros((2, 28, 28), np.uint8))[:-1], "1583 bytes, its header promises 1584"),
        (read_cifar10_binary, bytes(3072), "3072 bytes is not a multiple of the 3073 bytes of a record"),
        (read_cifar100_binary, b"", "0 bytes is not a multiple of the 3074 bytes of a record"),
    ],
)
def test_a_truncated_or_foreign_file_is_refused_by_name(
    reader: DatasetReader, data: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        reader([blob(data, "f.npz")] * 2)
    assert "fetch the file again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(b"abc"))
    assert read_blob(path).data == b"abc"


@pytest.mark.parametrize("keep", [5, -3])
def test_a_truncated_packed_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(range(256)))[:keep])
    with pytest.raises(DataError, match=r"labels\.gz: cannot be read .*; fetch the file again"):
        read_blob(path)
