"""Readers of the file formats: npz, idx (MNIST) and the CIFAR binary version.

Each turns the files of one split into arrays: (N, H, W, C) uint8 and (N,) int64. A file that does
not match its name raises DataError, which names the file.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.data.dataset import Labels
from bitlathe.model.data.npz import DAMAGED, array_of
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError

_IDX_UINT8 = 0x08
_CIFAR_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes of one file and their path."""

    path: Path
    data: bytes


DatasetReader = Callable[[Sequence[Blob]], tuple[Images, Labels]]


def read_blob(path: Path) -> Blob:
    """Bytes of a file, unpacked if its name ends in .gz."""
    try:
        data = path.read_bytes()
        return Blob(path=path, data=gzip.decompress(data) if path.suffix == ".gz" else data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the file again") from error


def read_npz(blobs: Sequence[Blob]) -> tuple[Images, Labels]:
    """Images and labels of npz archives, one after the other; they are unpacked side by side."""
    with ThreadPoolExecutor() as threads:
        parts = list(threads.map(_npz_part, blobs))
    for blob, (images, labels) in zip(blobs, parts, strict=True):
        _check_same_kind(blob, images, parts[0][0])
        _check_same_kind(blob, labels, parts[0][1])
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def read_idx(blobs: Sequence[Blob]) -> tuple[Images, Labels]:
    """Images and labels of an idx3 and an idx1 file (LeCun's MNIST format)."""
    images, labels = (_idx_array(blob, ndim) for blob, ndim in zip(blobs, (3, 1), strict=True))
    return images[..., np.newaxis], labels.astype(np.int64)


def read_cifar10_binary(blobs: Sequence[Blob]) -> tuple[Images, Labels]:
    """Images and labels of CIFAR-10 .bin files: one label byte, then R, G, B planes."""
    return _cifar_records(blobs, label_bytes=1)


def read_cifar100_binary(blobs: Sequence[Blob]) -> tuple[Images, Labels]:
    """Images and fine labels of CIFAR-100 .bin files: coarse and fine label bytes, then planes."""
    return _cifar_records(blobs, label_bytes=2)


def _npz_part(blob: Blob) -> tuple[Images, Labels]:
    try:
        with zipfile.ZipFile(io.BytesIO(blob.data)) as archive:
            return array_of(archive, "images"), array_of(archive, "labels")
    except DAMAGED as error:
        raise DataError(
            f"{blob.path}: not an npz archive of the arrays images and labels ({error}); fetch the file again"
        ) from error


def _check_same_kind(blob: Blob, array: NDArray[Any], first: NDArray[Any]) -> None:
    if array.ndim < 1 or array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
        raise DataError(
            f"{blob.path}: an array is {array.dtype} {array.shape}, "
            f"the first file's {first.dtype} {first.shape}; fetch the file again"
        )


def _idx_array(blob: Blob, ndim: int) -> NDArray[Any]:
    header = 4 + 4 * ndim
    magic = bytes((0, 0, _IDX_UINT8, ndim))
    if len(blob.data) < header or blob.data[:4] != magic:
        raise DataError(
            f"{blob.path}: starts with {blob.data[:4].hex()}, an idx{ndim} file with {magic.hex()}; "
            "fetch the file again"
        )
    shape = struct.unpack(f">{ndim}I", blob.data[4:header])
    expected = header + prod(shape)
    if len(blob.data) != expected:
        raise DataError(
            f"{blob.path}: {len(blob.data)} bytes, its header promises {expected}; fetch the file again"
        )
    return np.frombuffer(blob.data, np.uint8, offset=header).reshape(shape).copy()


def _cifar_records(blobs: Sequence[Blob], label_bytes: int) -> tuple[Images, Labels]:
    record = label_bytes + _CIFAR_PIXELS
    for blob in blobs:
        if not blob.data or len(blob.data) % record:
            raise DataError(
                f"{blob.path}: {len(blob.data)} bytes is not a multiple of the {record} bytes of a record; "
                "fetch the file again"
            )
    rows = np.frombuffer(b"".join(blob.data for blob in blobs), np.uint8).reshape(-1, record)
    planes = rows[:, label_bytes:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, label_bytes - 1].astype(np.int64)
