"""A bundle's arrays, read from NumPy's .npy format strictly: version 1.0, integers, C order, no byte too few.

By the rule of model/graph/files/npy.py, which a board does not have: a header is matched, never evaluated,
and the bytes that are there are compared with the shape before anything of that size is made.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.errors import BundleError

MAGIC = b"\x93NUMPY\x01\x00"
PREAMBLE = len(MAGIC) + 2  # the magic, then the header's length as 16 bits
_HEADER = re.compile(
    rb"\{'descr': '(?P<type>\|[iu]1|<[iu][248])', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,9},|[0-9]{1,9}(?:, [0-9]{1,9}){1,7})\), \} *\n"
)


def array_from_npy(data: bytes, where: str) -> NDArray[np.integer[Any]]:
    """Read-only array of .npy bytes; BundleError, which names `where`, for any other bytes."""
    start = PREAMBLE + int.from_bytes(data[len(MAGIC) : PREAMBLE], "little")
    header = _HEADER.fullmatch(data[PREAMBLE:start])
    if not data.startswith(MAGIC) or header is None:
        raise BundleError(
            f"{where}: is not a readable array (.npy version 1.0, little-endian integers in C order, at most "
            "8 axes); make it again"
        )
    dtype = np.dtype(header["type"].decode("ascii"))
    shape = tuple(int(axis) for axis in header["shape"].split(b",") if axis.strip())
    if len(data) - start != prod(shape) * dtype.itemsize or not prod(shape):
        raise BundleError(
            f"{where}: is not a readable array ({len(data) - start} bytes do not fill the shape {shape} of "
            f"{dtype}); make it again"
        )
    array: NDArray[np.integer[Any]] = np.frombuffer(data, dtype=dtype, offset=start).reshape(shape)
    return array
