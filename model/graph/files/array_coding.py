"""Integer arrays in few bytes: as narrow as their values, with zeros left out where that is shorter.

The shortest of three schemes wins: every value; a bit mask and the nonzero values; or gaps and nonzero
values, where stored zeros split a gap that is too long for its field. Source of the last: Han et al. 2016,
"Deep Compression", arXiv:1510.00149, section 2.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.npy import LARGEST

IntegerArray = npt.NDArray[np.integer[Any]]
UnsignedCodes = npt.NDArray[np.uint64]
Values = npt.NDArray[np.int64]
DTYPES = tuple(np.dtype(name) for name in ("int8", "int16", "int32", "uint8", "uint16"))
GAP_BITS = range(1, 9)
_HEADER = struct.Struct("<BBBBI")  # scheme, width and sign, type, axes, number of entries
_SIGNED = 0x80  # flag beside the width: codes are two's complement


class Scheme(Enum):
    """How the values of an array are stored."""

    PACKED = 0  # every value
    BITMASK = 1  # one bit a value, then the values that are not zero
    RELATIVE = 2  # pairs of a gap and a value; the gap's width is added to the scheme's number


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """One way to store an array: its payload and what is needed to read it."""

    scheme: Scheme
    gap_bits: int  # 0 where there are no gaps
    entries: int  # stored values, including zeros that split gaps
    payload: bytes


def encode_array(array: IntegerArray) -> bytes:
    """The shortest coding of an array, with its header; FormatError for a type that no graph holds.

    >>> len(encode_array(np.zeros((20, 50), dtype=np.int8)))
    16
    """
    if array.dtype not in DTYPES:
        raise FormatError(f"an array of {array.dtype} cannot be part of a graph; use one of {DTYPES}")
    flat = array.reshape(-1).astype(np.int64)
    width = value_width(flat)
    best = min(codings(flat, width), key=lambda coding: len(coding.payload))
    scheme = best.scheme.value + best.gap_bits
    sign = _SIGNED if flat.min(initial=0) < 0 else 0
    header = _HEADER.pack(scheme, width | sign, DTYPES.index(array.dtype), array.ndim, best.entries)
    return header + struct.pack(f"<{array.ndim}I", *array.shape) + best.payload


def decode_array(data: bytes, name: str) -> tuple[IntegerArray, bytes]:
    """The array that `data` begins with, and what follows; FormatError, naming `name`, if damaged."""
    try:
        number, width_and_sign, kind, axes, entries = _HEADER.unpack_from(data)
        shape = struct.unpack_from(f"<{axes}I", data, _HEADER.size)
        if prod(shape) > LARGEST:  # zeros take no bytes, so the file's size does not limit them
            raise ValueError(f"{prod(shape)} values, at most {LARGEST} are read")
        scheme = Scheme(min(number, Scheme.RELATIVE.value))
        rest = data[_HEADER.size + 4 * axes :]
        coding = Coding(scheme=scheme, gap_bits=number - scheme.value, entries=entries, payload=rest)
        width, signed = width_and_sign & ~_SIGNED, bool(width_and_sign & _SIGNED)
        values, used = values_of(coding, prod(shape), width, signed)
        return values.astype(DTYPES[kind]).reshape(shape), rest[used:]
    except (struct.error, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise FormatError(f"{name}: its coded bytes are damaged ({error}); save the graph again") from error


def values_of(coding: Coding, size: int, width: int, signed: bool) -> tuple[Values, int]:
    """The `size` values of a coding, and how many bytes of payload they took; ValueError if damaged."""
    codes, used = _DECODERS[coding.scheme](coding, size, width)
    return _unwrapped(codes, width, signed), used


def value_width(flat: Values) -> int:
    """Bits of the narrowest integer, two's complement where a value is negative, that holds every value.

    >>> value_width(np.array([-3, 3])), value_width(np.array([0, 255])), value_width(np.array([0]))
    (3, 8, 0)
    """
    low, high = int(flat.min(initial=0)), int(flat.max(initial=0))
    return max(high.bit_length(), (~low).bit_length()) + 1 if low < 0 else high.bit_length()


def codings(flat: Values, width: int) -> tuple[Coding, ...]:
    """Every coding of the values; the first of equally short ones wins."""
    places = np.flatnonzero(flat)
    codes = _wrapped(flat, width)
    mask = np.packbits(flat != 0, bitorder="little").tobytes()
    packed = Coding(scheme=Scheme.PACKED, gap_bits=0, entries=len(flat), payload=pack(codes, width))
    bitmask = Coding(
        scheme=Scheme.BITMASK, gap_bits=0, entries=len(places), payload=mask + pack(codes[places], width)
    )
    return packed, bitmask, *(_relative(codes, places, width, bits) for bits in GAP_BITS)


def pack(codes: UnsignedCodes, width: int) -> bytes:
    """Codes of `width` bits one after the other, the lowest bit first."""
    bits = codes[:, None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)
    return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def unpack(data: bytes, count: int, width: int) -> tuple[UnsignedCodes, int]:
    """`count` codes of `width` bits, and the number of bytes they took; ValueError if there are fewer."""
    size = packed_size(count, width)
    if len(data) < size:
        raise ValueError(f"{len(data)} bytes where {size} are needed")
    bits = np.unpackbits(np.frombuffer(data[:size], np.uint8), count=count * width, bitorder="little")
    weights = np.uint64(1) << np.arange(width, dtype=np.uint64)
    return bits.reshape(count, width).astype(np.uint64) @ weights, size


def packed_size(count: int, width: int) -> int:
    """Bytes of `count` codes of `width` bits."""
    return -(-count * width // 8)


def _wrapped(flat: Values, width: int) -> UnsignedCodes:
    return flat.astype(np.uint64) & np.uint64((1 << width) - 1)


def _unwrapped(codes: UnsignedCodes, width: int, signed: bool) -> Values:
    values = codes.astype(np.int64)
    return values - (values >> (width - 1) << width) if signed else values


def _relative(codes: UnsignedCodes, places: npt.NDArray[np.intp], width: int, gap_bits: int) -> Coding:
    reach = 1 << gap_bits
    gaps = np.diff(places, prepend=-1) - 1
    last = np.cumsum(gaps // reach + 1) - 1  # each gap's own entry comes after the zeros that split it
    entries = np.full(int(last[-1]) + 1 if len(last) else 0, reach - 1, dtype=np.uint64)
    entries[last] = (gaps % reach).astype(np.uint64) | codes[places] << np.uint64(gap_bits)
    payload = pack(entries, gap_bits + width)
    return Coding(scheme=Scheme.RELATIVE, gap_bits=gap_bits, entries=len(entries), payload=payload)


def _decode_packed(coding: Coding, size: int, width: int) -> tuple[UnsignedCodes, int]:
    if coding.entries != size:
        raise ValueError(f"{coding.entries} values for {size} places")
    return unpack(coding.payload, size, width)


def _decode_bitmask(coding: Coding, size: int, width: int) -> tuple[UnsignedCodes, int]:
    mask, used = unpack(coding.payload, size, 1)
    codes, more = unpack(coding.payload[used:], coding.entries, width)
    values = np.zeros(size, dtype=np.uint64)
    values[mask.astype(bool)] = codes
    return values, used + more


def _decode_relative(coding: Coding, size: int, width: int) -> tuple[UnsignedCodes, int]:
    pairs, used = unpack(coding.payload, coding.entries, coding.gap_bits + width)
    gaps = (pairs & np.uint64((1 << coding.gap_bits) - 1)).astype(np.int64)
    values = np.zeros(size, dtype=np.uint64)
    values[np.cumsum(gaps + 1) - 1] = pairs >> np.uint64(coding.gap_bits)
    return values, used


_DECODERS: dict[Scheme, Callable[[Coding, int, int], tuple[UnsignedCodes, int]]] = {
    Scheme.PACKED: _decode_packed,
    Scheme.BITMASK: _decode_bitmask,
    Scheme.RELATIVE: _decode_relative,
}
