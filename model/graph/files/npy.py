"""Integer arrays as bytes in NumPy's .npy format, version 1.0, strictly: no pickles, no other layouts.

NumPy's own writer pads a header differently from version to version, which would change digests, and its
reader accepts more than is safe for untrusted files. Source of the format: numpy.lib.format's documentation.
"""

import re
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import FormatError

MAGIC = b"\x93NUMPY\x01\x00"
PREAMBLE = len(MAGIC) + 2  # the magic, then the header's length as 16 bits
ALIGNMENT = 64  # of the data
LARGEST = 1 << 28  # elements, with an empty axis counted as 1: NumPy's index has 32 bits on a board
HEADER = re.compile(
    rb"\{'descr': '(?P<type>\|i1|\|u1|<i2|<i4)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,9},|[0-9]{1,9}(?:, [0-9]{1,9}){1,7})\), \} *\n"
)


def npy_from_array(array: npt.NDArray[np.integer[Any]]) -> bytes:
    """Bytes of an int8, uint8, int16 or int32 array, little-endian and in C order."""
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = f"{{'descr': '{data.dtype.str}', 'fortran_order': False, 'shape': {data.shape}, }}"
    padding = -(PREAMBLE + len(header) + 1) % ALIGNMENT
    line = (header + " " * padding + "\n").encode("ascii")
    return MAGIC + len(line).to_bytes(2, "little") + line + data.tobytes()


def array_from_npy(data: bytes, name: str) -> npt.NDArray[np.integer[Any]]:
    """Read-only array of .npy bytes; FormatError, naming `name`, if `npy_from_array` did not make them.

    >>> array_from_npy(npy_from_array(np.array([[1, -2]], dtype=np.int16)), "bias")
    array([[ 1, -2]], dtype=int16)
    """
    start = PREAMBLE + int.from_bytes(data[len(MAGIC) : PREAMBLE], "little")
    header = HEADER.fullmatch(data[PREAMBLE:start])
    if not data.startswith(MAGIC) or header is None:
        raise FormatError(
            f"{name}: no .npy version 1.0 array of int8, uint8, int16 or int32 in C order; save it as one"
        )
    dtype = np.dtype(header["type"].decode("ascii"))
    shape = tuple(int(axis) for axis in header["shape"].split(b",") if axis.strip())
    fills = len(data) - start == prod(shape) * dtype.itemsize
    if not fills or prod(axis or 1 for axis in shape) > LARGEST:
        raise FormatError(
            f"{name}: {len(data) - start} bytes of data do not fill the shape {shape} of {dtype}"
        )
    array: npt.NDArray[np.integer[Any]] = np.frombuffer(data, dtype=dtype, offset=start).reshape(shape)
    return array
