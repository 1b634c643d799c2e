"""Arrays of npz archives, of which nothing is read that their headers do not promise."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bitlathe.model.data.memory import check_memory
from bitlathe.model.graph.errors import DataError

_Header = tuple[tuple[int, ...], bool, np.dtype[Any]]  # shape, whether in column order, type of the elements
_HEADERS: Mapping[tuple[int, int], Callable[[IO[bytes]], _Header]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
DAMAGED = (  # what reading a damaged file raises
    ValueError,
    LookupError,
    OSError,
    EOFError,
    TypeError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_SUFFIX = ".npy"

# How the arrays of a user's archive are called: both splits as here, as Keras does, or one split.
_SCHEMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels"),
)
_CLASS_NAMES = "class_names"


def array_of(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an npz archive; its shape and type are compared with its size before it is read."""
    member = f"{name}{_SUFFIX}"
    with archive.open(member) as file:
        version = npy.read_magic(file)  # type: ignore[no-untyped-call]  # NumPy does not type it
        if version not in _HEADERS:
            raise ValueError(f"{member} is of version {version}, needed 1.0 or 2.0")
        shape, by_columns, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{member} holds Python objects, of which numbers must be made first")
        promised, there = prod(shape) * dtype.itemsize, archive.getinfo(member).file_size - file.tell()
        if promised != there:
            raise ValueError(f"{member} has {there} bytes, its header promises {promised}")
        check_memory(f"{archive.filename}: {member}" if archive.filename else member, promised)
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if by_columns else "C").copy()


def read_splits(path: Path) -> tuple[tuple[NDArray[Any], ...], tuple[str, ...] | None, tuple[str, ...]]:
    """Images and labels of both splits of a user's archive, or of one; class names; arrays left out.

    Raises DataError, which names the file, where it is damaged or has other arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX)}
            scheme = _scheme_of(path, there)
            arrays = tuple(array_of(archive, name) for name in scheme)
            names = array_of(archive, _CLASS_NAMES) if _CLASS_NAMES in there else None
    except DAMAGED as error:
        raise DataError(
            f"{path}: cannot be read ({error}); write it with numpy.savez, from arrays of numbers"
        ) from error
    left_out = tuple(sorted(there - {*scheme, _CLASS_NAMES}))
    return arrays, None if names is None else tuple(names.astype(str).ravel().tolist()), left_out


def _scheme_of(path: Path, there: set[str]) -> tuple[str, ...]:
    """The names that an archive goes by: the first that are all there."""
    for scheme in _SCHEMES:
        if there.issuperset(scheme):
            return scheme
    nearest = max(_SCHEMES, key=lambda names: len(there.intersection(names)))
    missing = ", ".join(name for name in nearest if name not in there)
    raise DataError(
        f"{path}: has no {missing}, its arrays are {', '.join(sorted(there)) or 'none'}; "
        f"give {', '.join(_SCHEMES[0])}"
    )
